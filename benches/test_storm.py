"""The first byte in a cold storm: 50 clients, 4 layers of 64 MiB, upstream capped at 50 MB/s with 20 ms latency.

Per client and blob: its first body byte less the later of its request and upstream's first byte of that blob.
(That every byte is right is for tests/integration/test_one_fetch.py.)
"""

import statistics
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.storm_load import run_storm
from benches.usage import measured, remembered
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import UpstreamProcess

CLIENTS = 50


@pytest.mark.timeout(300)
def test_first_byte_in_a_cold_storm(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    made = image([64 << 20] * 4, seed="storm")
    with UpstreamProcess(latency=0.02, rate=50e6) as upstream:
        upstream.add("team/app", made, "v1")
        with Serve(tmp_path / "root", {"docker.io": upstream.url}) as server:
            port = int(server.host.rpartition(":")[2])
            with remembered(server) as memory, measured(server) as usage:
                storm = benchmark.pedantic(run_storm, (port, "team/app", "v1", made, CLIENTS), rounds=1, iterations=1)
        first = {f"/v2/team/app/blobs/{digest}": at for digest, at in upstream.counters().first_bytes().items()}
        gets = [upstream.gets(blob.digest) for blob in made.blobs]
        received = sum(upstream.body_bytes(blob.digest) for blob in made.blobs)
    assert gets == [1] * len(made.blobs)
    assert len(storm.layers) == CLIENTS * len(made.blobs)
    delays = sorted(layer.first_byte - max(layer.asked, first[layer.path]) for layer in storm.layers)
    served = sum(layer.received for layer in storm.layers)
    assert served == CLIENTS * sum(blob.size for blob in made.blobs)
    benchmark.extra_info.update(
        first_byte_ms_p50=round(statistics.median(delays) * 1000, 2),
        first_byte_ms_p99=round(delays[len(delays) * 99 // 100] * 1000, 2),
        upstream_bytes_over_image=received / sum(blob.size for blob in made.blobs),
        seconds=round(storm.seconds, 2),
        cpu_per_gb=round(usage.cpu / served * 1e9, 3),
        client_cpu_per_gb=round(storm.client_cpu / served * 1e9, 3),
        peak_mb=round(memory.peak / 1e6, 1),
    )
    if not benchmark.disabled:  # a smoke run shares the machine with others
        assert statistics.median(delays) < 0.05
