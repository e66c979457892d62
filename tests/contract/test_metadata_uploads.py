"""What every metadata database must do with uploads, and with the blobs they become."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyregistry.errors import Failure
from pyregistry.store.metadata import BlobFact, UploadFact
from tests.support.metadata import APP, BACKENDS, HUB, NGINX, OTHER, TOOL, image, layer, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyregistry.store.metadata import Metadata

DIGEST = layer("a")


@pytest.fixture(params=BACKENDS)
def metadata(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Metadata]:
    with opened(request.param, tmp_path) as made:
        yield made


# Uploads


async def test_an_upload_begins_is_touched_and_ends(metadata: Metadata) -> None:
    assert await metadata.upload("s1") is None
    await metadata.begin_upload(APP, "s1", 1.0)
    assert await metadata.upload("s1") == UploadFact("s1", APP, 1.0, 1.0)
    assert await metadata.touch_upload("s1", 5.0)
    assert await metadata.upload("s1") == UploadFact("s1", APP, 1.0, 5.0)
    assert await metadata.end_upload("s1")
    assert await metadata.upload("s1") is None
    assert not await metadata.touch_upload("s1", 6.0)
    assert not await metadata.end_upload("s1")


async def test_a_session_is_one_upload_only(metadata: Metadata) -> None:
    await metadata.begin_upload(APP, "s1", 1.0)
    with pytest.raises(Failure, match="UNIQUE"):
        await metadata.begin_upload(TOOL, "s1", 2.0)
    assert await metadata.upload("s1") == UploadFact("s1", APP, 1.0, 1.0)
    assert await metadata.repository_kind(TOOL) is None


async def test_uploads_given_up_leave_no_repository_behind(metadata: Metadata) -> None:
    await metadata.begin_upload(APP, "s1", 1.0)
    await metadata.begin_upload(APP, "s2", 1.0)
    await metadata.end_upload("s1")
    assert await metadata.repository_kind(APP) == "hosted"
    await metadata.end_upload("s2")
    assert await metadata.repository_kind(APP) is None
    await metadata.add_blob(APP, DIGEST, 10, 1.0)
    await metadata.begin_upload(APP, "s3", 1.0)
    await metadata.end_upload("s3")
    assert await metadata.repository_kind(APP) == "hosted"


async def test_idle_uploads_are_found_longest_idle_first(metadata: Metadata) -> None:
    for number in range(5):
        await metadata.begin_upload(APP if number % 2 else TOOL, f"s{number}", float(number))
    await metadata.touch_upload("s0", 10.0)
    assert [fact.session for fact in await metadata.idle_uploads(4.0)] == ["s1", "s2", "s3"]
    assert [fact.session for fact in await metadata.idle_uploads(100.0, limit=2)] == ["s1", "s2"]
    assert (await metadata.idle_uploads(100.0))[-1] == UploadFact("s0", TOOL, 0.0, 10.0)
    assert await metadata.idle_uploads(1.0) == []


# Blobs


async def test_a_pushed_blob_is_its_repositorys_and_its_upload_is_over(metadata: Metadata) -> None:
    await metadata.begin_upload(APP, "s1", 1.0)
    await metadata.begin_upload(APP, "s2", 1.0)
    await metadata.add_blob(APP, DIGEST, 12, 2.0, session="s1")
    assert await metadata.blob(APP, DIGEST, hosted=True) == BlobFact(True, 12, 12)
    assert await metadata.blob(TOOL, DIGEST, hosted=True) == BlobFact(False, 12)
    assert await metadata.upload("s1") is None
    assert await metadata.upload("s2") is not None


async def test_a_blob_is_pushed_again_and_counted_once(metadata: Metadata) -> None:
    for at in (1.0, 2.0):
        await metadata.add_blob(APP, DIGEST, 12, at)
    await metadata.add_blob(TOOL, DIGEST, 12, 3.0, session="gone meanwhile")
    assert (await metadata.totals()).blobs == 1


async def test_a_blob_is_mounted_from_a_repository_that_has_it(metadata: Metadata) -> None:
    await metadata.add_blob(APP, DIGEST, 12, 1.0)
    assert await metadata.mount_blob(TOOL, DIGEST, APP, 2.0)
    assert await metadata.blob(TOOL, DIGEST, hosted=True) == BlobFact(True, 12, 12)


@pytest.mark.parametrize("source", [APP, "team/nobody", TOOL])
async def test_i12_a_repository_without_a_row_is_no_source(metadata: Metadata, source: str) -> None:
    await metadata.begin_upload(APP, "s1", 1.0)
    await metadata.record_blob(DIGEST, 12, 1.0)  # committed, whoever brought it
    assert not await metadata.mount_blob(TOOL, DIGEST, source, 2.0)
    assert not await metadata.mount_blob(TOOL, DIGEST, source, 2.0, hosted_source=False)
    assert await metadata.blob(TOOL, DIGEST, hosted=True) == BlobFact(False, 12)
    assert await metadata.repository_kind(TOOL) is None


async def test_a_blob_that_is_not_committed_cannot_be_mounted(metadata: Metadata) -> None:
    await metadata.add_blob(APP, DIGEST, 12, 1.0)
    await metadata.forget_blob(DIGEST)
    assert not await metadata.mount_blob(TOOL, DIGEST, APP, 2.0)
    assert not await metadata.mount_blob(TOOL, DIGEST, None, 2.0)


async def test_i12_a_mirrored_repository_is_a_source_only_where_it_is_named(metadata: Metadata) -> None:
    await metadata.record_blob(DIGEST, 12, 1.0)
    await metadata.vouch_blob(NGINX, DIGEST, origin="upstream", at=1.0, upstream=HUB)
    assert not await metadata.mount_blob(TOOL, DIGEST, None, 2.0)
    assert not await metadata.mount_blob(TOOL, DIGEST, NGINX, 2.0)
    assert not await metadata.mount_blob(TOOL, DIGEST, OTHER, 2.0, hosted_source=False)
    assert await metadata.mount_blob(TOOL, DIGEST, NGINX, 2.0, hosted_source=False)
    assert (await metadata.blob(TOOL, DIGEST, hosted=True)).vouched


async def test_without_a_source_any_hosted_repository_will_do_that_the_caller_may_read(metadata: Metadata) -> None:
    await metadata.store_manifest(NGINX, image("a"), upstream=HUB, checked_at=1.0)
    await metadata.add_blob(APP, DIGEST, 12, 1.0)
    await metadata.add_blob("team/secret", DIGEST, 12, 1.0)
    asked: list[str] = []

    def readable(name: str) -> bool:
        asked.append(name)
        return False

    assert not await metadata.mount_blob(TOOL, DIGEST, None, 2.0, readable=readable)
    assert sorted(asked) == [APP, "team/secret"]
    assert not (await metadata.blob(TOOL, DIGEST, hosted=True)).vouched
    assert await metadata.mount_blob(TOOL, DIGEST, None, 2.0, readable=lambda name: name == APP)
    assert await metadata.mount_blob("team/fourth", DIGEST, None, 2.0)


async def test_deleting_a_blob_is_about_one_repository(metadata: Metadata) -> None:
    await metadata.add_blob(APP, DIGEST, 12, 1.0)
    await metadata.add_blob(TOOL, DIGEST, 12, 1.0)
    assert await metadata.delete_blob(APP, DIGEST)
    assert not await metadata.delete_blob(APP, DIGEST)
    assert not await metadata.delete_blob("team/nobody", DIGEST)
    assert await metadata.blob(APP, DIGEST, hosted=True) == BlobFact(False, 12)
    assert (await metadata.blob(TOOL, DIGEST, hosted=True)).vouched


async def test_who_cleans_learns_which_blobs_have_rows(metadata: Metadata) -> None:
    await metadata.add_blob(APP, DIGEST, 12, 1.0)
    await metadata.record_blob(layer("b"), 12, 1.0)
    await metadata.delete_blob(APP, DIGEST)
    assert await metadata.known_blobs([DIGEST, layer("b"), layer("c")]) == {DIGEST, layer("b")}
    assert await metadata.known_blobs([]) == set()


# Two kinds of one name


async def test_i12_the_blobs_of_one_kind_are_not_the_others(metadata: Metadata) -> None:
    await metadata.record_blob(DIGEST, 12, 1.0)
    await metadata.vouch_blob(APP, DIGEST, origin="upstream", at=1.0, upstream="team")
    assert await metadata.blob(APP, DIGEST) == BlobFact(True, 12)
    assert await metadata.blob(APP, DIGEST, hosted=True) == BlobFact(False, 12)
    assert not await metadata.delete_blob(APP, DIGEST)
    assert not await metadata.mount_blob(TOOL, DIGEST, APP, 2.0)
    await metadata.add_blob(APP, DIGEST, 12, 3.0)
    assert await metadata.delete_blob(APP, DIGEST)
    assert await metadata.blob(APP, DIGEST) == BlobFact(True, 12)
