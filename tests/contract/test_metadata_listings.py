"""What every metadata database must list of hosted repositories: tags, referrers, the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.metadata import APP, BACKENDS, HUB, NGINX, TOOL, image, index, layer, never, opened, push

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyregistry.store.metadata import Metadata

SIGNATURE, SBOM = "application/vnd.example.signature", "application/vnd.example.sbom"


@pytest.fixture(params=BACKENDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    with opened(request.param, tmp_path) as made:
        yield made


async def test_tags_are_lexical_by_bytes_and_paged(metadata: Metadata) -> None:
    names = ["latest", "B", "1.10", "a-1", "_x", "1.9"]
    await push(metadata, APP, image("a"), *names)
    await push(metadata, TOOL, image("a"), "other")
    assert await metadata.hosted_tags(APP) == sorted(names)
    assert await metadata.hosted_tags(APP, "B", 2) == ["_x", "a-1"]
    assert await metadata.hosted_tags(APP, "between", 100) == ["latest"]
    assert await metadata.hosted_tags(APP, limit=0) == []
    assert await metadata.hosted_tags("team/nobody") == []


async def test_referrers_are_of_all_types_or_one_and_paged(metadata: Metadata) -> None:
    subject = image("a")
    made = [
        image(str(number), subject=subject, artifactType=SIGNATURE if number % 3 else SBOM, annotations={"n": "1"})
        for number in range(9)
    ]
    for manifest in made:
        await push(metadata, APP, manifest)
    await push(metadata, TOOL, made[0])
    await push(metadata, APP, image("other"))
    every = sorted((item.descriptor() for item in made), key=lambda item: item.digest)
    signatures = [item for item in every if item.artifact_type == SIGNATURE]
    assert len(signatures) == 6
    assert await metadata.referrers(APP, subject.digest) == every
    assert await metadata.referrers(APP, subject.digest, None, every[2].digest, 3) == every[3:6]
    assert await metadata.referrers(APP, subject.digest, SIGNATURE) == signatures
    assert await metadata.referrers(APP, subject.digest, SIGNATURE, signatures[1].digest, 2) == signatures[2:4]
    assert await metadata.referrers(APP, subject.digest, "application/nothing") == []
    assert await metadata.referrers(TOOL, subject.digest) == [made[0].descriptor()]
    assert await metadata.referrers(APP, layer("unknown")) == []
    assert await metadata.referrers("team/nobody", subject.digest) == []
    assert await metadata.local_referrers(APP, subject.digest) == []


async def test_an_image_refers_as_its_configs_type_and_an_index_may_refer_too(metadata: Metadata) -> None:
    subject = image("a")
    plain, listing = image("b", subject=subject), index(artifactType=SBOM, subject=subject.descriptor().to_json())
    for manifest in (plain, listing):
        await push(metadata, APP, manifest)
    assert await metadata.referrers(APP, subject.digest, "application/x") == [plain.descriptor()]
    assert await metadata.referrers(APP, subject.digest, SBOM) == [listing.descriptor()]


async def test_a_deleted_referrer_is_listed_no_more(metadata: Metadata) -> None:
    subject = image("a")
    signature = image("s", subject=subject)
    await push(metadata, APP, subject)
    await push(metadata, APP, signature)
    await metadata.delete_manifest(APP, subject.digest, immutable=never)
    assert await metadata.referrers(APP, subject.digest) == [signature.descriptor()]
    await metadata.delete_manifest(APP, signature.digest, immutable=never)
    assert await metadata.referrers(APP, subject.digest) == []


async def test_the_catalogue_names_repositories_with_manifests_of_both_kinds(metadata: Metadata) -> None:
    for name in ("team/b", "a", "team/a"):
        await push(metadata, name, image("a"), "v1")
    await metadata.store_manifest(NGINX, image("n"), upstream=HUB, tag="latest", checked_at=1.0)
    # Nothing but an upload, a blob, an answer of upstream's:
    await metadata.begin_upload("team/begun", "s1", 1.0)
    await metadata.add_blob("team/blob", layer("a"), 10, 1.0)
    await metadata.tag_missing("docker.io/guess", "latest", 1.0, drop=True)
    names = ["a", NGINX, "team/a", "team/b"]
    assert await metadata.catalog() == names
    assert await metadata.catalog(limit=2) == names[:2]
    assert await metadata.catalog(names[1], 2) == names[2:]
    assert await metadata.catalog("b", 1) == [NGINX]
    assert await metadata.catalog(limit=0) == []
    assert await metadata.catalog("zzz") == []


async def test_a_repository_leaves_the_catalogue_with_its_last_manifest_and_comes_back(metadata: Metadata) -> None:
    first, second = image("a"), image("b")
    for manifest in (first, second):
        await push(metadata, APP, manifest, "v1")
    await metadata.delete_manifest(APP, first.digest, immutable=never)
    assert await metadata.catalog() == [APP]
    await metadata.delete_manifest(APP, second.digest, immutable=never)
    assert await metadata.catalog() == []
    # It is still known: its tag list is empty, not unknown.
    assert await metadata.repository_kind(APP) == "hosted"
    await push(metadata, APP, first)
    assert await metadata.catalog() == [APP]


async def test_forgetting_what_was_not_found_leaves_what_was_pushed(metadata: Metadata) -> None:
    await push(metadata, APP, image("a"), "v1")
    await metadata.tag_missing("team/guess", "latest", 1.0, drop=True)
    assert await metadata.repository_kind("team/guess") == "mirrored"
    assert await metadata.forget_missing(2.0) == 1
    assert await metadata.repository_kind("team/guess") is None
    assert await metadata.hosted_tags(APP) == ["v1"]
