"""Something small and something large of one kind, asked in turns: what else the machine does hits both."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest
    from pytest_benchmark.fixture import BenchmarkFixture

    from pyregistry.store.metadata import Metadata

T = TypeVar("T")

APP = "team/app"
TYPES = tuple(f"application/vnd.example.{number}" for number in range(4))
PAGE = 50


class Turns(NamedTuple):
    """How often each is asked before the other one's turn, and how many turns it has."""

    times: int
    turns: int


#: A write waits for the disk, which others use in bursts: more turns, and shorter ones.
READS, WRITES = Turns(50, 60), Turns(1, 300)
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


def sizes(config: pytest.Config) -> tuple[Size, Size]:
    """The small one and the large one."""
    return SMOKE if config.getoption("benchmark_disable") else SIZES


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


class Names:
    """What a filled database has: names all over it, each with a full page behind it."""

    def __init__(self, size: Size, referrers: list[str]) -> None:
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


async def fill(metadata: Metadata, size: Size) -> Names:
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
    return Names(size, digests)


def compare(
    benchmark: BenchmarkFixture, both: tuple[T, T], ask: Callable[[T], Awaitable[object]], taking: Turns
) -> None:
    """Asks the small one, then the large one, and so on; the large one's median may be `FACTOR` of the small
    one's, where the run is to judge.
    """
    taken: tuple[list[float], list[float]] = ([], [])

    async def turns() -> None:
        for _ in range(2 if benchmark.disabled else taking.turns):
            for one, into in zip(both, taken, strict=True):
                begun = time.perf_counter()
                for _ in range(taking.times):
                    await ask(one)
                into.append((time.perf_counter() - begun) / taking.times)

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
    if not benchmark.disabled:
        assert large <= FACTOR * small, benchmark.extra_info
