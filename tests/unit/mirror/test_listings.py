"""Lists through the mirror: what is kept of them."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pyregistry._native import Store
from pyregistry.config import FreshnessConfig, UpstreamConfig
from pyregistry.mirror.bases import Bases
from pyregistry.mirror.freshness import FreshnessRules
from pyregistry.mirror.listings import Listings
from pyregistry.mirror.single_flight import SingleFlight
from pyregistry.oci.descriptors import Descriptor
from pyregistry.oci.digests import Digest
from pyregistry.store.answers import Result
from pyregistry.store.metadata import Metadata
from pyregistry.store.target import Target

TARGET = Target("docker.io/made/up", "docker.io", "made/up", hosted=False)
REFERRER = Descriptor("a/b", Digest("sha256:" + "a" * 64), 1)


class Well:
    """The breaker of what answers."""

    is_open = False

    def refusal(self) -> None:
        """It is asked."""

    def doubt(self) -> None:
        """It answers."""


class Upstream:
    """Knows these referrers of every subject."""

    def __init__(self) -> None:
        self.found: list[Descriptor] = []
        self.asked = 0
        self.bases = Bases([cast("Any", SimpleNamespace(breaker=Well()))])

    async def referrers(self, path: str, subject: str) -> list[Descriptor]:
        self.asked += 1
        return self.found


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[Metadata]:
    store = Store(str(tmp_path))
    opened = Metadata.open(tmp_path)
    yield opened
    opened.close()
    await store.close()


async def test_subjects_made_up_leave_nothing_that_stays(tmp_path: Path, metadata: Metadata) -> None:
    upstream = Upstream()
    flights = SingleFlight(Store(str(tmp_path)))
    rules = FreshnessRules(FreshnessConfig(), {"docker.io": UpstreamConfig(url="https://registry-1.docker.io")})
    listings = Listings(metadata, {"docker.io": cast("Any", upstream)}, flights, rules)

    async def ask(number: int) -> tuple[list[Descriptor], Result]:
        return await listings.referrers(TARGET, Digest(f"sha256:{number:064x}"), None, None, 10)

    for number in range(5):
        assert await ask(number) == ([], Result.MISS)
    assert await ask(0) == ([], Result.HIT)
    assert upstream.asked == 5
    assert await metadata.forget_missing(time.time() + 1, 500) == 5

    upstream.found = [REFERRER]
    assert await ask(0) == ([REFERRER], Result.MISS)
    assert await metadata.forget_missing(time.time() + 1, 500) == 0
