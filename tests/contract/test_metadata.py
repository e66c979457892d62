"""What every metadata database must do for mirrors. What it must do for pushes is in the files beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyregistry.errors import Cause, Failure
from pyregistry.oci.descriptors import Descriptor, Platform
from pyregistry.oci.digests import digest_of
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.store.metadata import BlobFact, ManifestFact, TagFact
from tests.support.metadata import BACKENDS, HUB, NGINX, OTHER, image, index, layer, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyregistry.store.metadata import Metadata


@pytest.fixture(params=BACKENDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    with opened(request.param, tmp_path) as made:
        yield made


# Manifests


async def test_a_manifest_comes_back_byte_for_byte(metadata: Metadata) -> None:
    manifest = image("a", "b")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, checked_at=1.0)
    fact = ManifestFact(manifest.digest, OCI_MANIFEST, manifest.size, manifest.content)
    assert await metadata.manifest(NGINX, manifest.digest) == fact
    assert await metadata.known_manifest(manifest.digest) == fact


async def test_i12_a_manifest_is_answered_only_by_repositories_with_a_row(metadata: Metadata) -> None:
    manifest = image("a")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, checked_at=1.0)
    assert await metadata.manifest(OTHER, manifest.digest) is None
    await metadata.vouch_manifest(OTHER, manifest.digest, upstream=HUB, tag="v1", checked_at=2.0)
    assert await metadata.manifest(OTHER, manifest.digest) is not None
    assert await metadata.tag(OTHER, "v1") == TagFact(manifest.digest, 2.0, True, True, 2.0)
    assert (await metadata.blob(OTHER, layer("a"))).vouched


async def test_storing_twice_changes_nothing(metadata: Metadata) -> None:
    manifest = image("a", "a", "b")
    for _ in range(2):
        await metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="latest", checked_at=1.0)
    totals = await metadata.totals()
    assert (totals.manifests, totals.manifest_bytes, totals.tags) == (1, manifest.size, 1)


async def test_a_manifest_that_is_not_stored_cannot_be_vouched_for(metadata: Metadata) -> None:
    with pytest.raises(Failure, match="not stored") as error:
        await metadata.vouch_manifest(NGINX, layer("gone"), upstream=HUB, tag="latest", checked_at=1.0)
    assert error.value.cause is Cause.STORAGE
    assert await metadata.tag(NGINX, "latest") is None
    assert (await metadata.totals()).repositories == {}


async def test_children_of_an_index_are_not_vouched_for(metadata: Metadata) -> None:
    child = image("a")
    await metadata.store_manifest(NGINX, index(child), upstream=HUB, tag="latest", checked_at=1.0)
    assert await metadata.manifest(NGINX, child.digest) is None
    assert await metadata.blob(NGINX, child.digest) == BlobFact(False, None)


# Tags


async def test_nothing_is_known_of_a_tag_nobody_asked_for(metadata: Metadata) -> None:
    assert await metadata.tag(NGINX, "latest") is None
    await metadata.store_manifest(NGINX, image("a"), upstream=HUB, checked_at=1.0)
    assert await metadata.tag(NGINX, "latest") is None


async def test_a_tag_moves(metadata: Metadata) -> None:
    old, new = image("old"), image("new")
    await metadata.store_manifest(NGINX, old, upstream=HUB, tag="latest", checked_at=1.0)
    await metadata.store_manifest(NGINX, new, upstream=HUB, tag="latest", checked_at=2.0)
    assert await metadata.tag(NGINX, "latest") == TagFact(new.digest, 2.0, True, True, 2.0)
    assert await metadata.manifest(NGINX, old.digest) is not None


async def test_confirming_a_tag_moves_its_time_only(metadata: Metadata) -> None:
    manifest = image("a")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="latest", checked_at=1.0)
    await metadata.confirm_tag(NGINX, "latest", 5.0)
    assert await metadata.tag(NGINX, "latest") == TagFact(manifest.digest, 5.0, True, True, 5.0)
    await metadata.confirm_tag("docker.io/nobody/asked", "latest", 5.0)
    assert await metadata.tag("docker.io/nobody/asked", "latest") is None


@pytest.mark.parametrize("drop", [True, False])
async def test_a_missing_tag_is_remembered_and_comes_back(metadata: Metadata, drop: bool) -> None:
    manifest = image("a")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="latest", checked_at=1.0)
    await metadata.tag_missing(NGINX, "latest", 2.0, drop=drop)
    digest = None if drop else manifest.digest
    assert await metadata.tag(NGINX, "latest") == TagFact(digest, 2.0, False, not drop, 2.0)
    await metadata.vouch_manifest(NGINX, manifest.digest, upstream=HUB, tag="latest", checked_at=3.0)
    assert await metadata.tag(NGINX, "latest") == TagFact(manifest.digest, 3.0, True, True, 3.0)


async def test_a_tag_of_an_unknown_repository_is_missing_under_its_upstream(metadata: Metadata) -> None:
    await metadata.tag_missing(NGINX, "latest", 2.0, drop=True)
    assert await metadata.tag(NGINX, "latest") == TagFact(None, 2.0, False, False, 2.0)
    assert (await metadata.totals()).repositories == {HUB: 1}


async def test_an_expired_tag_is_to_be_asked_again_but_keeps_the_time_it_was_confirmed(metadata: Metadata) -> None:
    manifest = image("a")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="latest", checked_at=1.0)
    await metadata.expire(NGINX, "tag", "latest")
    assert await metadata.tag(NGINX, "latest") == TagFact(manifest.digest, 0.0, True, True, 1.0)
    assert await metadata.checked(NGINX, "tag", "latest") == 0.0
    await metadata.confirm_tag(NGINX, "latest", 7.0)
    assert await metadata.tag(NGINX, "latest") == TagFact(manifest.digest, 7.0, True, True, 7.0)


# Blobs


async def test_i12_blobs_are_vouched_for_by_their_manifest(metadata: Metadata) -> None:
    await metadata.store_manifest(NGINX, image("a"), upstream=HUB, checked_at=1.0)
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(True, None, 10)
    assert await metadata.blob(OTHER, layer("a")) == BlobFact(False, None)


async def test_a_committed_blob_has_its_size_in_every_repository(metadata: Metadata) -> None:
    await metadata.record_blob(layer("a"), 12, 1.0)
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(False, 12)
    await metadata.vouch_blob(NGINX, layer("a"), origin="upstream", at=2.0, upstream=HUB)
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(True, 12)
    await metadata.store_manifest(NGINX, image("b"), upstream=HUB, checked_at=3.0)
    await metadata.forget_blob(layer("a"))
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(True, None)


async def test_a_word_from_upstream_keeps_what_the_manifest_described(metadata: Metadata) -> None:
    await metadata.store_manifest(NGINX, image("a"), upstream=HUB, checked_at=1.0)
    await metadata.vouch_blob(NGINX, layer("a"), origin="upstream", at=2.0, upstream=HUB)
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(True, None, 10)


# What upstream said


async def test_what_upstream_does_not_have_is_remembered(metadata: Metadata) -> None:
    assert await metadata.checked(NGINX, "manifest", layer("a")) is None
    await metadata.missing(NGINX, "manifest", layer("a"), 4.0)
    assert await metadata.checked(NGINX, "manifest", layer("a")) == 4.0
    assert await metadata.checked(NGINX, "blob", layer("a")) is None
    assert await metadata.checked(OTHER, "manifest", layer("a")) is None


async def test_old_missing_answers_are_forgotten_with_repositories_that_never_were(metadata: Metadata) -> None:
    await metadata.store_manifest(NGINX, image("a"), upstream=HUB, tag="latest", checked_at=1.0)
    for number in range(5):
        await metadata.tag_missing(f"docker.io/guess/{number}", "latest", 1.0 + number, drop=True)
    await metadata.tag_missing(NGINX, "gone", 1.0, drop=True)
    assert await metadata.forget_missing(4.0, limit=2) == 2
    assert await metadata.forget_missing(4.0) == 2
    assert await metadata.forget_missing(4.0) == 0
    assert (await metadata.totals()).repositories == {HUB: 3}
    assert await metadata.tag(NGINX, "latest") is not None


# Lists


async def test_tag_lists_are_lexical_by_bytes_and_paged(metadata: Metadata) -> None:
    stored = ["latest", "B", "1.10", "a-1", "_x"]
    for name in stored:
        await metadata.store_manifest(NGINX, image("a"), upstream=HUB, tag=name, checked_at=1.0)
    await metadata.replace_upstream_tags(NGINX, ["latest", "1.9", "C"], upstream=HUB, checked_at=3.0)
    assert await metadata.tags(NGINX) == sorted(stored)
    assert await metadata.tags(NGINX, "B", 2) == ["_x", "a-1"]
    assert await metadata.upstream_tags(NGINX) == ["1.9", "C", "latest"]
    merged = sorted({*stored, "1.9", "C"})
    assert await metadata.tag_page(NGINX) == merged
    assert await metadata.tag_page(NGINX, None, 3) == merged[:3]
    assert await metadata.tag_page(NGINX, merged[2], 3) == merged[3:6]
    assert await metadata.tag_page(NGINX, "between", 100) == [name for name in merged if name > "between"]
    assert await metadata.tag_page(NGINX, limit=0) == []
    assert await metadata.tag_page(OTHER) == []
    assert await metadata.checked(NGINX, "tags", "") == 3.0


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1700])
async def test_an_upstream_tag_list_is_replaced_whole(metadata: Metadata, count: int) -> None:
    before = [f"v{number}" for number in range(0, 1500, 2)]
    after = [f"v{number}" for number in range(count)]
    await metadata.replace_upstream_tags(NGINX, before, upstream=HUB, checked_at=1.0)
    await metadata.replace_upstream_tags(OTHER, before, upstream=HUB, checked_at=1.0)
    await metadata.replace_upstream_tags(NGINX, after, upstream=HUB, checked_at=2.0)
    assert await metadata.upstream_tags(NGINX) == sorted(after)
    assert await metadata.upstream_tags(OTHER) == sorted(before)


async def test_upstream_referrers_are_replaced_in_their_order(metadata: Metadata) -> None:
    subject = layer("subject")
    referrers = [
        Descriptor(OCI_MANIFEST, digest_of(str(number).encode()), number, "application/sig", {"n": str(number)})
        for number in range(4)
    ]
    referrers[0] = Descriptor(OCI_MANIFEST, digest_of(b"p"), 9, platform=Platform("linux", "arm64", "v8"))
    for listed in (referrers, referrers[::-1], referrers[2:], [], referrers[:1]):
        await metadata.replace_upstream_referrers(NGINX, subject, listed, upstream=HUB, checked_at=2.0)
        assert await metadata.upstream_referrers(NGINX, subject) == listed
    assert await metadata.upstream_referrers(OTHER, subject) == []
    assert await metadata.checked(NGINX, "referrers", subject) == 2.0


async def test_stored_referrers_are_listed_for_their_repository_and_paged(metadata: Metadata) -> None:
    subject = image("a")
    signed = [
        image(str(number), subject=subject, artifactType="application/sig", annotations={"n": str(number)})
        for number in range(5)
    ]
    plain = image("plain", subject=subject)
    for manifest in (*signed, plain):
        await metadata.store_manifest(NGINX, manifest, upstream=HUB, checked_at=1.0)
    await metadata.vouch_manifest(OTHER, plain.digest, upstream=HUB, checked_at=1.0)
    expected = sorted((item.descriptor() for item in (*signed, plain)), key=lambda item: item.digest)
    assert await metadata.local_referrers(NGINX, subject.digest) == expected
    assert await metadata.local_referrers(NGINX, subject.digest, expected[1].digest, 2) == expected[2:4]
    assert await metadata.local_referrers(OTHER, subject.digest) == [plain.descriptor()]
    assert await metadata.local_referrers(NGINX, plain.digest) == []


# The interface


async def test_writes_take_place_in_order_and_need_no_awaiting(metadata: Metadata) -> None:
    manifests = [image(str(number)) for number in range(300)]
    for number, manifest in enumerate(manifests):
        write = metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="latest", checked_at=float(number))
    await write
    fact = await metadata.tag(NGINX, "latest")
    assert fact is not None
    assert fact.digest == manifests[-1].digest
    assert (await metadata.totals()).manifests == 300


async def test_totals(metadata: Metadata) -> None:
    assert (await metadata.totals()).repositories == {}
    await metadata.record_blob(layer("a"), 5, 1.0)
    await metadata.record_blob(layer("b"), 7, 1.0)
    await metadata.missing("ghcr.io/org/app", "tags", "", 1.0, upstream="ghcr.io")
    await metadata.missing(NGINX, "tags", "", 1.0)
    totals = await metadata.totals()
    assert (totals.blobs, totals.blob_bytes) == (2, 12)
    assert totals.repositories == {"ghcr.io": 1, HUB: 1}


async def test_check_is_silent_when_all_is_well(metadata: Metadata) -> None:
    await metadata.check()


async def test_names_and_keys_are_values_never_sql(metadata: Metadata) -> None:
    odd = "docker.io/x'; DROP TABLE tag; --/:tag/é"
    await metadata.store_manifest(odd, image("a"), upstream=HUB, tag="';--", checked_at=1.0)
    assert await metadata.tags(odd) == ["';--"]
