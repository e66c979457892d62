"""Our own limits for one upstream, over all workers of a storage root: requests at once, requests and bytes per second.

Background work (prefetch) waits for its own share first, half of each: only so much of it is begun at all, and what
has begun asks like a client's. So a client that joins it, in whichever worker, never waits behind a long list of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pyregistry._native import Budget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pyregistry._native import Lock
    from pyregistry.config import UpstreamConfig
    from pyregistry.mirror.single_flight import SingleFlight

#: How often somebody who waits looks whether another worker has given up a place, in seconds.
_LOOK = 0.02


class Limits:
    """Who may ask now. Without limits nothing is ever waited for."""

    def __init__(self, name: str, config: UpstreamConfig, *, flights: SingleFlight, run_dir: Path) -> None:
        self._files = run_dir / "limits", name.replace("/", "_")
        rate, bytes_rate = config.requests_per_second, config.bytes_per_second
        #: For requests and bytes of bodies, which take their turns as they come.
        self.requests = self._budget("requests", rate)
        self.bandwidth = self._budget("bytes", bytes_rate)
        self.background_bandwidth = self._budget("bytes.background", bytes_rate / 2 if bytes_rate else None)
        self._all = Share(Places(name, config.max_requests, flights), self.requests)
        #: Keys of the locks that connections beside a blob's first hold. Of our own requests they take half at most,
        #: for they take again at once what they have given back.
        self.places = [flights.number(f"connection {name} {number}") for number in range(config.connections)]
        if config.max_requests:
            self.places = self._all.places.numbers[(config.max_requests + 1) // 2 :][: config.connections]
        most = max(1, config.max_requests // 2) if config.max_requests else None
        self._background = Share(
            Places(f"{name} background", most, flights), self._budget("requests.background", rate / 2 if rate else None)
        )

    async def take(self) -> Lock | None:
        """Waits until a body may be asked for, and answers what to give back when it has ended. Its requests take their
        turns of `requests` themselves."""
        return await self._all.places.take()

    def give(self, place: Lock | None) -> None:
        """A body has ended."""
        self._all.places.give(place)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one request."""
        async with self._all.taken():
            yield

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """For one piece of background work, before it begins to ask for anything."""
        async with self._background.taken():
            yield

    def _budget(self, what: str, per_second: float | None) -> Budget | None:
        """So much of it over all workers, as they name the same file."""
        if per_second is None:
            return None
        folder, name = self._files
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Budget(str(folder / f"{name}.{what}"), per_second)


class Share:
    """So many at once, and so many per second."""

    def __init__(self, places: Places, requests: Budget | None) -> None:
        self.places = places
        self._requests = requests

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Waits for a place, then for a turn."""
        place = await self.places.take()
        try:
            if self._requests is not None and (wait := self._requests.take(1)):
                await asyncio.sleep(wait)
            yield
        finally:
            self.places.give(place)


class Places:
    """Requests at once: a lock among all workers for each. Who waits stands in line, worker by worker."""

    def __init__(self, name: str, count: int | None, flights: SingleFlight) -> None:
        self._flights = flights
        self._keys = [f"place {name} {number}" for number in range(count or 0)]
        self.numbers = [flights.number(key) for key in self._keys]
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self) -> Lock | None:
        """A place, as soon as there is one; None: there is no limit."""
        if not self._keys:
            return None
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

    def give(self, place: Lock | None) -> None:
        """Somebody else may have it."""
        if place is not None:
            place.release()
            self._freed.set()
