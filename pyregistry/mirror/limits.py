"""Our own limits for one upstream, over all workers of a storage root: requests at once, and requests per second.

Background work (prefetch) waits for its own share first, half of either: only so much of it is begun at all, and what
has begun asks like a client's. So a client that joins it, in whichever worker, never waits behind a long list of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pyregistry._native import Lock
    from pyregistry.config import UpstreamConfig
    from pyregistry.mirror.single_flight import SingleFlight

#: How often somebody who waits looks whether another worker has given up a place, in seconds.
_LOOK = 0.02
#: Further ahead no turn lies: a clock was set back.
_LONGEST_NS = 3_600_000_000_000


class Limits:
    """Who may ask now. Without limits nothing is ever waited for."""

    def __init__(self, name: str, config: UpstreamConfig, *, flights: SingleFlight, run_dir: Path) -> None:
        self._all = Share(name, config.max_requests, config.requests_per_second, flights, run_dir)
        #: Keys of the locks that connections beside a blob's first hold. Of our own requests they take half at most,
        #: for they take again at once what they have given back; and nothing would space them in time.
        self.places = [flights.number(f"connection {name} {number}") for number in range(config.connections)]
        if config.max_requests:
            self.places = self._all.numbers[(config.max_requests + 1) // 2 :][: config.connections]
        if config.requests_per_second:
            self.places = []
        most = max(1, config.max_requests // 2) if config.max_requests else None
        rate = config.requests_per_second / 2 if config.requests_per_second else None
        self._background = Share(f"{name} background", most, rate, flights, run_dir)

    async def take(self) -> Lock | None:
        """Waits until a request may be sent, and answers what to give back when it has ended."""
        return await self._all.take()

    def give(self, place: Lock | None) -> None:
        """A request has ended."""
        self._all.give(place)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one request."""
        place = await self._all.take()
        try:
            yield
        finally:
            self._all.give(place)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """For one piece of background work, before it begins to ask for anything."""
        place = await self._background.take()
        try:
            yield
        finally:
            self._background.give(place)


class Share:
    """So many at once, and so many per second; None: no limit."""

    def __init__(self, name: str, most: int | None, rate: float | None, flights: SingleFlight, run_dir: Path) -> None:
        self._places = Places(name, most, flights) if most else None
        self._pace = Pace(name, rate, flights, run_dir / "limits") if rate else None

    @property
    def numbers(self) -> list[int]:
        """The lock key of each place."""
        return self._places.numbers if self._places is not None else []

    async def take(self) -> Lock | None:
        """Waits for a place, then for a turn."""
        place = await self._places.take() if self._places is not None else None
        if self._pace is not None:
            try:
                await self._pace.wait()
            except BaseException:
                self.give(place)
                raise
        return place

    def give(self, place: Lock | None) -> None:
        """Gives a place back."""
        if place is not None and self._places is not None:
            self._places.give(place)


class Places:
    """Requests at once: a lock among all workers for each. Who waits stands in line, worker by worker."""

    def __init__(self, name: str, count: int, flights: SingleFlight) -> None:
        self._flights = flights
        self._keys = [f"place {name} {number}" for number in range(count)]
        self.numbers = [flights.number(key) for key in self._keys]
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self) -> Lock:
        """A place, as soon as there is one."""
        async with self._turn:
            while True:
                self._freed.clear()
                for key in self._keys:
                    place = self._flights.try_exclusive(key)
                    if place is not None:
                        return place
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await self._freed.wait()

    def give(self, place: Lock) -> None:
        """Somebody else may have it."""
        place.release()
        self._freed.set()


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
