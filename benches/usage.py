"""What a server's process tree used: CPU seconds and memory."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import psutil

from tests.support.serve import pss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Seconds between two looks at memory: each costs the kernel a walk over what the processes have mapped.
LOOK_EVERY = 0.2


class Tree(Protocol):
    """A server with all its processes."""

    def processes(self) -> list[int]: ...


@dataclass
class Usage:
    """CPU seconds (user and system) of all processes of a server over a block of code."""

    cpu: float = 0.0


def cpu_seconds(server: Tree) -> float:
    """User and system seconds of all processes that live since they began."""
    return cpu_of(server.processes())


def cpu_of(pids: Iterable[int]) -> float:
    """The same for any processes; those that have gone count nothing."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def measured(server: Tree) -> Iterator[Usage]:
    """CPU seconds that the server used while the block ran."""
    usage = Usage()
    before = cpu_seconds(server)
    yield usage
    usage.cpu = cpu_seconds(server) - before


@dataclass
class Memory:
    """PSS of a server's processes, in bytes: before the block of code, and the highest seen while it ran."""

    idle: int
    peak: int

    @property
    def grown(self) -> int:
        return self.peak - self.idle


@contextlib.contextmanager
def remembered(server: Tree, idle: int | None = None) -> Iterator[Memory]:
    """Peak memory of the server while the block runs; the processes are those that live as it begins.

    `idle`: what it had before, where that is not now: who has been busy keeps memory for a while.
    """
    pids = server.processes()
    now = pss(pids)
    memory = Memory(now if idle is None else idle, now)
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            memory.peak = max(memory.peak, pss(pids))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield memory
    finally:
        over.set()
        looking.join()
        memory.peak = max(memory.peak, pss(pids))
