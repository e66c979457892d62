"""What a warm cache gives: whole blobs, ranges of 50 KiB and 1 MiB, pulls by tag. End to end over loopback.

Besides the time each reports `cpu_per_gb` (CPU seconds of all server processes per 10^9 bytes) or `cpu_us_per_request`,
the same of the load (`client_`), and `peak_mb` (their memory at its highest, PSS).
"""

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches import wrk
from benches.load import drain
from benches.usage import measured, remembered
from tests.support.clients import get
from tests.support.images import Image, image
from tests.support.serve import Serve
from tests.support.upstream import UpstreamProcess

pytestmark = pytest.mark.timeout(300)

SIZE = 512 << 20


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serve, Image]]:
    """A mirror that has one image whose layer is 512 MiB."""
    made = image([SIZE], seed="warm")
    with UpstreamProcess() as upstream:
        upstream.add("team/app", made, "v1")
        root = tmp_path_factory.mktemp("warm") / "root"
        with Serve(
            root, {"docker.io": upstream.url}, mirror={"freshness": {"ttl": "1h"}}, log={"level": "warning"}
        ) as s:
            assert get(f"{s.url}/v2/team/app/manifests/v1").status == 200
            assert get(f"{s.url}/v2/team/app/blobs/{made.layers[0].digest}", expect=made.layers[0]).right
            yield s, made


def port_of(server: Serve) -> int:
    return int(server.host.rpartition(":")[2])


@pytest.mark.parametrize("connections", [1, pytest.param(4, marks=pytest.mark.gate)])
def test_whole_blob(warm: tuple[Serve, Image], connections: int, benchmark: BenchmarkFixture) -> None:
    server, made = warm
    rates, costs, loads = [], [], []

    def once() -> None:
        with measured(server) as usage:
            got = drain(port_of(server), f"/v2/team/app/blobs/{made.layers[0].digest}", connections=connections)
        rates.append(got.rate / 1e9)
        costs.append(usage.cpu / got.received * 1e9)
        loads.append(got.client_cpu / got.received * 1e9)

    with remembered(server) as memory:
        benchmark.pedantic(once, rounds=5, warmup_rounds=1)
    _report(benchmark, memory.peak, gb_per_s=rates, cpu_per_gb=costs, client_cpu_per_gb=loads)


@pytest.mark.parametrize("length", [pytest.param(50 << 10, marks=pytest.mark.gate), 1 << 20], ids=["50 KiB", "1 MiB"])
def test_ranges(warm: tuple[Serve, Image], length: int, benchmark: BenchmarkFixture) -> None:
    server, made = warm
    path = f"/v2/team/app/blobs/{made.layers[0].digest}"
    _small(benchmark, server, server.url + path, wrk.random_ranges(path, SIZE, length))


@pytest.mark.gate
def test_manifest_by_tag(warm: tuple[Serve, Image], benchmark: BenchmarkFixture) -> None:
    server, _ = warm
    _small(benchmark, server, f"{server.url}/v2/team/app/manifests/v1", None)


def _small(benchmark: BenchmarkFixture, server: Serve, url: str, script: str | None) -> None:
    rates, costs, loads, halves, tails = [], [], [], [], []

    def once() -> None:
        with measured(server) as usage:
            load = wrk.run(url, seconds=3, script=script)
        rates.append(load.rate)
        costs.append(usage.cpu / load.requests * 1e6)
        loads.append(load.client_cpu / load.requests * 1e6)
        halves.append(load.p50 * 1e6)
        tails.append(load.p99 * 1e6)

    with remembered(server) as memory:
        benchmark.pedantic(once, rounds=3, warmup_rounds=1)
    figures = {"requests_per_s": rates, "cpu_us_per_request": costs, "client_cpu_us_per_request": loads}
    _report(benchmark, memory.peak, **figures, p50_us=halves, p99_us=tails)


def _report(benchmark: BenchmarkFixture, peak: int, **figures: list[float]) -> None:
    """Medians into the benchmark's record, without the warm-up round."""
    for name, values in figures.items():
        counted = sorted(values[1:] or values)
        benchmark.extra_info[name] = round(counted[len(counted) // 2], 3)
    benchmark.extra_info["peak_mb"] = round(peak / 1e6, 1)
