"""A whole layer that is there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benches.load import drain
from benches.peers.metrics import CPU_PER_GB, GB_PER_S, MEMORY
from benches.peers.scenario import Figures, Measure, Scenario
from benches.usage import measured, remembered
from tests.support.images import image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

BLOB = 512 << 20
CONNECTIONS = 4
TIMES = 4


@contextlib.contextmanager
def _open(stand: Stand) -> Iterator[Measure]:
    made = image([stand.effort.size(BLOB)], seed="warm")
    path = f"/v2/team/app/blobs/{made.layers[0].digest}"
    with stand.mirror() as system:
        stand.fill(system, "team/app", made, "v1")

        def once() -> Figures:
            with measured(system) as usage, remembered(system, stand.idle) as memory:
                got = drain(system.port, path, connections=CONNECTIONS, times=TIMES)
            return {
                GB_PER_S: got.rate / 1e9,
                CPU_PER_GB: usage.cpu / got.received * 1e9,
                MEMORY: memory.grown / 1e6,
            }

        yield once


SCENARIOS = (
    Scenario(
        "warm-blob",
        "Warm layer of 512 MiB on 4 connections",
        _open,
        (GB_PER_S, CPU_PER_GB, MEMORY),
        needs=None,
    ),
)
