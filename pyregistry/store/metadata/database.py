"""The metadata database as the rest of pyregistry sees it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import literal_column, select

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata import totals
from pyregistry.store.metadata.blobs import Blobs
from pyregistry.store.metadata.checks import Checks
from pyregistry.store.metadata.manifests import Manifests
from pyregistry.store.metadata.migrations import migrate
from pyregistry.store.metadata.pushes import Pushes
from pyregistry.store.metadata.referrers import Referrers
from pyregistry.store.metadata.repositories import Repositories
from pyregistry.store.metadata.sqlite import DATABASE, Connection, Statement, WriteLock, reported
from pyregistry.store.metadata.tables import repository
from pyregistry.store.metadata.tags import Tags
from pyregistry.store.metadata.uploads import Uploads
from pyregistry.store.metadata.writer import Write, Writer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from pyregistry.store.metadata.facts import Totals

log = logging.getLogger(__name__)

_ANYTHING = Statement(select(literal_column("1")).select_from(repository).limit(1))


class Metadata(Repositories, Checks, Tags, Referrers, Uploads, Blobs, Manifests, Pushes):
    """Facts of one storage root. One per process, used by one event loop's thread.

    Reads answer inline and see every commit of every process. Writes begin when called: `await` them to know, or do
    not. `durable`: the commit outlives power loss. Where a method is for both kinds of repositories, `hosted` says
    which: one name of both kinds is two repositories (`repositories`). Where a write may make a mirrored one and gives
    no upstream, that is the first component of its canonical name.
    """

    def __init__(self, root: Path, reader: Connection, writer: Writer) -> None:
        self._root = root
        self._path = root / DATABASE
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[object]] = set()

    @classmethod
    def open(cls, root: Path) -> Self:
        """Opens `root`'s database, after making it or bringing it to this version. Raises Failure."""
        path = root / DATABASE
        with reported(root):
            root.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(root)
        try:
            with lock, reported(path):
                migrate(path)
        finally:
            lock.close()
        with reported(path):
            reader = Connection(path, read_only=True)
            try:
                return cls(root, reader, Writer(root))
            except BaseException:
                reader.close()
                raise

    def close(self) -> None:
        """Writes what is queued and closes. May block for as long as that takes."""
        for task in self._tasks:
            task.cancel()
        self._writer.close()
        self._reader.close()

    def later(self, write: Write[Any] | Coroutine[object, object, object]) -> None:
        """Says that nobody waits for `write`; a coroutine is run to its end. Failures are logged and counted."""
        if isinstance(write, Write):
            return  # it has begun, and its failure is the writer's to report
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(write)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def check(self) -> None:
        """Raises Failure if facts cannot be read, or writes are not taken."""
        self._one(_ANYTHING, {})
        if not self._writer.alive:
            raise Failure(Cause.STORAGE, f"{self._path}: its writer has stopped; restart this worker")

    async def totals(self) -> Totals:
        """Sums for `status`; counted off the loop."""
        return await asyncio.to_thread(totals.totals, self._root)

    @property
    def write_failures(self) -> int:
        """Writes that failed in this process."""
        return self._writer.failures

    def _finished(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a fact was not written: %s", error)
