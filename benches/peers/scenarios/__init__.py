"""The scenarios, in the table's order."""

from __future__ import annotations

from benches.peers.scenarios import interruptions, pushes, ranges, sharing, slow, storm, tags, warm

SCENARIOS = (
    *storm.SCENARIOS,
    *sharing.SCENARIOS,
    *interruptions.SCENARIOS,
    *warm.SCENARIOS,
    *ranges.SCENARIOS,
    *tags.SCENARIOS,
    *slow.SCENARIOS,
    *pushes.SCENARIOS,
)
