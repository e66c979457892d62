"""The first byte in a cold storm: 50 clients, 4 layers of 64 MiB, upstream capped at 50 MB/s with 20 ms latency.

Per client and layer: its first body byte less the later of its request and upstream's first byte of that layer.
"""

import statistics
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.usage import measured
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.storms import first_byte_delays, run_storm
from tests.support.upstream import UpstreamProcess

CLIENTS = 50


@pytest.mark.timeout(300)
def test_first_byte_in_a_cold_storm(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    made = image([64 << 20] * 4, seed="storm")
    with UpstreamProcess(latency=0.02, rate=50e6) as upstream:
        upstream.add("team/app", made, "v1")
        with Serve(tmp_path / "root", {"docker.io": upstream.url}) as server, measured(server) as usage:
            pulls = benchmark.pedantic(
                run_storm, (server.url, [("team/app", "v1")], made, CLIENTS), rounds=1, iterations=1
            )
        assert all(one.right for one in pulls), [wrong for one in pulls for wrong in one.wrong()]
        delays = sorted(first_byte_delays(pulls, upstream.counters().first_bytes()))
        received = sum(upstream.body_bytes(layer.digest) for layer in made.layers)
    assert len(delays) >= CLIENTS * 4
    served = CLIENTS * made.size
    benchmark.extra_info.update(
        first_byte_ms_p50=round(statistics.median(delays) * 1000, 2),
        first_byte_ms_p99=round(delays[len(delays) * 99 // 100] * 1000, 2),
        upstream_bytes_over_image=received / sum(layer.size for layer in made.layers),
        cpu_per_gb=round(usage.cpu / served * 1e9, 3),
    )
    if not benchmark.disabled:  # a smoke run shares the machine with others
        assert statistics.median(delays) < 0.05
