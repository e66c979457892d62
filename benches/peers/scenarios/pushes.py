"""Pushes of layers that nobody has, several at once."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benches.pages import touch_pages
from benches.peers.metrics import CPU_PER_GB, MB_PER_S, MEMORY
from benches.peers.scenario import Figures, Measure, Scenario
from benches.peers.system import Ability
from benches.push_load import push
from benches.usage import measured, remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

COUNT = 8
SIZE = 64 << 20
CHUNK = 8 << 20


@contextlib.contextmanager
def _open(stand: Stand, *, chunk: int) -> Iterator[Measure]:
    size = stand.effort.size(SIZE)
    numbers, own = itertools.count(), secrets.token_hex(8)
    with stand.registry() as system:

        def once() -> Figures:
            seed = f"{own} {next(numbers)}"
            touch_pages(Path(tempfile.gettempdir()), COUNT * size * 2)
            with measured(system) as usage, remembered(system, stand.idle) as memory:
                pushed = push(system.port, "team/app", chunk=chunk, seed=seed, count=COUNT, size=size)
            return {
                MB_PER_S: pushed.sent / pushed.seconds / 1e6,
                CPU_PER_GB: usage.cpu / pushed.sent * 1e9,
                MEMORY: memory.grown / 1e6,
            }

        yield once


SCENARIOS = tuple(
    Scenario(key, title, partial(_open, chunk=chunk), (MB_PER_S, CPU_PER_GB, MEMORY), needs=Ability.PUSH)
    for key, title, chunk in (
        ("push", "Push of 8 layers of 64 MiB at once, each in one PUT", 0),
        ("push-chunked", "Push of 8 layers of 64 MiB at once, in PATCHes of 8 MiB", CHUNK),
    )
)
