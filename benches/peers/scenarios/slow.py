"""Five hundred clients that read slowly, and one that does not."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from benches.load import drain
from benches.peers.metrics import KEPT, MEMORY
from benches.peers.scenario import Figures, Measure, Scenario
from benches.slow_load import slow_clients
from benches.usage import remembered
from tests.support.images import image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

BLOB = 64 << 20
CLIENTS = 500
RATE = 64_000
SECONDS = 8.0
FAST_PULLS = 32


@contextlib.contextmanager
def _open(stand: Stand) -> Iterator[Measure]:
    # Not divided: a layer that fits into the sockets' buffers costs nobody anything.
    made = image([BLOB], seed="slow")
    path = f"/v2/team/app/blobs/{made.layers[0].digest}"
    clients = CLIENTS * stand.effort.clients // 50
    with stand.mirror() as system:
        stand.fill(system, "team/app", made, "v1")

        def once() -> Figures:
            alone = drain(system.port, path, times=FAST_PULLS).rate
            with remembered(system, stand.idle) as memory, slow_clients(system.port, path, clients, RATE):
                time.sleep(min(SECONDS, stand.effort.seconds * 3))
                beside = drain(system.port, path, times=FAST_PULLS).rate
            return {MEMORY: memory.grown / 1e6, KEPT: beside / alone}

        yield once


SCENARIOS = (
    Scenario(
        "slow-clients",
        "500 clients that read a warm layer of 64 MiB at 64 kB/s each",
        _open,
        (MEMORY, KEPT),
        needs=None,
        rounds=2,
    ),
)
