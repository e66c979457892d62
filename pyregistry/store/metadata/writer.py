"""The one thread of a worker that writes: takes what is queued, makes one transaction of it, tells those who wait.

A write begins when it is handed in. Awaiting it waits for its commit; who need not know does not await, and its
failure is counted and logged. Writes of one transaction fail alone: each is a savepoint.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata.sqlite import DATABASE, Connection, WriteLock, failure

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A long write in pieces; other writes, of this worker and of others, come between them."""
Work = Callable[[Connection], T]

#: A transaction takes no further write after this long, or this many.
_BATCH_SECONDS = 0.005
_BATCH_WRITES = 256
#: Writes that wait for the disk; past it they fail at once, so that memory stays bounded while a disk hangs.
_QUEUE_WRITES = 100_000
#: The log is copied into the database when it may have grown by this many pages of 4 KiB, or when nothing was written
#: for a second.
_CHECKPOINT_PAGES = 2000
_IDLE_SECONDS = 1.0
#: A failing disk is worth a line a second, not a line a write.
_LOG_SECONDS = 1.0

UNFINISHED = object()


class Write(Generic[T]):
    """A write under way. It may be awaited, by any number of tasks, or left alone."""

    __slots__ = ("_error", "_lock", "_result", "_steps", "_waiters", "_work", "done", "durable", "pages")

    def __init__(
        self, work: Work[T] | None, steps: Work[Steps[T]] | None, lock: threading.Lock, *, durable: bool, pages: int
    ) -> None:
        self.durable = durable
        self.pages = pages
        self.done = False
        self._work = work
        self._steps: Work[Steps[T]] | Steps[T] | None = steps
        self._lock = lock
        self._result: T | None = None
        self._error: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def __await__(self) -> Generator[Any, None, T]:
        waiter: asyncio.Future[None] | None = None
        with self._lock:
            if not self.done:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
        if waiter is not None:
            yield from waiter.__await__()
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    def execute(self, connection: Connection) -> object:
        """Does the work, or its next step: the result, or UNFINISHED."""
        if self._work is not None:
            return self._work(connection)
        assert self._steps is not None
        if not isinstance(self._steps, Generator):
            self._steps = self._steps(connection)
        try:
            next(self._steps)
        except StopIteration as end:
            result: T = end.value
            return result
        return UNFINISHED

    def settle(self, result: T | None, error: Exception | None) -> list[asyncio.Future[None]]:
        """Keeps the outcome and answers who waits for it."""
        with self._lock:
            self._result, self._error, self.done = result, error, True
            waiters, self._waiters = self._waiters, []
        return waiters


class Writer:
    """The queue and the thread behind it."""

    def __init__(self, root: Path) -> None:
        self.failures = 0
        self._path = root / DATABASE
        self._queue: queue.SimpleQueue[Write[Any] | None] = queue.SimpleQueue()
        self._outcomes = threading.Lock()
        self._closed = False
        self._stopping = False
        self._logged_at = -_LOG_SECONDS
        self._waiting: deque[Write[Any]] = deque()
        self._pages = 0
        self._durable: bool | None = None
        self._lock = WriteLock(root)
        try:
            self._connection = Connection(self._path, read_only=False)
        except BaseException:
            self._lock.close()
            raise
        self._thread = threading.Thread(target=self._run, name="metadata-writer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether writes are taken."""
        return self._thread.is_alive() and not self._closed

    def submit(self, work: Work[T], *, durable: bool = False, pages: int = 4) -> Write[T]:
        """Queues a write that changes about `pages` pages; if `durable`, its commit outlives power loss."""
        return self._put(Write(work, None, self._outcomes, durable=durable, pages=pages))

    def submit_steps(self, steps: Work[Steps[T]], *, durable: bool = False, pages: int = 4) -> Write[T]:
        """Queues a long write whose generator yields where its transaction may end; `pages` is for one step."""
        return self._put(Write(None, steps, self._outcomes, durable=durable, pages=pages))

    def close(self) -> None:
        """Writes what is queued and stops."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _put(self, write: Write[T]) -> Write[T]:
        if self._closed:
            write.settle(None, Failure(Cause.STORAGE, f"{self._path}: closed"))
        elif self._queue.qsize() >= _QUEUE_WRITES:
            self.failures += 1
            write.settle(
                None, Failure(Cause.STORAGE, f"{self._path}: {_QUEUE_WRITES} writes wait; the disk does not keep up")
            )
        else:
            self._queue.put(write)
        return write

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._transact(batch)
                if self._pages >= _CHECKPOINT_PAGES:
                    self._checkpoint()
        finally:
            self._connection.close()
            self._lock.close()

    def _take(self) -> list[Write[Any]] | None:
        """The next writes, in the order they came; None when closed and all are done."""
        batch: list[Write[Any]] = []
        while len(batch) < _BATCH_WRITES:
            write = self._waiting.popleft() if self._waiting else self._next(wait=not batch)
            if write is None:
                break
            batch.append(write)
        return batch or None

    def _next(self, *, wait: bool) -> Write[Any] | None:
        try:
            write = self._wait() if wait and not self._stopping else self._queue.get_nowait()
        except queue.Empty:
            return None
        if write is None:
            # Steps of long writes may be queued behind it.
            self._stopping = True
            return self._next(wait=False)
        return write

    def _wait(self) -> Write[Any] | None:
        if self._pages:
            try:
                return self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                self._checkpoint()
        return self._queue.get()

    def _transact(self, batch: list[Write[Any]]) -> None:
        durable = any(write.durable for write in batch)
        outcomes: list[tuple[Write[Any], Any, Exception | None]] = []
        unfinished: list[Write[Any]] = []
        done = 0
        try:
            if durable != self._durable:
                self._connection.synchronous(durable=durable)
                self._durable = durable
            with self._lock:
                self._connection.begin()
                until = time.monotonic() + _BATCH_SECONDS
                for write in batch:
                    done += 1
                    result, error = self._part(write)
                    if result is UNFINISHED:
                        unfinished.append(write)
                    else:
                        outcomes.append((write, result, error))
                    self._pages += write.pages
                    if time.monotonic() >= until:
                        break
                self._connection.commit()
        except Exception as error:  # noqa: BLE001 (whatever it was, those who wait are told, and the writer lives)
            # Nothing of the transaction is there: who had a result has none.
            self._abandon()
            told = failure(self._path, error) if isinstance(error, sqlite3.Error | OSError) else error
            outcomes = [(write, None, told) for write in batch[:done] or batch]
            unfinished, done = [], done or len(batch)
        self._waiting.extendleft(reversed(batch[done:]))
        for write in unfinished:
            self._queue.put(write)
        self._settle(outcomes)

    def _part(self, write: Write[Any]) -> tuple[Any, Exception | None]:
        """Executes one write, or its next step; it fails alone unless the error took the whole transaction with it."""
        connection = self._connection
        connection.savepoint()
        try:
            result = write.execute(connection)
            connection.release()
        except sqlite3.Error as error:
            if not connection.undo():
                raise
            return None, failure(self._path, error)
        except Exception as error:  # noqa: BLE001 (a mistake in one write must not end the writer for all)
            connection.undo()
            return None, error
        return result, None

    def _settle(self, outcomes: list[tuple[Write[Any], Any, Exception | None]]) -> None:
        """Tells everybody who waits, with one wake-up of each event loop."""
        wake: defaultdict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
        for write, result, error in outcomes:
            waiters = write.settle(result, error)
            if error is not None:
                self._count(error, waited_for=bool(waiters))
            for waiter in waiters:
                wake[waiter.get_loop()].append(waiter)
        for loop, waiters in wake.items():
            try:
                loop.call_soon_threadsafe(_wake, waiters)
            except RuntimeError:
                continue  # that loop is closed, and with it all who waited

    def _count(self, error: Exception, *, waited_for: bool) -> None:
        self.failures += 1
        now = time.monotonic()
        if not waited_for and now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            log.warning("a fact was not written: %s", error)

    def _abandon(self) -> None:
        try:
            self._connection.rollback()
        except sqlite3.Error:
            log.exception("%s: rollback failed", self._path)

    def _checkpoint(self) -> None:
        self._pages = 0
        try:
            self._connection.checkpoint()
        except sqlite3.Error as error:
            log.warning("%s: checkpoint failed: %s", self._path, error)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
