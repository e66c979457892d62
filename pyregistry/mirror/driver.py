"""Who sees one digest's fill through in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyregistry.errors import Failure
    from pyregistry.oci.digests import Digest
    from pyregistry.store.target import Target


class Driver:
    """The task that sees one digest's fill through in this process, and the repositories that can be asked."""

    def __init__(self, digest: Digest) -> None:
        self.digest = digest
        self.targets: dict[str, Target] = {}
        #: The repository whose upstream the fill runs from now.
        self.source: str | None = None
        #: The repository whose upstream began the fill from byte 0 here; None: another process did, or a partial was
        #: there.
        self.began: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        #: What became of it, if it failed here.
        self.failure: Failure | None = None
        self.task: asyncio.Task[None] | None = None

    def begin(self, repository: str | None) -> None:
        """Tells the waiting requests whose fill it is; only the first word counts."""
        if not self.began.done():
            self.began.set_result(repository)
