"""What slow and stalled clients cost: memory of all server processes, and what a fast client loses."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.load import drain
from benches.slow_load import slow_clients
from tests.support.clients import fetch
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import UpstreamProcess

SIZE = 64 << 20
CLIENTS = 500
RATE = 64_000
SECONDS = 20.0
PAIRS = 5
FAST_PULLS = 32
"""Of the whole blob, one after another: half a second and more, since what one second brings varies by a third."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Serve, str]]:
    made = image([SIZE], seed="slow")
    with UpstreamProcess() as upstream:
        upstream.add("team/app", made, "v1")
        with Serve(tmp_path / "root", {"docker.io": upstream.url}, log={"level": "warning"}) as started:
            path = f"/v2/team/app/blobs/{made.layers[0].digest}"
            asyncio.run(fetch(started.url + path, keep=False))
            yield started, path


@pytest.mark.timeout(600)
def test_500_slow_clients(server: tuple[Serve, str], benchmark: BenchmarkFixture) -> None:
    started, path = server
    port = int(started.host.rpartition(":")[2])
    grown: list[int] = []
    alone: list[float] = []
    beside: list[float] = []
    slow: list[float] = []

    def pair() -> None:
        alone.append(drain(port, path, times=FAST_PULLS).rate)
        idle = started.pss()
        with slow_clients(port, path, CLIENTS, RATE) as load:
            time.sleep(SECONDS / PAIRS if benchmark.disabled else SECONDS)
            beside.append(drain(port, path, times=FAST_PULLS).rate)
            grown.append(started.pss() - idle)
        slow.append(load.client_cpu)

    benchmark.pedantic(pair, rounds=PAIRS, iterations=1)
    kept = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    benchmark.extra_info.update(
        pss_growth_mb=round(max(grown) / 1e6, 1),
        fast_client_keeps=round(kept, 3),
        slow_clients_cpu_s=round(statistics.median(slow), 2),
        fast_alone_gb_per_s=round(statistics.median(alone) / 1e9, 2),
    )
    if not benchmark.disabled:  # a smoke run shares the machine with others
        assert max(grown) <= 100e6
        assert kept >= 0.8


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "rate"), [("stalled", 0), ("slow", RATE)])
def test_memory_for_a_client(server: tuple[Serve, str], kind: str, rate: float, benchmark: BenchmarkFixture) -> None:
    """I9: at most 200 KiB each (PSS of all processes over idle), however long they read nothing."""
    started, path = server
    port = int(started.host.rpartition(":")[2])
    count = 300
    each: list[float] = []

    def once() -> None:
        idle = started.pss()
        with slow_clients(port, path, count, rate):
            time.sleep(5)
            each.append((started.pss() - idle) / count / 1024)

    benchmark.pedantic(once, rounds=1, iterations=1)
    benchmark.extra_info["kib_for_a_client"] = round(each[0], 1)
    assert each[0] <= 200
