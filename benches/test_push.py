"""Pushing 8 blobs of 64 MiB at once, beside distribution on the same disk in the same run, interleaved.

`cpu_per_gb`: CPU seconds of all server processes for 10^9 bytes; `over_distribution`: median of the pairs' ratios.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.pages import touch_pages
from benches.push_load import push
from benches.usage import cpu_of, measured, remembered
from tests.support.peers import Distribution
from tests.support.serve import Serve

COUNT = 8
SIZE = 64 << 20
PAIRS = 5


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serve, Distribution]]:
    folder = tmp_path_factory.mktemp("push")
    with Serve(folder / "root", log={"level": "warning"}) as ours, Distribution(folder / "distribution") as theirs:
        yield ours, theirs


def _port(host: str) -> int:
    return int(host.rpartition(":")[2])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", [0, 8 << 20], ids=["monolithic", "8 MiB chunks"])
def test_push(servers: tuple[Serve, Distribution], chunk: int, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ours, theirs = servers
    rates: list[float] = []
    costs: list[float] = []
    ratios: list[float] = []

    def pair() -> None:
        seed = f"{tmp_path} {len(rates)}"
        touch_pages(tmp_path, COUNT * SIZE * 2)
        with measured(ours) as usage:
            done = push(_port(ours.host), "bench/push", chunk=chunk, seed=seed, count=COUNT, size=SIZE)
        touch_pages(tmp_path, COUNT * SIZE * 2)
        before = cpu_of([theirs.pid])
        other = push(_port(theirs.host), "bench/push", chunk=chunk, seed=seed, count=COUNT, size=SIZE)
        spent = cpu_of([theirs.pid]) - before
        rates.append(done.sent / done.seconds / 1e6)
        costs.append(usage.cpu / done.sent * 1e9)
        ratios.append((usage.cpu / done.sent) / (spent / other.sent))

    benchmark.pedantic(pair, rounds=PAIRS, iterations=1)
    benchmark.extra_info.update(
        mb_per_s=round(statistics.median(rates)),
        cpu_per_gb=round(statistics.median(costs), 2),
        over_distribution=round(statistics.median(ratios), 2),
    )


@pytest.mark.gate
@pytest.mark.timeout(120)
def test_push_alone(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    """Monolithic, without the other registry."""
    rates: list[float] = []
    costs: list[float] = []
    loads: list[float] = []
    with Serve(tmp_path / "root", log={"level": "warning"}) as server:

        def once() -> None:
            seed = f"{tmp_path} {len(rates)}"
            touch_pages(tmp_path, COUNT * SIZE * 2)
            with measured(server) as usage:
                done = push(_port(server.host), "bench/push", chunk=0, seed=seed, count=COUNT, size=SIZE)
            rates.append(done.sent / done.seconds / 1e6)
            costs.append(usage.cpu / done.sent * 1e9)
            loads.append(done.client_cpu / done.sent * 1e9)

        with remembered(server) as memory:
            benchmark.pedantic(once, rounds=3, iterations=1, warmup_rounds=1)
    benchmark.extra_info.update(
        mb_per_s=round(statistics.median(rates)),
        cpu_per_gb=round(statistics.median(costs), 3),
        client_cpu_per_gb=round(statistics.median(loads), 3),
        peak_mb=round(memory.peak / 1e6, 1),
    )
