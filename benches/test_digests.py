"""Hashing: what the store takes to write and hash, beside hashlib on the same bytes, which is the limit.

`over_hashlib` is CPU seconds over CPU seconds; the store's include writing to a file.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from pyregistry._native import Store
from tests.support.blobs import random_blob

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

SIZE = 64 << 20
STEP = 1 << 20
ROUNDS = 7


async def _hash(store: Store, session: str, algorithm: str, steps: list[bytes]) -> None:
    upload = store.begin_upload(session, algorithm)
    for step in steps:
        if (room := upload.write(step)) is not None:
            await room
    assert await upload.flush() == SIZE
    upload.release()


async def _close(store: Store) -> None:
    await store.close()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_against_hashlib(tmp_path: Path, algorithm: str, benchmark: BenchmarkFixture) -> None:
    data = random_blob(SIZE, "digests").data
    steps = [bytes(data[start : start + STEP]) for start in range(0, SIZE, STEP)]
    store = Store(str(tmp_path / "root"), reserve=0)
    sessions = itertools.count()
    ours, theirs = [], []

    def once() -> None:
        for session, _ in store.uploads():
            store.remove_upload(session)
        began = time.process_time()
        asyncio.run(_hash(store, str(next(sessions)), algorithm, steps))
        between = time.process_time()
        hasher = hashlib.new(algorithm)
        for step in steps:
            hasher.update(step)
        ours.append(between - began)
        theirs.append(time.process_time() - between)

    benchmark.pedantic(once, rounds=ROUNDS, warmup_rounds=1)
    asyncio.run(_close(store))
    benchmark.extra_info.update(
        cpu_per_gb=round(statistics.median(ours) / SIZE * 1e9, 3),
        hashlib_cpu_per_gb=round(statistics.median(theirs) / SIZE * 1e9, 3),
        over_hashlib=round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2),
    )
