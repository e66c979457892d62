"""Sends a plan's bytes to a client: one executor of a body plan."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from pyregistry.api.asgi import Receive, Send

#: Bodies up to this size go in one message where their bytes are in the page cache.
ONE_MESSAGE = 64 << 10
#: Bytes that go to the kernel whatever the client does (the listener's TCP_NOTSENT_LOWAT is above), and their chunks.
KERNEL = 192 << 10
FIRST_CHUNK = 32 << 10
#: Chunk of a client that has shown nothing yet, or was slow. The server holds some 24 of them for one that stalls
#: (docs/design/0003-processes.md), which keeps it below the 200 KiB that I9 allows.
SMALL_CHUNK = 6 << 10
#: One chunk for a client that just took what waited for it: half as many sends to a slow client as without.
DRAINED_CHUNK = 16 << 10
#: Chunk of a client that keeps up.
LARGE_CHUNK = 256 << 10
#: Bytes after which quick sends prove that the client reads: more than kernel and server take for one that does not
#: (TCP_NOTSENT_LOWAT, the first window of a receiver that never read, the server's buffer).
UNPROVEN = 768 << 10
#: Bytes a second from which a client gets large chunks. Not one quick send: the kernel takes bursts from slow ones too.
FAST = 4e6
#: Large chunks that the server holds for one client that stalls (measured).
BUFFERED = 8
#: What all large chunks of a process may hold at once.
MEMORY = 128 << 20
#: Connections that are remembered to have kept up.
REMEMBERED = 4096
#: How long a body that follows its fill waits for more than a little, in seconds: to wake fifty readers for every
#: packet costs more than they are given.
GATHER = 0.03
#: A send that took longer than this, in seconds, tells that the process has much to do. Bodies that follow a fill then
#: gather too, so that those who have no byte yet come between: a third off a storm's first bytes (measured).
BUSY = 0.003
#: A send that waits longer than this, in seconds, is a client's doing.
SLOW_SEND = 0.2


class Body(Protocol):
    """What a pump needs of a plan."""

    @property
    def length(self) -> int | None:
        """Bytes of the whole, if known."""

    def take(self, limit: int) -> bytes | None:
        """The next bytes, at most `limit`, if they are there now."""

    def next(self, limit: int) -> Awaitable[bytes]:
        """The next bytes, waited for; empty at the end."""


class ClientGone(Exception):
    """The client left, or took nothing for too long, before its response ended."""


class Pumps:
    """The bodies one worker sends now: shares the memory for large chunks, and drops clients that take nothing."""

    def __init__(self, stall_timeout: float) -> None:
        self._stall_timeout = stall_timeout
        self._active: set[Pump] = set()
        #: Clients that keep up.
        self.fast = 0
        #: Connections whose last body showed it, the latest last: their next begins with large chunks.
        self._proven: dict[tuple[str, int], None] = {}

    @property
    def large(self) -> int:
        """The chunk of clients that keep up: they share the memory that large chunks may hold."""
        return max(SMALL_CHUNK, min(LARGE_CHUNK, MEMORY // (BUFFERED * max(1, self.fast))))

    async def watch(self) -> None:
        """Drops stalled clients, until cancelled. One timer for all: a timer per send would cost more than the send."""
        while True:
            await asyncio.sleep(self._stall_timeout / 4)
            limit = time.monotonic() - self._stall_timeout
            for pump in list(self._active):
                if pump.sending_since is not None and pump.sending_since < limit:
                    pump.drop()

    def keeps_up(self, connection: tuple[str, int] | None) -> bool:
        """Whether the connection's last body showed that its client keeps up."""
        return connection in self._proven

    def remember(self, connection: tuple[str, int] | None) -> None:
        """The client of the connection keeps up."""
        if connection is not None:
            self.forget(connection)
            self._proven[connection] = None
            if len(self._proven) > REMEMBERED:
                del self._proven[next(iter(self._proven))]

    def forget(self, connection: tuple[str, int] | None) -> None:
        """The client of the connection has to show again that it keeps up."""
        if connection is not None:
            self._proven.pop(connection, None)

    async def send(self, plan: Body, send: Send, receive: Receive, connection: tuple[str, int] | None = None) -> int:
        """Sends the whole body behind a started response and answers its bytes.

        Raises ClientGone, or the plan's Failure: the response then has no final message, which ends it short.
        """
        return await self.run(self.pump(plan, send, connection), receive)

    def pump(self, plan: Body, send: Send, connection: tuple[str, int] | None = None) -> Pump:
        """A pump, for `run`. `connection`: by which a client is known again."""
        return Pump(self, plan, send, connection)

    async def run(self, pump: Pump, receive: Receive) -> int:
        """As `send`."""
        self._active.add(pump)
        try:
            return await pump.run(receive)
        finally:
            self._active.discard(pump)


class Pump:
    """One body on its way."""

    def __init__(self, pumps: Pumps, plan: Body, send: Send, connection: tuple[str, int] | None) -> None:
        self._pumps = pumps
        self._plan = plan
        self._send = send
        self._connection = connection
        self._task: asyncio.Task[Any] | None = None
        self._gone = False
        self._sent = 0
        self._fast = False
        #: Whether the last send waited for the client: what the kernel then took leaves room for more than a little.
        self._drained = False
        #: Where and when (monotonic) the client began to prove that it keeps up.
        self._from, self._since = 0, time.monotonic()
        #: When the send that is under way began (monotonic), if one is.
        self.sending_since: float | None = None

    @property
    def sent(self) -> int:
        """Bytes handed over so far."""
        return self._sent

    def drop(self) -> None:
        """Ends the pump; the client gets no more."""
        if self._task is not None and not self._gone:
            self._gone = True
            self._task.cancel()

    async def run(self, receive: Receive) -> int:
        """Pumps until the end."""
        self._task = asyncio.current_task()
        # A client that left makes sends succeed silently: only receive() tells (measured).
        watcher = asyncio.ensure_future(self._watch(receive))
        self._keeps_up(self._pumps.keeps_up(self._connection))
        try:
            await self._pump()
        except asyncio.CancelledError:
            if not self._gone:
                raise
            if self._task is not None:
                self._task.uncancel()
            raise ClientGone from None
        finally:
            self._task = None
            if self._fast:
                self._pumps.remember(self._connection)
            self._keeps_up(False)
            watcher.cancel()
        return self._sent

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.drop()

    def _limit(self) -> int:
        """The size of the next chunk."""
        if self._fast:
            return self._pumps.large
        if self._sent < KERNEL:
            return FIRST_CHUNK
        if self._drained:
            self._drained = False
            return DRAINED_CHUNK
        return SMALL_CHUNK

    def _judge(self, took: float) -> None:
        """Whether the client keeps up, after a send that took so many seconds."""
        if took > SLOW_SEND:
            self._keeps_up(False)
            self._pumps.forget(self._connection)
            self._drained = True
            self._from, self._since = self._sent, time.monotonic()
        elif not self._fast:
            taken = self._sent - self._from
            self._keeps_up(taken > UNPROVEN and taken > FAST * (time.monotonic() - self._since))

    def _keeps_up(self, fast: bool) -> None:
        self._pumps.fast += fast - self._fast
        self._fast = fast

    async def _pump(self) -> None:
        plan, send = self._plan, self._send
        length = plan.length
        follows = False
        while True:
            limit = self._limit()
            chunk = plan.take(limit)
            waited = chunk is None
            if chunk is None:
                follows = True
                chunk = await plan.next(limit)
            self._sent += len(chunk)
            more = bool(chunk) and self._sent != length
            began = self.sending_since = time.monotonic()
            await send({"type": "http.response.body", "body": chunk, "more_body": more})
            self.sending_since = None
            if not more:
                return
            took = time.monotonic() - began
            self._judge(took)
            if (waited and len(chunk) < limit) or (follows and took > BUSY):
                await asyncio.sleep(GATHER)
