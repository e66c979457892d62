"""A committed blob read below HTTP: whole, as small ranges, as many parts. `benches/test_uploads.py` writes."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest

from pyregistry._native import Store
from tests.support.blobs import random_blob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from pyregistry._native import Plan

SIZE = 64 << 20
CHUNK = 256 << 10
BLOB = random_blob(SIZE, "store")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(str(tmp_path_factory.mktemp("store") / "root"), reserve=0)

    async def commit() -> None:
        upload = opened.begin_upload("bench")
        for start in range(0, SIZE, CHUNK):
            if (room := upload.write(bytes(BLOB.data[start : start + CHUNK]))) is not None:
                await room
        await upload.commit(BLOB.digest)

    async def close() -> None:
        await opened.close()

    asyncio.run(commit())
    yield opened
    asyncio.run(close())


def plan_of(store: Store, *ranges: tuple[int, int]) -> Plan:
    reader = store.committed(BLOB.digest, SIZE)
    assert reader is not None
    return reader.plan(ranges or None, "boundary" if len(ranges) > 1 else None)


async def drain(plan: Plan) -> int:
    count = 0
    while piece := plan.take(CHUNK) or await plan.next(CHUNK):
        count += len(piece)
    return count


@pytest.mark.parametrize("length", [50 << 10, 1 << 20], ids=["50 KiB", "1 MiB"])
def test_read_of_a_range(store: Store, length: int, benchmark: BenchmarkFixture) -> None:
    chosen = random.Random(7)
    starts = itertools.cycle([chosen.randrange(0, SIZE - length) for _ in range(1000)])

    def once() -> bytes | None:
        start = next(starts)
        return plan_of(store, (start, start + length)).take(length)

    assert len(once() or b"") == length
    benchmark(once)


def test_read_of_64_parts(store: Store, benchmark: BenchmarkFixture) -> None:
    parts = [(start, start + 4096) for start in range(0, SIZE, SIZE // 64)]
    whole = plan_of(store, *parts)
    assert asyncio.run(drain(whole)) == whole.length
    with asyncio.Runner() as runner:
        benchmark(lambda: runner.run(drain(plan_of(store, *parts))))


def test_read_of_the_whole(store: Store, benchmark: BenchmarkFixture) -> None:
    with asyncio.Runner() as runner:
        assert runner.run(drain(plan_of(store))) == SIZE
        benchmark(lambda: runner.run(drain(plan_of(store))))
    if benchmark.stats is not None:
        benchmark.extra_info["gb_per_s"] = round(SIZE / benchmark.stats.stats.median / 1e9, 2)
