"""Pulls by tag of an image that is there: what each costs, and what upstream's latency or absence does to them."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

from benches import wrk
from benches.peers.metrics import ASKED, CPU_PER_REQUEST, P50, P99, PER_S
from benches.peers.scenario import Figures, Measure, Scenario
from benches.usage import measured
from tests.support.images import image
from tests.support.storms import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

CONNECTIONS = 16
#: Seconds for which a tag is fresh where upstream is down: all of them are asked about what is stale.
SHORT = 1
STALE_AFTER = 1.5


@contextlib.contextmanager
def _open(stand: Stand, *, latency: float, down: bool = False) -> Iterator[Measure]:
    made = image([1024], seed="tags")
    with stand.mirror(SHORT if down else None) as system:
        stand.fill(system, "team/app", made, "v1")
        stand.upstream.configure(latency=latency)
        if down:
            stand.upstream.down()
            time.sleep(STALE_AFTER)

        def once() -> Figures:
            stand.upstream.forget()
            url = f"http://127.0.0.1:{system.port}/v2/team/app/manifests/v1"
            with measured(system) as usage:
                load = wrk.run(
                    url,
                    connections=CONNECTIONS,
                    seconds=stand.effort.seconds,
                    script=f'wrk.headers["Accept"] = "{ACCEPT}"',
                )
            return {
                PER_S: load.rate,
                P50: load.p50 * 1e3,
                P99: load.p99 * 1e3,
                CPU_PER_REQUEST: usage.cpu / load.requests * 1e6,
                ASKED: len(stand.upstream.records()) / load.requests,
            }

        yield once


METRICS = (PER_S, P50, P99, CPU_PER_REQUEST, ASKED)

SCENARIOS = (
    Scenario(
        "tags-0ms",
        "Pulls by tag, 16 connections, upstream at 0 ms",
        partial(_open, latency=0),
        METRICS,
        needs=None,
        says="pyregistry and nginx ask upstream about a tag once a minute, distribution at each pull: the upstream of "
        "this run (Python, on the same machine) is part of what distribution's rate shows, not of its CPU.",
    ),
    Scenario(
        "tags-200ms",
        "Pulls by tag, 16 connections, upstream at 200 ms",
        partial(_open, latency=0.2),
        METRICS,
    ),
    Scenario(
        "tags-down",
        "Pulls by tag, 16 connections, upstream down and the tag stale",
        partial(_open, latency=0, down=True),
        METRICS[:-1],
    ),
)
