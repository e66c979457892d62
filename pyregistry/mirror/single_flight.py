"""One question upstream at a time per key, over every request and every worker of a storage root."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyregistry._native import Lock, Store

T = TypeVar("T")

#: How long a failure answers the same question without asking again, in seconds (I6).
FAILURE_SECONDS = 1.0
#: As in the store: the longest that a limit holds, whatever upstream wishes.
LONGEST_FAILURE = 3600.0
#: Failures remembered at once; above it the oldest go.
MOST_FAILURES = 4096


class SingleFlight:
    """Runs work once per key: within this process by sharing its task, among processes by the store's lock.

    The work must look first whether another process has already answered: it may begin after a wait for the lock.
    """

    def __init__(self, store: Store, secret: bytes = b"") -> None:
        """`secret` is the root's: all its processes have the same, and clients cannot know it.

        Fills are locked by the first bits of their digests, which clients choose: one made to be a question's lock
        would hold up that question, or wait for itself where the fill asks it.
        """
        self._store = store
        self._secret = secret
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._failures: dict[str, tuple[float, Failure]] = {}

    def task(self, key: str, work: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """The task that answers `key`, begun now if there is none. It belongs to nobody: shield it when waiting."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._run(key, work))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return task  # type: ignore[return-value]  # one key is one kind of question

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """The answer to `key`. Raises the Failure of the work, also for questions within a second after it."""
        return await asyncio.shield(self.task(key, work))

    @asynccontextmanager
    async def exclusive(self, key: str) -> AsyncIterator[None]:
        """Holds `key` among all processes. Nest only from the narrower question to the wider one (tag, then digest)."""
        with await self._store.lock(self.number(key)):
            yield

    def try_exclusive(self, key: str) -> Lock | None:
        """Holds `key` among all processes, unless somebody does."""
        return self._store.try_lock(self.number(key))

    def number(self, key: str) -> int:
        """The store's lock key for `key`."""
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=self._secret).digest()) >> 1

    def failed(self, key: str) -> Failure | None:
        """The failure that still answers `key`."""
        known = self._failures.get(key)
        if known is None:
            return None
        if known[0] > time.monotonic():
            return known[1]
        del self._failures[key]
        return None

    async def close(self) -> None:
        """Ends what is still asked."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        failure = self.failed(key)
        if failure is not None:
            raise failure
        async with self.exclusive(key):
            return await work()

    def _done(self, key: str, task: asyncio.Task[object]) -> None:
        del self._tasks[key]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Failure) and key not in self._failures:
            # Only a 429 says when to come again (I6); another failure's Retry-After would keep an outage going.
            wish = error.retry_after if error.cause is Cause.RATE_LIMITED else None
            self._failures[key] = (time.monotonic() + min(max(FAILURE_SECONDS, wish or 0.0), LONGEST_FAILURE), error)
            # Clients make up names, and a limit lasts for hours: what is forgotten is only asked again.
            if len(self._failures) > MOST_FAILURES:
                del self._failures[next(iter(self._failures))]
