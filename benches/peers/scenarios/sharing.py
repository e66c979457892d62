"""What is fetched although it is there already, or was not asked for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benches.peers.metrics import SECONDS, UPSTREAM
from benches.peers.scenario import Figures, Measure, Scenario
from benches.storm_load import run_storm
from tests.support.images import image, multi_platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand

LATENCY = 0.02
LIMIT = 50e6
LAYERS = 4
PLATFORMS = tuple(("linux", name) for name in ("amd64", "arm64", "arm", "ppc64le", "riscv64", "s390x"))


@contextlib.contextmanager
def _two_repositories(stand: Stand) -> Iterator[Measure]:
    one = image([stand.effort.size(8 << 20)] * LAYERS, seed="shared")
    other = image(layers=one.layers, annotations={"of": "another repository"})
    stand.upstream.add("team/one", one, "v1")
    stand.upstream.add("team/other", other, "v1")
    stand.upstream.configure(latency=LATENCY, rate=LIMIT)

    def once() -> Figures:
        with stand.mirror() as system:
            run_storm(system.port, "team/one", "v1", one, 1)
            second = run_storm(system.port, "team/other", "v1", other, 1)
            return {UPSTREAM: stand.upstream_ratio(one), SECONDS: second.seconds}

    yield once


@contextlib.contextmanager
def _one_platform(stand: Stand) -> Iterator[Measure]:
    index = multi_platform([stand.effort.size(4 << 20)] * LAYERS, seed="six", platforms=PLATFORMS)
    wanted = index.children[0]
    stand.upstream.add("team/app", index, "v1")
    stand.upstream.configure(latency=LATENCY, rate=LIMIT)

    def once() -> Figures:
        with stand.mirror() as system:
            pulled = run_storm(system.port, "team/app", "v1", wanted, 1, index=index)
            blobs = {blob.digest: blob for child in index.children for blob in child.blobs}
            sent = sum(stand.upstream.body_bytes(digest) for digest in blobs)
        return {UPSTREAM: sent / sum(blob.size for blob in wanted.blobs), SECONDS: pulled.seconds}

    yield once


SCENARIOS = (
    Scenario(
        "shared-layers",
        "Two repositories with the same layers (32 MiB), pulled one after the other, upstream at 50 MB/s",
        _two_repositories,
        (UPSTREAM, SECONDS),
        says="Seconds: the second pull.",
    ),
    Scenario(
        "six-platforms",
        "An index of six platforms, one of them pulled (16 MiB), upstream at 50 MB/s",
        _one_platform,
        (UPSTREAM, SECONDS),
        says="Image: the platform that was asked for.",
    ),
)
