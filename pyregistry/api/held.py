"""Bodies that are whole in memory while they are sent: manifests and lists.

A client that takes nothing would hold all of one, so there is a bound on what they hold together (I9).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyregistry.api.errors import ApiError
from pyregistry.api.pump import ONE_MESSAGE
from pyregistry.api.respond import content_length, send_bytes, start
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyregistry.api.asgi import Header
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.pump import Pump, Pumps

#: What all held bodies of a process may take, beside those that one message takes away.
MEMORY = 128 << 20
#: A client that has taken nothing for so many seconds makes way for one that asks.
PATIENCE = 1.0


class HeldPlan:
    """A body in memory, as the pump wants it."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)
        self.length = len(body)

    def take(self, limit: int) -> bytes:
        """The next bytes; empty at the end."""
        piece, self._rest = bytes(self._rest[:limit]), self._rest[limit:]
        return piece

    async def next(self, limit: int) -> bytes:
        """The same: nothing is waited for."""
        return self.take(limit)


class HeldBodies:
    """The held bodies of one process."""

    def __init__(self, pumps: Pumps) -> None:
        self._pumps = pumps
        self._held: dict[Pump, int] = {}

    async def send(self, exchange: Exchange, status: int, headers: Iterable[Header], body: bytes) -> None:
        """A whole response to GET or HEAD. Raises ApiError (503) where other clients hold too much, or ClientGone."""
        if len(body) <= ONE_MESSAGE or exchange.method == "HEAD":
            await send_bytes(exchange.send, exchange.method, status, headers, body)
            return
        self._make_room(len(body))
        pump = self._pumps.pump(HeldPlan(body), exchange.send)
        self._held[pump] = len(body)
        try:
            await start(exchange.send, status, [*headers, content_length(len(body))])
            await self._pumps.run(pump, exchange.receive)
        finally:
            self._held.pop(pump, None)

    def _make_room(self, size: int) -> None:
        while sum(self._held.values()) + size > MEMORY:
            slowest = min(self._held, key=lambda pump: pump.sending_since or float("inf"), default=None)
            if slowest is None or slowest.sending_since is None or not _stalls(slowest.sending_since):
                raise ApiError(
                    ErrorCode.UNAVAILABLE,
                    "too many large manifests and lists are being sent; try again",
                    headers=((b"retry-after", b"1"),),
                )
            del self._held[slowest]
            slowest.drop()


def _stalls(since: float) -> bool:
    return time.monotonic() - since > PATIENCE
