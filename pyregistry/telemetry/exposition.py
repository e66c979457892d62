"""What all processes of a server counted, read from their files: by main for `/metrics`, by `pyregistry status`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client import Metric


@dataclass(slots=True)
class UpstreamTotals:
    """One upstream since this `serve` began."""

    results: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    requests: int = 0
    received: int = 0
    served: int = 0
    quota_remaining: int | None = None
    #: Manifests served although blobs of them were missing.
    incomplete: int = 0

    @property
    def answered(self) -> int:
        """Requests of clients, all results."""
        return sum(self.results.values())

    @property
    def hit_ratio(self) -> float | None:
        """The share answered without a fetch of its own: from the store, or from a fill already running."""
        total = self.answered
        return (self.results["hit"] + self.results["joined"] + self.results["stale"]) / total if total else None

    @property
    def saved(self) -> int:
        """Bytes that clients got and upstream did not have to send."""
        return max(0, self.served - self.received)


class _Merged(Collector):
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        # Sorted: the order of series must not depend on the file system. An empty file is just being made.
        files = sorted(str(path) for path in self._directory.glob("*.db") if path.stat().st_size)
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def render(directory: Path) -> bytes:
    """Prometheus' text format over all slots; empty where nothing was counted yet."""
    registry = CollectorRegistry()
    registry.register(_Merged(directory))
    return generate_latest(registry)


def upstreams(directory: Path) -> dict[str, UpstreamTotals]:
    """Totals by upstream; empty where nothing was counted yet."""
    totals: dict[str, UpstreamTotals] = defaultdict(UpstreamTotals)
    for metric in _Merged(directory).collect():
        for sample in metric.samples:
            if (name := sample.labels.get("upstream")) is None:
                continue
            upstream, value = totals[name], int(sample.value)
            match metric.name:
                case "pyregistry_mirror_requests":
                    upstream.results[sample.labels["result"]] += value
                case "pyregistry_mirror_upstream_requests":
                    upstream.requests += value
                case "pyregistry_mirror_upstream_bytes":
                    upstream.received += value
                case "pyregistry_mirror_served_bytes":
                    upstream.served += value
                case "pyregistry_mirror_incomplete_manifests":
                    upstream.incomplete += value
                case "pyregistry_mirror_upstream_quota_remaining":
                    upstream.quota_remaining = value
    return dict(sorted(totals.items()))
