"""Fifty clients pull an image that the mirror does not have, all at once."""

from __future__ import annotations

import contextlib
import statistics
from functools import partial
from typing import TYPE_CHECKING

from benches.peers.metrics import CPU_PER_GB, FIRST_P50, FIRST_P99, MEMORY, SECONDS, UPSTREAM
from benches.peers.scenario import Figures, Measure, Scenario
from benches.storm_load import run_storm
from benches.usage import measured, remembered
from tests.support.images import image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

LATENCY = 0.02
LIMIT = 50e6
LAYERS = 4


@contextlib.contextmanager
def _open(stand: Stand, *, rate: float | None, layer: int) -> Iterator[Measure]:
    made = image([stand.effort.size(layer)] * LAYERS, seed=f"storm {rate}")
    stand.upstream.add("team/app", made, "v1")
    stand.upstream.configure(latency=LATENCY, rate=rate)

    def once() -> Figures:
        with stand.mirror() as system:
            with measured(system) as usage, remembered(system, stand.idle) as memory:
                storm = run_storm(system.port, "team/app", "v1", made, stand.effort.clients)
            ratio = stand.upstream_ratio(made)
        layers = {f"/v2/team/app/blobs/{blob.digest}" for blob in made.layers}
        waits = sorted(pull.first_byte - pull.begun for pull in storm.layers if pull.path in layers)
        return {
            UPSTREAM: ratio,
            FIRST_P50: statistics.median(waits) * 1e3,
            FIRST_P99: waits[len(waits) * 99 // 100] * 1e3,
            SECONDS: storm.seconds,
            CPU_PER_GB: usage.cpu / sum(pull.received for pull in storm.layers) * 1e9,
            MEMORY: memory.grown / 1e6,
        }

    yield once


METRICS = (UPSTREAM, FIRST_P50, FIRST_P99, SECONDS, CPU_PER_GB, MEMORY)

SCENARIOS = (
    Scenario(
        "storm-limited",
        "Cold storm: 50 clients, one image of 4 x 8 MiB, upstream at 50 MB/s and 20 ms",
        partial(_open, rate=LIMIT, layer=8 << 20),
        METRICS,
        rounds=2,
        says="First byte: from a client's first request to the first byte of each layer.",
    ),
    Scenario(
        "storm",
        "Cold storm: 50 clients, one image of 4 x 32 MiB, upstream at 20 ms",
        partial(_open, rate=None, layer=32 << 20),
        METRICS,
        rounds=2,
    ),
)
