"""A cold blob: the fill alone and with readers, below HTTP; and end to end with clients that all ask at once.

`cpu_per_gb` is for 10^9 bytes of the blob below HTTP (of this process, readers included), for 10^9 bytes served end to
end (of the server's processes).
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from benches.load import drain
from benches.pages import touch_pages
from benches.usage import measured, remembered
from pyregistry._native import Client, Reader, Store
from tests.support.blobs import random_blob
from tests.support.serve import Serve
from tests.support.upstream import UpstreamProcess

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SIZE = 64 << 20
CHUNK = 256 << 10
ROUNDS = 5

CLIENTS = 8
SERVED = 128 << 20


async def _read(reader: Reader) -> int:
    await reader.ready()
    plan, count = reader.plan(), 0
    while piece := await plan.next(CHUNK):
        count += len(piece)
    return count


async def _fill(root: Path, url: str, digest: str, readers: int) -> None:
    # Nobody waits for a fill without readers: it goes on since little is left to fetch.
    store = Store(str(root), reserve=0, abandon_remaining=SIZE)
    fill = await store.own_or_follow(digest)
    assert fill is not None
    attached = [store.attach(digest) for _ in range(readers)]
    source = Client(user_agent="bench").source(f"{url}/v2/team/app/blobs/{digest}", [])
    outcome, *counts = await asyncio.gather(fill.run(source), *map(_read, attached))
    assert outcome == "committed"
    assert counts == [SIZE] * readers
    await store.close()


@pytest.mark.parametrize("readers", [0, 1, 50])
def test_fill(tmp_path: Path, readers: int, benchmark: BenchmarkFixture) -> None:
    blob = random_blob(SIZE, "fill")
    costs, rates, roots = [], [], itertools.count()
    with UpstreamProcess() as upstream:
        upstream.add_blob("team/app", blob)

        def once() -> None:
            cpu, clock = time.process_time(), time.perf_counter()
            asyncio.run(_fill(tmp_path / str(next(roots)), upstream.url, blob.digest, readers))
            costs.append((time.process_time() - cpu) / SIZE * 1e9)
            rates.append(SIZE / (time.perf_counter() - clock) / 1e6)

        benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)
        assert upstream.gets(blob.digest) == len(costs)
    benchmark.extra_info.update(cpu_per_gb=round(statistics.median(costs), 3), mb_per_s=round(statistics.median(rates)))


@pytest.mark.gate
@pytest.mark.timeout(120)
def test_cold_blob_with_clients(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    blobs = iter([random_blob(SERVED, f"fill {number}") for number in range(ROUNDS + 1)])
    costs, loads, rates = [], [], []
    with (
        UpstreamProcess() as upstream,
        Serve(tmp_path, {"docker.io": upstream.url}, log={"level": "warning"}) as server,
    ):
        port = int(server.host.rpartition(":")[2])

        def once() -> None:
            blob = next(blobs)
            upstream.add_blob("team/app", blob)
            touch_pages(tmp_path, 2 * SERVED)
            with measured(server) as usage:
                got = drain(port, f"/v2/team/app/blobs/{blob.digest}", connections=CLIENTS)
            assert (got.received, upstream.body_bytes(blob.digest)) == (CLIENTS * SERVED, SERVED)
            costs.append(usage.cpu / got.received * 1e9)
            loads.append(got.client_cpu / got.received * 1e9)
            rates.append(got.rate / 1e9)

        with remembered(server) as memory:
            benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)
        upstream_bytes = upstream.body_bytes() / len(costs)
    benchmark.extra_info.update(
        cpu_per_gb=round(statistics.median(costs), 3),
        client_cpu_per_gb=round(statistics.median(loads), 3),
        gb_per_s=round(statistics.median(rates), 3),
        peak_mb=round(memory.peak / 1e6, 1),
        upstream_bytes_over_blob=round(upstream_bytes / SERVED, 4),
    )
