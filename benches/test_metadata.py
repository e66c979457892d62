"""The metadata database: what a read costs however many tags there are, and what writers wait for each other.

`docs/design/0002-metadata.md` has the figures.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from benches.micro.ready import inline
from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

REPOSITORY = "docker.io/library/nginx"
LAYERS = 6
#: Reads of one round: a single one is too short for the clock.
READS = 100
WRITERS = 8
PROCESSES = multiprocessing.get_context("spawn")


def image(number: int) -> Manifest:
    def described(name: str) -> dict[str, object]:
        return {"mediaType": "application/x", "digest": digest_of(name.encode()), "size": 1}

    layers = [described(f"{number}-{layer}") for layer in range(LAYERS)]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(str(number)), "layers": layers}
    return parse_manifest(json.dumps(document).encode(), None)


@pytest.fixture(scope="module", params=[10, 1_000, 10_000])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Metadata, int]]:
    """A repository of so many tags, each with a manifest of its own."""
    metadata = Metadata.open(tmp_path_factory.mktemp("root"))

    async def fill() -> None:
        names = [f"v{number}" for number in range(request.param)]
        for number, name in enumerate(names):
            write = metadata.store_manifest(REPOSITORY, image(number), upstream="docker.io", tag=name, checked_at=1.0)
            for layer in image(number).blobs:
                metadata.record_blob(layer.digest, 1, 1.0)
        await write
        await metadata.replace_upstream_tags(REPOSITORY, names, upstream="docker.io", checked_at=1.0)

    asyncio.run(fill())
    yield metadata, request.param
    metadata.close()


def measure(benchmark: BenchmarkFixture, read: Callable[[int], Coroutine[Any, Any, object]], count: int) -> None:
    # Spread over the whole table, so that its size shows.
    numbers = cycle([(index * 7919) % count for index in range(max(READS, min(count, 5000)))])

    def several() -> None:
        for _ in range(READS):
            inline(read(next(numbers)))

    benchmark(several)
    if benchmark.stats is not None:
        benchmark.extra_info["us_a_read"] = round(benchmark.stats.stats.median / READS * 1e6, 2)


@pytest.mark.benchmark(group="metadata: tag")
def test_tag(benchmark: BenchmarkFixture, filled: tuple[Metadata, int]) -> None:
    metadata, count = filled
    measure(benchmark, lambda number: metadata.tag(REPOSITORY, f"v{number}"), count)


@pytest.mark.benchmark(group="metadata: manifest")
def test_manifest(benchmark: BenchmarkFixture, filled: tuple[Metadata, int]) -> None:
    metadata, count = filled
    digests = [image(number).digest for number in range(count)]
    measure(benchmark, lambda number: metadata.manifest(REPOSITORY, digests[number]), count)


@pytest.mark.benchmark(group="metadata: blob")
def test_blob(benchmark: BenchmarkFixture, filled: tuple[Metadata, int]) -> None:
    metadata, count = filled
    digests = [image(number).blobs[1].digest for number in range(count)]
    measure(benchmark, lambda number: metadata.blob(REPOSITORY, digests[number]), count)


@pytest.mark.benchmark(group="metadata: page of 10 tags")
def test_tag_page(benchmark: BenchmarkFixture, filled: tuple[Metadata, int]) -> None:
    metadata, count = filled
    measure(benchmark, lambda number: metadata.tag_page(REPOSITORY, f"v{number}", 10), count)


@pytest.mark.benchmark(group="metadata: writes")
@pytest.mark.parametrize("durable", [False, True], ids=["mirrored", "durable"])
def test_one_awaited_write(benchmark: BenchmarkFixture, tmp_path: Path, durable: bool) -> None:
    """One after the other: what a single client waits."""
    metadata = Metadata.open(tmp_path)
    numbers = iter(range(10**9))
    with asyncio.Runner() as runner:

        async def write() -> None:
            await metadata.record_blob(f"sha256:{next(numbers):064x}", 1, 1.0, durable=durable)

        benchmark(lambda: runner.run(write()))
    metadata.close()


@pytest.mark.benchmark(group="metadata: writes")
def test_many_manifests(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """A burst: 1,000 manifests of 7 blobs, with tags."""
    metadata = Metadata.open(tmp_path)
    manifests = [image(number) for number in range(20_000)]
    rounds = iter(range(20))
    with asyncio.Runner() as runner:

        async def write() -> None:
            start = next(rounds) * 1000
            for number in range(start, start + 1000):
                last = metadata.store_manifest(
                    REPOSITORY, manifests[number], upstream="docker.io", tag=f"v{number}", checked_at=1.0
                )
            await last

        benchmark.pedantic(lambda: runner.run(write()), rounds=10)
    metadata.close()


async def record(metadata: Metadata, name: str, *, durable: bool) -> None:
    await metadata.record_blob(digest_of(name.encode()), 1, 1.0, durable=durable)


async def push(metadata: Metadata, name: str) -> None:
    """What a client waits for: a blob, then its manifest under a tag of its own and one that all set."""
    blob = digest_of(name.encode())
    await metadata.add_blob("team/app", blob, 1, 1.0)
    layers = [{"mediaType": "application/x", "digest": blob, "size": 1}]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers}
    manifest = parse_manifest(json.dumps(document).encode(), None)
    result = await metadata.put_manifest(
        "team/app", manifest, [name, "latest"], at=1.0, immutable=lambda _: False, sparse=False
    )
    assert result.written


LOOPS: dict[str, Callable[[Metadata, str], Coroutine[Any, Any, None]]] = {
    "mirrored": partial(record, durable=False),
    "durable": partial(record, durable=True),
    "pushes": push,
}


def loop_writes(root: Path, writer: int, seconds: float, kind: str) -> tuple[int, float]:
    """A process that writes without a pause: how many times, and the longest wait."""

    async def main() -> tuple[int, float]:
        metadata = Metadata.open(root)
        worst, count, end = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            await LOOPS[kind](metadata, f"{writer}-{count}")
            worst = max(worst, time.perf_counter() - begun)
            count += 1
        metadata.close()
        return count, worst

    return asyncio.run(main())


@pytest.mark.benchmark(group="metadata: eight looping writers")
@pytest.mark.parametrize("kind", LOOPS)
def test_longest_wait(benchmark: BenchmarkFixture, tmp_path: Path, kind: str) -> None:
    """Eight processes write without a pause: none fails, none starves."""
    Metadata.open(tmp_path).close()
    seconds = 3.0

    def run() -> list[tuple[int, float]]:
        with PROCESSES.Pool(WRITERS) as pool:
            return pool.starmap(loop_writes, [(tmp_path, writer, seconds, kind) for writer in range(WRITERS)])

    results = benchmark.pedantic(run, rounds=1)
    counts = [count for count, _ in results]
    benchmark.extra_info |= {
        "a_second": round(sum(counts) / seconds),
        "least_of_a_writer": min(counts),
        "most_of_a_writer": max(counts),
        "longest_wait_ms": round(max(wait for _, wait in results) * 1e3, 1),
    }
    # Wide, for busy machines: who starves hardly ever writes.
    assert min(counts) > max(counts) / 10
