"""What every metadata database must do when manifests are pushed and deleted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pyregistry.oci.manifests import parse_manifest
from pyregistry.oci.media_types import OCI_INDEX
from pyregistry.store.metadata import BlobFact, DeleteResult, ManifestFact, Missing, PutResult, TagFact
from tests.support.metadata import (
    APP,
    BACKENDS,
    HUB,
    NGINX,
    TOOL,
    always,
    described,
    image,
    index,
    layer,
    never,
    opened,
    push,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata import Metadata


@pytest.fixture(params=BACKENDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    with opened(request.param, tmp_path) as made:
        yield made


async def put(
    metadata: Metadata,
    manifest: Manifest,
    tags: Sequence[str] = (),
    *,
    immutable: Callable[[str], bool] = never,
    sparse: bool = False,
    repository: str = APP,
) -> PutResult:
    return await metadata.put_manifest(repository, manifest, tags, at=9.0, immutable=immutable, sparse=sparse)


async def nothing_is_there(metadata: Metadata, manifest: Manifest, *tags: str) -> None:
    assert await metadata.manifest(APP, manifest.digest, hosted=True) is None
    assert await metadata.known_manifest(manifest.digest) is None
    for tag in tags:
        assert await metadata.tag(APP, tag, hosted=True) is None


# What is written


async def test_a_pushed_manifest_comes_back_byte_for_byte_with_its_tags(metadata: Metadata) -> None:
    manifest = image("a", "b")
    await push(metadata, APP, manifest, "v1", "latest")
    fact = ManifestFact(manifest.digest, manifest.media_type, manifest.size, manifest.content)
    assert await metadata.manifest(APP, manifest.digest, hosted=True) == fact
    for tag in ("v1", "latest"):
        assert await metadata.tag(APP, tag, hosted=True) == TagFact(manifest.digest, 0.0, True, True)
        assert await metadata.tagged_manifest(APP, tag) == fact
    assert await metadata.tagged_manifest(APP, "v2") is None
    assert await metadata.tagged_manifest(TOOL, "v1") is None


async def test_tags_move_and_say_what_they_named_before(metadata: Metadata) -> None:
    old, new = image("old"), image("new")
    await push(metadata, APP, old, "latest", "old")
    await metadata.add_blob(APP, layer("new"), 10, 1.0)
    result = await put(metadata, new, ["latest", "new", "latest"])
    assert result == PutResult(previous={"latest": old.digest, "new": None})
    assert result.written
    assert await metadata.hosted_tags(APP) == ["latest", "new", "old"]
    found = await metadata.tagged_manifest(APP, "latest")
    assert found is not None
    assert found.digest == new.digest
    assert await metadata.manifest(APP, old.digest, hosted=True) is not None


async def test_a_push_without_tags_and_one_that_repeats_are_written(metadata: Metadata) -> None:
    manifest = image("a")
    await push(metadata, APP, manifest)
    await push(metadata, APP, manifest, "v1")
    assert (await put(metadata, manifest, ["v1"])).previous == {"v1": manifest.digest}
    totals = await metadata.totals()
    assert (totals.manifests, totals.tags, totals.repositories) == (1, 1, {None: 1})


async def test_i7_bytes_that_say_no_type_have_the_one_they_came_with(metadata: Metadata) -> None:
    """A repository cannot change what another serves by pushing its bytes under another type."""
    content = json.dumps({"manifests": []}).encode()
    first, second = parse_manifest(content, "application/vnd.odd+json"), parse_manifest(content, OCI_INDEX)
    assert first.digest == second.digest
    assert (await put(metadata, first, ["v1"], repository=TOOL)).written
    assert (await put(metadata, second, ["v1"])).written
    for repository, manifest in ((TOOL, first), (APP, second)):
        found = await metadata.tagged_manifest(repository, "v1")
        assert found is not None
        assert found.media_type == manifest.media_type
        assert await metadata.manifest(repository, manifest.digest, hosted=True) == found
    assert (await put(metadata, first, ["v1"])).written
    again = await metadata.tagged_manifest(APP, "v1")
    assert again is not None
    assert again.media_type == first.media_type


# What is missing


async def test_missing_blobs_are_named_in_order_and_nothing_is_written(metadata: Metadata) -> None:
    manifest = image("a", "b", "a")
    missing = tuple(Missing("blob", layer(name)) for name in ("config", "a", "b"))
    result = await put(metadata, manifest, ["v1"])
    assert result == PutResult(missing)
    assert not result.written
    await nothing_is_there(metadata, manifest, "v1")
    assert await metadata.repository_kind(APP) is None
    await metadata.add_blob(APP, layer("a"), 10, 1.0)
    assert (await put(metadata, manifest, ["v1"])).missing == (missing[0], missing[2])
    await nothing_is_there(metadata, manifest, "v1")


async def test_i12_a_blob_of_another_repository_is_missing_here(metadata: Metadata) -> None:
    manifest = image("a")
    await push(metadata, TOOL, manifest, "v1")
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, checked_at=1.0)
    await metadata.add_blob(APP, layer("a"), 10, 1.0)
    assert (await put(metadata, manifest)).missing == (Missing("blob", layer("config")),)


async def test_a_blob_whose_bytes_are_gone_is_missing(metadata: Metadata) -> None:
    manifest = image("a")
    await push(metadata, APP, manifest)
    await metadata.forget_blob(layer("a"))
    assert (await put(metadata, manifest)).missing == (Missing("blob", layer("a")),)
    await push(metadata, APP, manifest)


async def test_i12_a_layer_from_elsewhere_need_not_be_here_and_does_not_become_readable(metadata: Metadata) -> None:
    secret = layer("secret")
    await metadata.add_blob("team/secret", secret, 10, 1.0)
    elsewhere = described("secret", urls=["https://elsewhere.example/secret"])
    manifest = image("a", elsewhere)
    await push(metadata, APP, manifest, "v1")
    assert await metadata.blob(APP, secret, hosted=True) == BlobFact(False, 10)
    # Nor by way of an upstream, which anyone may push such a manifest to.
    await metadata.store_manifest(NGINX, manifest, upstream=HUB, tag="v1", checked_at=1.0)
    assert await metadata.blob(NGINX, secret) == BlobFact(False, 10)
    assert (await metadata.blob(NGINX, layer("a"))).vouched


async def test_an_index_wants_its_children_unless_it_may_be_sparse(metadata: Metadata) -> None:
    here, there = image("a"), image("b")
    both = index(here, there)
    await push(metadata, APP, here)
    await push(metadata, TOOL, there)
    assert await put(metadata, both, ["v1"]) == PutResult((Missing("manifest", there.digest),))
    await nothing_is_there(metadata, both, "v1")
    assert (await put(metadata, both, ["v1"], sparse=True)).written
    assert await metadata.manifest(APP, there.digest, hosted=True) is None
    nested = index(both, here)
    assert (await put(metadata, nested)).written


async def test_an_index_may_list_blobs(metadata: Metadata) -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [described("layer"), described("gone")]}
    cache = parse_manifest(json.dumps(document).encode(), None)
    await metadata.add_blob(APP, layer("layer"), 10, 1.0)
    assert (await put(metadata, cache)).missing == (Missing("manifest", layer("gone")),)
    await metadata.add_blob(APP, layer("gone"), 10, 1.0)
    assert (await put(metadata, cache)).written


@pytest.mark.parametrize("repository", [APP, "team/new"])
async def test_an_empty_index_needs_nothing(metadata: Metadata, repository: str) -> None:
    assert (await put(metadata, index(), ["v1"], repository=repository)).written
    assert await metadata.repository_kind(repository) == "hosted"


async def test_a_subject_need_not_exist(metadata: Metadata) -> None:
    subject = image("never pushed")
    signature = image("a", subject=subject)
    await push(metadata, APP, signature)
    assert await metadata.referrers(APP, subject.digest) == [signature.descriptor()]


# Immutable tags


async def test_an_immutable_tag_stays_and_nothing_is_written(metadata: Metadata) -> None:
    old, new = image("a"), image("b")
    await push(metadata, APP, old, "v1")
    await metadata.add_blob(APP, layer("b"), 10, 1.0)
    result = await put(metadata, new, ["other", "v1"], immutable=lambda tag: tag == "v1")
    assert result == PutResult(immutable="v1")
    assert not result.written
    await nothing_is_there(metadata, new, "other")
    assert (await metadata.tag(APP, "v1", hosted=True)) == TagFact(old.digest, 0.0, True, True)


async def test_an_immutable_tag_is_set_once_and_again_to_the_same(metadata: Metadata) -> None:
    manifest = image("a")
    await metadata.add_blob(APP, layer("a"), 10, 1.0)
    await metadata.add_blob(APP, layer("config"), 2, 1.0)
    assert (await put(metadata, manifest, ["v1"], immutable=always)).written
    assert (await put(metadata, manifest, ["v1"], immutable=always)).written


async def test_an_immutable_tag_keeps_its_manifest(metadata: Metadata) -> None:
    manifest = image("a")
    await push(metadata, APP, manifest, "v1", "latest")
    refused = await metadata.delete_manifest(APP, manifest.digest, immutable=lambda tag: tag == "v1")
    assert refused == DeleteResult(found=True, immutable="v1")
    assert await metadata.hosted_tags(APP) == ["latest", "v1"]


@pytest.mark.parametrize("stored", [True, False])
async def test_a_mirrors_refresh_leaves_an_immutable_tag(metadata: Metadata, stored: bool) -> None:
    old, new = image("old"), image("new")
    written = await metadata.store_manifest(NGINX, old, upstream=HUB, tag="1.0", checked_at=1.0, immutable=True)
    assert written
    if stored:
        await metadata.store_manifest("docker.io/x", new, upstream=HUB, checked_at=1.0)
        moved = await metadata.vouch_manifest(
            NGINX, new.digest, upstream=HUB, tag="1.0", checked_at=2.0, immutable=True
        )
    else:
        moved = await metadata.store_manifest(NGINX, new, upstream=HUB, tag="1.0", checked_at=2.0, immutable=True)
    assert not moved
    # It has been asked for, and the new manifest can be had by its digest.
    assert await metadata.tag(NGINX, "1.0") == TagFact(old.digest, 2.0, True, True, 2.0)
    assert await metadata.manifest(NGINX, new.digest) is not None
    again = await metadata.vouch_manifest(NGINX, old.digest, upstream=HUB, tag="1.0", checked_at=3.0, immutable=True)
    assert again


# Deleting


async def test_deleting_a_tag_leaves_its_manifest(metadata: Metadata) -> None:
    manifest = image("a")
    await push(metadata, APP, manifest, "v1", "v2")
    assert await metadata.delete_tag(APP, "v1")
    assert not await metadata.delete_tag(APP, "v1")
    assert not await metadata.delete_tag("team/nobody", "v1")
    assert await metadata.hosted_tags(APP) == ["v2"]
    assert await metadata.manifest(APP, manifest.digest, hosted=True) is not None


async def test_deleting_a_manifest_takes_its_tags_here_and_nothing_else(metadata: Metadata) -> None:
    manifest, other = image("a"), image("b")
    parent = index(manifest)
    for repository in (APP, TOOL):
        await push(metadata, repository, manifest, "v1", "v2")
    await push(metadata, APP, other, "v3")
    assert (await put(metadata, parent, ["all"])).written
    assert await metadata.delete_manifest(APP, manifest.digest, immutable=never) == DeleteResult(found=True)
    assert await metadata.delete_manifest(APP, manifest.digest, immutable=never) == DeleteResult(found=False)
    assert await metadata.hosted_tags(APP) == ["all", "v3"]
    assert await metadata.manifest(APP, manifest.digest, hosted=True) is None
    assert await metadata.hosted_tags(TOOL) == ["v1", "v2"]
    # Its blobs were pushed by themselves.
    assert await metadata.blob(APP, layer("a"), hosted=True) == BlobFact(True, 10, 10)
    await push(metadata, APP, manifest, "v1")
    assert await metadata.tagged_manifest(APP, "v1") is not None


async def test_deleting_from_a_repository_that_is_not_there(metadata: Metadata) -> None:
    assert await metadata.delete_manifest(APP, layer("a"), immutable=never) == DeleteResult(found=False)
    assert await metadata.repository_kind(APP) is None


# Two kinds of one name


async def test_i12_manifests_and_tags_of_one_kind_are_not_the_others(metadata: Metadata) -> None:
    """`team` was an upstream and is hosted now, or the other way round: nothing is mixed, and nothing lost."""
    mirrored, pushed = image("m"), image("p")
    await metadata.store_manifest(APP, mirrored, upstream="team", tag="v1", checked_at=1.0)
    assert await metadata.tag(APP, "v1", hosted=True) is None
    assert await metadata.manifest(APP, mirrored.digest, hosted=True) is None
    assert await metadata.hosted_tags(APP) == []
    assert await metadata.repository_kind(APP) == "mirrored"
    assert not await metadata.delete_tag(APP, "v1")
    assert await metadata.delete_manifest(APP, mirrored.digest, immutable=never) == DeleteResult(found=False)
    assert (await put(metadata, index(mirrored))).missing == (Missing("manifest", mirrored.digest),)
    await push(metadata, APP, pushed, "v1", "v2")
    assert await metadata.repository_kind(APP) == "hosted"
    assert await metadata.tag(APP, "v1") == TagFact(mirrored.digest, 1.0, True, True, 1.0)
    assert await metadata.manifest(APP, pushed.digest) is None
    assert await metadata.tag_page(APP) == ["v1"]
    await metadata.tag_missing(APP, "v1", 2.0, drop=True)
    await metadata.expire(APP, "tag", "v1")
    await metadata.confirm_tag(APP, "v2", 2.0)
    assert await metadata.hosted_tags(APP) == ["v1", "v2"]
    assert await metadata.tag(APP, "v1", hosted=True) == TagFact(pushed.digest, 0.0, True, True)
    assert await metadata.catalog() == [APP]
