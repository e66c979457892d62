"""A blob's body at one base URL: the source of its bytes, and what asking for them says of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyregistry._native import Source
    from pyregistry.errors import Failure
    from pyregistry.mirror.breaker import Breaker


class Body:
    """Nothing is sent before `begin`; exactly one `end` follows it."""

    def __init__(self, source: Source, url: str, breaker: Breaker) -> None:
        self.source = source
        self._url = url
        self._breaker = breaker

    async def begin(self) -> None:
        """Waits until it may be asked for."""

    def end(self, failure: Failure | None = None) -> None:
        """It has been asked for, or `failure` came of it; what breaks in the middle is no sign of an outage."""
        if self.source.received:
            self._breaker.answered()
        elif failure is not None:
            self._breaker.failed(failure, self._url)
