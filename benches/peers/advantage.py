"""How many times better one system did than another, and what is aimed at."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.peers.metrics import (
    CPU_PER_GB,
    FIRST_P50,
    GB_PER_S,
    MEMORY,
    PER_S,
    UPSTREAM,
    Better,
    Metric,
)

if TYPE_CHECKING:
    from benches.peers.samples import Run

OURS = "pyregistry"
#: Figures below this are noise of the measurement (MB, ms, ratios alike) and not divided by.
LEAST = 1e-3


def advantage(run: Run, scenario: str, peer: str, metric: Metric) -> float | None:
    """How many times better pyregistry did than `peer`: the median over the rounds that both have. None: no figure, or
    one too small to divide by."""
    ours, theirs = run.values(scenario, OURS, metric), run.values(scenario, peer, metric)
    pairs = [(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
    if metric.better is Better.HIGHER:
        pairs = [(their, our) for our, their in pairs]
    ratios = [worse / good for good, worse in pairs if min(good, worse) >= LEAST]
    return statistics.median(ratios) if pairs and len(ratios) == len(pairs) else None


@dataclass(frozen=True)
class Target:
    """What pyregistry is to show beside `peer` (None: by itself, at most `bound`)."""

    says: str
    scenario: str
    metric: Metric
    peer: str | None
    bound: float

    def measured(self, run: Run) -> float | None:
        if self.peer is None:
            return run.median(self.scenario, OURS, self.metric)
        return advantage(run, self.scenario, self.peer, self.metric)

    def met(self, run: Run) -> bool | None:
        """None where it was not measured."""
        found = self.measured(run)
        if found is None:
            return None
        return found <= self.bound if self.peer is None else found >= self.bound


_DISTRIBUTION, _ZOT = "distribution", "zot"

TARGETS = (
    Target("a storm fetches each byte once", "storm-limited", UPSTREAM, None, 1.0),
    Target("a storm costs upstream a 30th", "storm-limited", UPSTREAM, _DISTRIBUTION, 30),
    Target("warm layers at 0.8 of its rate", "warm-blob", GB_PER_S, _DISTRIBUTION, 0.8),
    Target("warm layers at 1.2 times its CPU at most", "warm-blob", CPU_PER_GB, _DISTRIBUTION, 1 / 1.2),
    Target("10 times its ranges of 50 KiB", "ranges-50kib-1-tag", PER_S, _DISTRIBUTION, 10),
    Target("8 times its pulls by tag", "tags-0ms", PER_S, _DISTRIBUTION, 8),
    Target("a 20th of its memory for slow clients", "slow-clients", MEMORY, _DISTRIBUTION, 20),
    Target("twice its ranges of 50 KiB, 1 tag", "ranges-50kib-1-tag", PER_S, _ZOT, 2),
    Target("100 times its ranges of 50 KiB, 500 tags", "ranges-50kib-500-tags", PER_S, _ZOT, 100),
    Target("1.2 times its pulls by tag", "tags-0ms", PER_S, _ZOT, 1.2),
    Target("first byte in a storm in a tenth of its time", "storm-limited", FIRST_P50, _ZOT, 10),
)
