"""A request's cost to the database hardly grows with what is hosted: ten times the tags, a hundred times the rest.

`docs/design/0002-metadata.md` has the figures; `test_scale` asks whole servers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from benches.scale import (
    APP,
    PAGE,
    READS,
    SUBJECT,
    TYPES,
    WRITES,
    Names,
    artifact,
    compare,
    fill,
    image,
    put,
    referrer,
    sizes,
)
from pyregistry.oci.digests import digest_of
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture


@dataclass(frozen=True)
class Filled:
    metadata: Metadata
    names: Names


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Filled]]:
    opened = [Metadata.open(tmp_path_factory.mktemp("root")) for _ in range(2)]
    filled = [
        Filled(one, asyncio.run(fill(one, size))) for one, size in zip(opened, sizes(request.config), strict=True)
    ]
    yield filled[0], filled[1]
    for metadata in opened:
        metadata.close()


pytestmark = [pytest.mark.timeout(600), pytest.mark.benchmark(group="metadata: small and large")]

READERS: dict[str, Callable[[Filled], Coroutine[Any, Any, object]]] = {
    "tag": lambda at: at.metadata.tag(APP, at.names.tag(), hosted=True),
    "manifest by tag": lambda at: at.metadata.tagged_manifest(APP, at.names.tag()),
    "manifest by digest": lambda at: at.metadata.manifest(APP, at.names.referrer(), hosted=True),
    "blob": lambda at: at.metadata.blob(APP, SUBJECT.blobs[1].digest, hosted=True),
    "page of tags": lambda at: at.metadata.hosted_tags(APP, at.names.tag(), PAGE),
    "page of referrers": lambda at: at.metadata.referrers(APP, SUBJECT.digest, None, at.names.referrer(), PAGE),
    "page of referrers of a type": lambda at: at.metadata.referrers(
        APP, SUBJECT.digest, TYPES[1], at.names.referrer(), PAGE
    ),
    "first referrers": lambda at: at.metadata.referrers(APP, SUBJECT.digest, None, None, PAGE),
    "no referrers": lambda at: at.metadata.referrers(APP, at.names.referrer(), None, None, PAGE),
    "page of the catalogue": lambda at: at.metadata.catalog(at.names.repository(), PAGE),
    "kind of a repository": lambda at: at.metadata.repository_kind(at.names.repository()),
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
    compare(benchmark, both, lambda at: put(at.metadata, APP, image(next(numbers) + 10**8), at.names.tag()), WRITES)


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
        await at.metadata.begin_upload(at.names.repository(), session, 1.0)
        await at.metadata.add_blob(at.names.repository(), digest_of(session.encode()), 10, 1.0, session=session)

    compare(benchmark, both, ask, WRITES)


def test_delete_of_a_manifest(benchmark: BenchmarkFixture, both: tuple[Filled, Filled], numbers: Iterator[int]) -> None:
    """And its PUT before."""

    async def ask(at: Filled) -> None:
        manifest = image(next(numbers) + 10**9)
        await put(at.metadata, APP, manifest, "short-lived")
        await at.metadata.delete_manifest(APP, manifest.digest, immutable=lambda _: False)

    compare(benchmark, both, ask, WRITES)
