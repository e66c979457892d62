"""A request's cost hardly grows with what is hosted: ten times the tags, a hundred times the rest.

One small and one large database, asked in turns, so that what else the machine does hits both.
`docs/design/0002-metadata.md` has the figures.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

APP = "team/app"
TYPES = tuple(f"application/vnd.example.{number}" for number in range(4))
PAGE = 50
#: What each database is asked before the other one's turn, and how often it has one.
READS, WRITES, ROUNDS = 50, 1, 60
#: The most that the large one may cost, of what the small one does.
FACTOR = 2.0


@dataclass(frozen=True)
class Size:
    tags: int
    referrers: int
    repositories: int


SIZES = (Size(1_000, 1_000, 100), Size(10_000, 100_000, 10_000))
#: To see that the benches run.
SMOKE = (Size(100, 300, 100), Size(200, 600, 200))


def artifact(**fields: object) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], **fields}
    return parse_manifest(json.dumps(document).encode(), None)


def layer(number: int) -> dict[str, object]:
    return {"mediaType": "application/x", "digest": digest_of(str(number).encode()), "size": 10}


def image(number: int) -> Manifest:
    return artifact(layers=[layer(index) for index in range(5)], annotations={"n": str(number)})


SUBJECT = image(0)


def referrer(number: int) -> Manifest:
    subject = SUBJECT.descriptor().to_json()
    return artifact(subject=subject, artifactType=TYPES[number % len(TYPES)], annotations={"r": str(number)})


def put(metadata: Metadata, repository: str, manifest: Manifest, *tags: str) -> Awaitable[object]:
    return metadata.put_manifest(repository, manifest, tags, at=1.0, immutable=lambda _: False, sparse=False)


class Filled:
    """A database, and names all over it, each with a full page behind it."""

    def __init__(self, metadata: Metadata, size: Size, referrers: list[str]) -> None:
        self.metadata = metadata
        self._tags = _with_a_page([f"v{number}" for number in range(size.tags)])
        self._repositories = _with_a_page([f"org/{number}" for number in range(size.repositories)])
        self._referrers = _with_a_page(referrers, len(TYPES) + 1)
        self._random = random.Random(7)

    def tag(self) -> str:
        return self._random.choice(self._tags)

    def repository(self) -> str:
        return self._random.choice(self._repositories)

    def referrer(self) -> str:
        return self._random.choice(self._referrers)


def _with_a_page(names: list[str], of: int = 1) -> list[str]:
    return sorted(names)[: -PAGE * of]


async def fill(metadata: Metadata, size: Size) -> Filled:
    for number in range(5):
        await metadata.add_blob(APP, digest_of(str(number).encode()), 10, 1.0)
    last: Awaitable[object] | None = None
    for number in range(size.tags):
        last = put(metadata, APP, image(number), f"v{number}")
    for number in range(size.repositories):
        last = put(metadata, f"org/{number}", artifact(), "latest")
    assert last is not None
    await last
    digests: list[str] = []
    for number in range(size.referrers):
        manifest = referrer(number)
        last = put(metadata, APP, manifest)
        digests.append(manifest.digest)
        if number % 1000 == 999:
            await last
    await last
    return Filled(metadata, size, digests)


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Filled]]:
    sizes = SMOKE if request.config.getoption("benchmark_disable") else SIZES
    opened = [Metadata.open(tmp_path_factory.mktemp("root")) for _ in sizes]
    small, large = (asyncio.run(fill(metadata, size)) for metadata, size in zip(opened, sizes, strict=True))
    yield small, large
    for metadata in opened:
        metadata.close()


def compare(
    benchmark: BenchmarkFixture, both: tuple[Filled, Filled], ask: Callable[[Filled], Awaitable[object]], times: int
) -> None:
    """Asks both in turns; the large one's median may be `FACTOR` of the small one's."""
    taken: tuple[list[float], list[float]] = ([], [])

    async def turns() -> None:
        for _ in range(ROUNDS):
            for filled, into in zip(both, taken, strict=True):
                begun = time.perf_counter()
                for _ in range(times):
                    await ask(filled)
                into.append((time.perf_counter() - begun) / times)

    asyncio.run(turns())  # warm
    for into in taken:
        into.clear()
    benchmark.pedantic(lambda: asyncio.run(turns()), rounds=1)
    small, large = (median(into) for into in taken)
    benchmark.extra_info |= {
        "small_us": round(small * 1e6, 1),
        "large_us": round(large * 1e6, 1),
        "factor": round(large / small, 2),
    }
    if benchmark.stats is not None:
        assert large <= FACTOR * small, benchmark.extra_info


pytestmark = [pytest.mark.timeout(600), pytest.mark.benchmark(group="metadata: small and large")]

READERS: dict[str, Callable[[Filled], Coroutine[Any, Any, object]]] = {
    "tag": lambda at: at.metadata.tag(APP, at.tag(), hosted=True),
    "manifest by tag": lambda at: at.metadata.tagged_manifest(APP, at.tag()),
    "manifest by digest": lambda at: at.metadata.manifest(APP, at.referrer(), hosted=True),
    "blob": lambda at: at.metadata.blob(APP, SUBJECT.blobs[1].digest, hosted=True),
    "page of tags": lambda at: at.metadata.hosted_tags(APP, at.tag(), PAGE),
    "page of referrers": lambda at: at.metadata.referrers(APP, SUBJECT.digest, None, at.referrer(), PAGE),
    "page of referrers of a type": lambda at: at.metadata.referrers(APP, SUBJECT.digest, TYPES[1], at.referrer(), PAGE),
    "first referrers": lambda at: at.metadata.referrers(APP, SUBJECT.digest, None, None, PAGE),
    "no referrers": lambda at: at.metadata.referrers(APP, at.referrer(), None, None, PAGE),
    "page of the catalogue": lambda at: at.metadata.catalog(at.repository(), PAGE),
    "kind of a repository": lambda at: at.metadata.repository_kind(at.repository()),
}


@pytest.mark.parametrize("name", READERS)
def test_reads(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], name: str) -> None:
    compare(benchmark, both, READERS[name], READS)


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(range(10**6, 10**7))


def test_put_with_a_new_tag(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    """One durable, awaited PUT of a manifest with 5 blobs."""

    def ask(at: Filled) -> Awaitable[object]:
        number = next(numbers)
        return put(at.metadata, APP, image(number), f"w{number}")

    compare(benchmark, both, ask, WRITES)


def test_put_moving_a_tag(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    compare(benchmark, both, lambda at: put(at.metadata, APP, image(next(numbers) + 10**8), at.tag()), WRITES)


def test_put_of_a_referrer(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    compare(benchmark, both, lambda at: put(at.metadata, APP, referrer(next(numbers))), WRITES)


def test_put_to_a_new_repository(
    benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]
) -> None:
    compare(benchmark, both, lambda at: put(at.metadata, f"new/{next(numbers)}", artifact(), "latest"), WRITES)


def test_upload_of_a_blob(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    """Its rows: begun, then durable."""

    async def ask(at: Filled) -> None:
        session = str(next(numbers))
        await at.metadata.begin_upload(at.repository(), session, 1.0)
        await at.metadata.add_blob(at.repository(), digest_of(session.encode()), 10, 1.0, session=session)

    compare(benchmark, both, ask, WRITES)


def test_delete_of_a_manifest(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    """And its PUT before."""

    async def ask(at: Filled) -> None:
        manifest = image(next(numbers) + 10**9)
        await put(at.metadata, APP, manifest, "short-lived")
        await at.metadata.delete_manifest(APP, manifest.digest, immutable=lambda _: False)

    compare(benchmark, both, ask, WRITES)
