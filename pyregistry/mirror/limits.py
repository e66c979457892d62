"""Our own limits for one upstream, over all workers of a storage root: requests at once, and requests per second.

Background work (`background`) gets half of either at most, so that clients never wait behind a long list of it; within
its kind each waits its turn. Work that a client joins is a client's from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from pyregistry._native import Lock
    from pyregistry.config import UpstreamConfig
    from pyregistry.mirror.single_flight import SingleFlight

#: How often somebody who waits looks whether another worker has given up a place, in seconds.
_LOOK = 0.02
#: Further ahead no turn lies: a clock was set back.
_LONGEST_NS = 3_600_000_000_000

#: Set in tasks of background work: whether a client has come to wait for it.
_joined: ContextVar[asyncio.Event | None] = ContextVar("joined", default=None)


@contextmanager
def background(joined: asyncio.Event) -> Iterator[None]:
    """What is asked in this block, and in tasks begun in it, is background work until `joined` is set."""
    token = _joined.set(joined)
    try:
        yield
    finally:
        _joined.reset(token)


def in_background() -> bool:
    """Whether nobody but background work waits for what is asked here."""
    joined = _joined.get()
    return joined is not None and not joined.is_set()


class Limits:
    """Who may ask now. Without limits nothing is ever waited for."""

    def __init__(self, name: str, config: UpstreamConfig, *, flights: SingleFlight, run_dir: Path) -> None:
        self._places = Places(name, config.max_requests, flights) if config.max_requests else None
        rate = config.requests_per_second
        folder = run_dir / "limits"
        self._pace = Pace(f"{name} all", rate, flights, folder) if rate else None
        self._background_pace = Pace(f"{name} background", rate / 2, flights, folder) if rate else None

    async def take(self) -> Lock | None:
        """Waits until a request may be sent, and answers what to release when it has ended."""
        place = await self._places.take() if self._places is not None else None
        try:
            if self._background_pace is not None and in_background():
                await self._background_pace.wait()
            if self._pace is not None:
                await self._pace.wait()
        except BaseException:
            self.give(place)
            raise
        return place

    def give(self, place: Lock | None) -> None:
        """A request has ended."""
        if place is not None and self._places is not None:
            self._places.give(place)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one request."""
        place = await self.take()
        try:
            yield
        finally:
            self.give(place)


class Places:
    """Requests at once: a lock among all workers for each."""

    def __init__(self, name: str, count: int, flights: SingleFlight) -> None:
        self._flights = flights
        self._keys = [f"place {name} {number}" for number in range(count)]
        # The first half is for all, the rest for clients alone, who take these first.
        self._shared = self._keys[: max(1, count // 2)]
        self._turns = {True: asyncio.Lock(), False: asyncio.Lock()}
        self._freed = {True: asyncio.Event(), False: asyncio.Event()}

    async def take(self) -> Lock:
        """A place, as soon as there is one."""
        if not in_background():
            return await self._take(self._keys[::-1], False)
        joined = _joined.get()
        assert joined is not None
        taking = asyncio.ensure_future(self._take(self._shared, True))
        joining = asyncio.ensure_future(joined.wait())
        try:
            await asyncio.wait((taking, joining), return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                return await self._take(self._keys[::-1], False)
            place = taking.result()
        finally:
            joining.cancel()
            # A place that came too late goes with its task.
            taking.cancel()
        return place

    def give(self, place: Lock) -> None:
        """Somebody else may have it."""
        place.release()
        for freed in self._freed.values():
            freed.set()

    async def _take(self, keys: list[str], of_background: bool) -> Lock:
        freed = self._freed[of_background]
        async with self._turns[of_background]:
            while True:
                freed.clear()
                for key in keys:
                    place = self._flights.try_exclusive(key)
                    if place is not None:
                        return place
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await freed.wait()


class Pace:
    """Requests per second: evenly spaced turns, the last one given kept as a file's mtime."""

    def __init__(self, name: str, rate: float, flights: SingleFlight, folder: Path) -> None:
        self._key = f"pace {name}"
        self._flights = flights
        self._interval = int(1e9 / rate)
        self._path = folder / name.replace("/", "_").replace(" ", ".")

    async def wait(self) -> None:
        """Waits for the next turn."""
        async with self._flights.exclusive(self._key):
            now = time.time_ns()
            turn = max(self._last() + self._interval, now)
            if turn > now + _LONGEST_NS:
                turn = now
            self._keep(turn)
        if turn > now:
            await asyncio.sleep((turn - now) / 1e9)

    def _last(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns  # noqa: PTH116
        except OSError:
            return 0

    def _keep(self, turn: int) -> None:
        """A file that cannot be written costs the pace, not the request."""
        with contextlib.suppress(OSError):
            try:
                os.utime(self._path, ns=(turn, turn))
            except FileNotFoundError:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._path.touch(mode=0o600)
                os.utime(self._path, ns=(turn, turn))
