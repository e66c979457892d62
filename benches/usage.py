"""What a server's process tree used: CPU seconds and memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.support.serve import Serve


@dataclass
class Usage:
    """CPU seconds (user and system) of all processes of a server over a block of code."""

    cpu: float = 0.0


def cpu_seconds(server: Serve) -> float:
    """User and system seconds of main and its workers since they began."""
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
def measured(server: Serve) -> Iterator[Usage]:
    """CPU seconds that the server used while the block ran."""
    usage = Usage()
    before = cpu_seconds(server)
    yield usage
    usage.cpu = cpu_seconds(server) - before
