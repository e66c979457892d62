"""What a push costs below HTTP: bytes into an upload, hashed and written beside the caller, and its commit.

`cpu_per_gb` is CPU seconds of this process per 10^9 bytes; `mb_per_s` counts the commit, with its fsync, too.
"""

import asyncio
import hashlib
import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pyregistry._native import Store

SIZE = 64 << 20
CHUNK = 256 << 10


@pytest.fixture(scope="module")
def content() -> list[bytes]:
    whole = random.Random(7).randbytes(SIZE)
    return [whole[start : start + CHUNK] for start in range(0, SIZE, CHUNK)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "root"))
    yield opened
    asyncio.run(_close(opened))


async def _close(store: Store) -> None:
    await store.close()


async def _push(store: Store, session: str, content: list[bytes], digest: str) -> None:
    upload = store.begin_upload(session, digest.partition(":")[0])
    for chunk in content:
        if (room := upload.write(chunk)) is not None:
            await room
    assert await upload.commit(digest) == SIZE
    assert store.remove(digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_upload_of_64_mib(store: Store, content: list[bytes], algorithm: str, benchmark: BenchmarkFixture) -> None:
    hasher = hashlib.new(algorithm)
    for chunk in content:
        hasher.update(chunk)
    digest = f"{algorithm}:{hasher.hexdigest()}"
    sessions = itertools.count()
    costs, rates = [], []

    def once() -> None:
        cpu, clock = time.process_time(), time.perf_counter()
        asyncio.run(_push(store, str(next(sessions)), content, digest))
        costs.append((time.process_time() - cpu) / SIZE * 1e9)
        rates.append(SIZE / (time.perf_counter() - clock) / 1e6)

    benchmark.pedantic(once, rounds=9, warmup_rounds=1)
    for name, values in (("cpu_per_gb", costs), ("mb_per_s", rates)):
        counted = sorted(values[1:] or values)
        benchmark.extra_info[name] = round(counted[len(counted) // 2], 3)
