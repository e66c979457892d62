"""A blob's body at one base URL: the source of its bytes, and what asking for them says of the host."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from pyregistry._native import Lock, Source
    from pyregistry.mirror.breaker import Breaker
    from pyregistry.mirror.limits import Limits


class Body:
    """Nothing is sent before `begin`; exactly one `end` follows it."""

    def __init__(self, source: Source, url: str, breaker: Breaker, limits: Limits) -> None:
        self.source = source
        self._url = url
        self._breaker = breaker
        self._limits = limits
        self._place: Lock | None = None
        self._began = 0.0
        self._listening: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Waits until it may be asked for. Raises Failure; then there is nothing to end."""
        self._place = await self._limits.take()
        refused = self._breaker.refusal()
        if refused is not None:
            self._limits.give(self._place)
            raise refused
        self._began = time.time()
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    def end(self, failure: Failure | None = None) -> None:
        """It has been asked for, or `failure` came of it.

        What breaks in the middle is no sign of an outage; yet a limit that meets the request for the rest is one.
        """
        self._limits.give(self._place)
        self._place = None
        if self._listening is not None:
            self._listening.cancel()
            # It refers to us, and we to the source, whose connection ends with it.
            self._listening = None
        if failure is not None and failure.cause is Cause.RATE_LIMITED:
            self._breaker.failed(failure, self._url)
        elif self.source.received:
            self._breaker.answered(self._began)
        elif failure is not None:
            self._breaker.failed(failure, self._url)

    async def _listen(self) -> None:
        """A limit met by one of several connections costs the fill that one alone, but holds for all requests."""
        while True:
            pause = await self.source.limited()
            message = f"{self._url}: upstream answers 429"
            self._breaker.failed(Failure(Cause.RATE_LIMITED, message, status=429, retry_after=pause), self._url)
