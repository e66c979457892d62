"""Where one system meets one scenario: its folder, its upstream, how much is asked of it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from benches.peers.fetch import get
from tests.support.serve import pss
from tests.support.upstream import UpstreamProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.system import System
    from tests.support.images import Image

#: Attempts to fill a cache before it counts as one that does not keep what it fetched, and seconds between them: on a
#: busy disk some take long to write down what the client has already.
FILLS = 10
PAUSE = 0.5


@dataclass(frozen=True)
class Effort:
    """How much a run asks: sizes are divided by `divisor`; `seconds` is how long requests per second are counted."""

    divisor: int
    rounds: int
    seconds: int
    clients: int
    tags: int

    def size(self, full: int) -> int:
        """Bytes, whole 64 KiB, one at least."""
        return max(1, full // self.divisor >> 16) << 16


FULL = Effort(divisor=1, rounds=3, seconds=3, clients=50, tags=500)
QUICK = Effort(divisor=4, rounds=1, seconds=1, clients=50, tags=100)
SMOKE = Effort(divisor=64, rounds=1, seconds=1, clients=4, tags=3)


@dataclass(frozen=True)
class Installed:
    """A system that is here."""

    kind: type[System]
    program: str
    version: str


class Stand:
    """One system's place for a scenario, with an upstream of its own, so that its requests are told apart."""

    def __init__(self, installed: Installed, effort: Effort) -> None:
        self.installed = installed
        self.effort = effort
        self.upstream = UpstreamProcess()
        #: PSS in bytes of the system that was started last, before anybody asked it for anything.
        self.idle = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.upstream.close()

    @contextlib.contextmanager
    def mirror(self, freshness: int | None = None) -> Iterator[System]:
        """A fresh mirror of the upstream."""
        with self._started(self.upstream, freshness) as system:
            yield system

    @contextlib.contextmanager
    def registry(self) -> Iterator[System]:
        """A fresh registry of its own."""
        with self._started(None, None) as system:
            yield system

    @contextlib.contextmanager
    def _started(self, upstream: UpstreamProcess | None, freshness: int | None) -> Iterator[System]:
        folder = Path(tempfile.mkdtemp(prefix="peers-"))
        system = self.installed.kind(self.installed.program, folder / "root", upstream, freshness)
        try:
            system.start()
            self.upstream.forget()
            self.idle = pss(system.processes())
            yield system
        finally:
            system.close()
            shutil.rmtree(folder)

    def fill(self, system: System, repository: str, image: Image, tag: str, *, blobs: bool = True) -> None:
        """Puts an image into a system, by a pull unless it has another way; its `blobs` until they are there."""
        self.upstream.add(repository, image, tag)
        if system.stock(repository, image, tag):
            return
        self._pull(system, f"/v2/{repository}/manifests/{tag}")
        for blob in image.blobs if blobs else ():
            self.warm(system, f"/v2/{repository}/blobs/{blob.digest}", blob.digest)

    def warm(self, system: System, path: str, digest: str) -> None:
        """Pulls a blob until it comes from the store; some write it down a little after the client has it."""
        for _ in range(FILLS):
            before = self.upstream.gets(digest)
            self._pull(system, path)
            if self.upstream.gets(digest) == before:
                return
            time.sleep(PAUSE)
        raise RuntimeError(f"fetched again each time: {path}")

    def _pull(self, system: System, path: str) -> None:
        got = get(system.port, path)
        if not got.whole:
            raise RuntimeError(f"{got.failure}: {path}")

    def upstream_ratio(self, image: Image) -> float:
        """Bytes that upstream sent of the image's config and layers, over what they are."""
        sent = sum(self.upstream.body_bytes(blob.digest) for blob in image.blobs)
        return sent / sum(blob.size for blob in image.blobs)
