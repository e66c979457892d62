"""What slow and stalled clients cost: memory of all server processes, and what a fast client loses."""

import asyncio
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.load import drain
from tests.support.clients import Pace, fetch
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import UpstreamProcess

SIZE = 64 << 20
CLIENTS = 500
RATE = 64_000
SECONDS = 20.0
PAIRS = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Serve, str]]:
    made = image([SIZE], seed="slow")
    with UpstreamProcess() as upstream:
        upstream.add("team/app", made, "v1")
        with Serve(tmp_path / "root", {"docker.io": upstream.url}, log={"level": "warning"}) as started:
            path = f"/v2/team/app/blobs/{made.layers[0].digest}"
            asyncio.run(fetch(started.url + path, keep=False))
            yield started, path


async def slow_clients(url: str) -> list[asyncio.Task[object]]:
    """So many clients that read at 64 KB/s, every one with its first byte."""
    tasks: list[asyncio.Task[object]] = []
    for start in range(0, CLIENTS, 50):
        tasks += [
            asyncio.create_task(fetch(url, keep=False, pace=Pace(rate=RATE), receive_buffer=64 << 10, timeout=300))
            for _ in range(min(50, CLIENTS - start))
        ]
        await asyncio.sleep(0.1)
    return tasks


@pytest.mark.timeout(600)
def test_500_slow_clients(server: tuple[Serve, str], benchmark: BenchmarkFixture) -> None:
    started, path = server
    port = int(started.host.rpartition(":")[2])
    grown: list[int] = []
    alone: list[float] = []
    beside: list[float] = []

    def fast() -> float:
        return drain(port, path, times=8).rate

    async def pair() -> None:
        alone.append(await asyncio.to_thread(fast))
        idle = started.pss()
        tasks = await slow_clients(started.url + path)
        try:
            await asyncio.sleep(SECONDS / PAIRS)
            beside.append(await asyncio.to_thread(fast))
            grown.append(started.pss() - idle)
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    benchmark.pedantic(lambda: asyncio.run(pair()), rounds=PAIRS, iterations=1)
    kept = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    benchmark.extra_info.update(
        pss_growth_mb=round(max(grown) / 1e6, 1),
        fast_client_keeps=round(kept, 3),
        fast_alone_gb_per_s=round(statistics.median(alone) / 1e9, 2),
    )
    assert max(grown) <= 100e6
    if not benchmark.disabled:  # a smoke run shares the machine with others
        assert kept >= 0.8


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["stalled", "slow"])
def test_memory_for_a_client(server: tuple[Serve, str], kind: str, benchmark: BenchmarkFixture) -> None:
    """I9: at most 200 KiB each (PSS of all processes over idle), however long they read nothing."""
    started, path = server
    count = 300
    each: list[float] = []

    async def once() -> None:
        idle = started.pss()
        paces = [Pace(rate=RATE) if kind == "slow" else Pace(stall_after=1000) for _ in range(count)]
        tasks = [
            asyncio.create_task(fetch(started.url + path, keep=False, pace=pace, receive_buffer=64 << 10, timeout=300))
            for pace in paces
        ]
        try:
            await asyncio.sleep(5)
            each.append((started.pss() - idle) / count / 1024)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    benchmark.pedantic(lambda: asyncio.run(once()), rounds=1, iterations=1)
    benchmark.extra_info["kib_for_a_client"] = round(each[0], 1)
    assert each[0] <= 200
