"""Layouts as files: what is read is checked, what is written is there whole or not at all."""

import errno
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from pyregistry.errors import Cause, Failure
from pyregistry.oci.digests import Digest, digest_of
from pyregistry.oci.layout import InvalidLayout, blob_path
from pyregistry.oci.platforms import parse_platform
from pyregistry.store.layouts.plan import ImportPlan, plan_import
from pyregistry.store.layouts.reading import open_layout
from pyregistry.store.layouts.writing import finish, write_file, write_layout
from tests.support import layout
from tests.support.images import Image, artifact, image, index, multi_platform
from tests.support.layout import write_layout as write_images

INDEX = b'{"schemaVersion":2,"manifests":[]}'


def plan(path: Path, tag: str | None = None, *platforms: str) -> ImportPlan:
    with open_layout(path) as opened:
        wanted = [parse_platform(text) for text in platforms]
        return plan_import(opened, opened.entries(), tag=tag, platforms=wanted)


def packed(folder: Path, prefix: str = "") -> Path:
    """The folder as an archive beside it."""
    archive = folder.with_suffix(".tar")
    with tarfile.open(archive, "w") as file:
        file.add(folder, arcname=prefix or ".")
    return archive


@pytest.fixture
def made() -> Image:
    return multi_platform(seed="layouts")


@pytest.fixture(params=["folder", "archive"])
def path(request: pytest.FixtureRequest, made: Image, tmp_path: Path) -> Path:
    folder = write_images(tmp_path / "layout", {"v1": made})
    return folder if request.param == "folder" else packed(folder)


def test_children_come_before_parents(path: Path, made: Image) -> None:
    found = plan(path)
    assert list(found.manifests) == [part.digest for part in made.walk()]
    assert found.blobs.keys() == {blob.digest for part in made.walk() for blob in part.blobs}
    assert (found.tags, found.left_out) == ({made.digest: ["v1"]}, {})


def test_bytes_are_read_where_they_lie(path: Path, made: Image) -> None:
    blob = made.children[0].layers[1]
    digest = Digest(blob.digest)
    with open_layout(path) as opened, opened.open(digest) as part:
        assert part.size == blob.size
        assert part.read(1000) + part.whole() == blob.data
        assert part.read(1) == b""
        assert opened.size(digest_of(b"nowhere")) is None


def test_platforms(path: Path, made: Image) -> None:
    found = plan(path, None, "linux/arm64")
    assert list(found.manifests) == [made.children[1].digest, made.digest]
    assert found.left_out.keys() == {made.children[0].digest, made.children[2].digest}
    with pytest.raises(InvalidLayout, match="it has linux/amd64, linux/arm64, windows/amd64"):
        plan(path, None, "plan9/mips")


def test_deep_indexes_are_no_recursion(tmp_path: Path) -> None:
    made = image([10], seed="deep")
    for _ in range(1500):
        made = index([made])
    folder = tmp_path / "layout"
    write_images(folder, {})
    deep = made
    while True:
        layout._write(layout.blob_path(folder, deep.digest), deep.manifest)
        if not deep.children:
            break
        (deep,) = deep.children
    for blob in deep.blobs:
        layout._write(layout.blob_path(folder, blob.digest), blob.data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [made.descriptor()]}))
    assert len(plan(folder).manifests) == 1501


def test_a_cache_is_an_index_of_layers(tmp_path: Path) -> None:
    inner = image([100, 200], seed="cache")
    children = [
        {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": b.digest, "size": b.size}
        for b in inner.blobs
    ]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": index([]).media_type, "manifests": children}).encode()
    cache = Image(manifest, index([]).media_type, digest_of(manifest))
    folder = write_images(tmp_path / "layout", {"other": inner, "cache": cache})
    with open_layout(folder) as opened:
        entries = [entry for entry in opened.entries() if entry.tag == "cache"]
        found = plan_import(opened, entries)
    assert list(found.manifests) == [cache.digest]
    assert found.blobs.keys() == {blob.digest for blob in inner.blobs}


def test_one_image_with_what_refers_to_it(tmp_path: Path) -> None:
    one, other = image([10], seed="one"), image([10], seed="other")
    signature = artifact(b"signature", "application/x", subject=one)
    of_signature = artifact(b"of signature", "application/x", subject=signature)
    of_other = artifact(b"of other", "application/x", subject=other)
    every = {"a": one, "b": other, "c": of_signature, "d": signature, "e": of_other}
    folder = write_images(tmp_path / "layout", every)
    found = plan(folder, "a")
    assert found.manifests.keys() == {one.digest, signature.digest, of_signature.digest}
    assert found.tags == {one.digest: ["a"]}
    with pytest.raises(InvalidLayout, match=r"2 images and does not say which is v1 \(its tags: a, b, c, d, e\)"):
        plan(folder, "v1")


def test_the_only_image_gets_any_tag(path: Path, made: Image) -> None:
    assert plan(path, "other").tags == {made.digest: ["other"]}


def test_one_tag_names_one_image(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "layout", {"a": image([10], seed=1), "b": image([10], seed=2)})
    changed = (folder / "index.json").read_text().replace('ref.name": "b"', 'ref.name": "a"')
    (folder / "index.json").write_text(changed)
    with pytest.raises(InvalidLayout, match="gives tag a to both"):
        plan(folder)


def test_damage_is_told(tmp_path: Path, made: Image) -> None:
    folder = write_images(tmp_path / "layout", {"v1": made})
    child = layout.blob_path(folder, made.children[0].digest)
    good = child.read_bytes()
    child.write_bytes(good.replace(b"sha256:", b"sha256:", 1)[:-1] + b" ")
    with pytest.raises(InvalidLayout, match=f"{child.name}"):
        plan(folder)
    child.write_bytes(good + b"\n")
    with pytest.raises(InvalidLayout, match=f"has {len(good) + 1} bytes, but is said to have {len(good)}"):
        plan(folder)
    child.write_bytes(good)
    layer = layout.blob_path(folder, made.children[0].layers[0].digest)
    layer.write_bytes(b"short")
    with pytest.raises(InvalidLayout, match=f"{layer.name} has 5 bytes"):
        plan(folder)
    layout.blob_path(folder, made.digest).unlink()
    with pytest.raises(InvalidLayout, match=f"does not have manifest {made.digest}"):
        plan(folder)


def test_what_is_no_layout(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(InvalidLayout) as error, open_layout(path) as opened:
            opened.entries()
        return str(error.value)

    assert refused(tmp_path / "missing").endswith("missing: No such file or directory")
    assert refused(tmp_path).endswith("is no image layout: it has no oci-layout")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "a pipe will not do" in refused(fifo)
    text = tmp_path / "text"
    text.write_text("hello")
    assert "is no whole tar archive" in refused(text)
    folder = write_images(tmp_path / "layout", {"v1": image([100_000], seed="cut")})
    whole = packed(folder).read_bytes()
    text.write_bytes(whole[:60_000])
    assert "is no whole tar archive" in refused(text)
    text.write_bytes(b"\x1f\x8b" + whole)
    assert refused(text).endswith("is compressed; unpack it with gzip -d first")
    assert "it has layout/oci-layout: pack what is in the folder" in refused(packed(folder, "layout"))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"3"}')
    assert refused(folder).startswith(f"{folder}: oci-layout names image layout version '3'")


def test_links_in_an_archive_are_files(tmp_path: Path) -> None:
    made = image([1000], seed="links")
    folder = write_images(tmp_path / "layout", {"v1": made})
    layer = layout.blob_path(folder, made.layers[0].digest)
    twin = folder / "a-first"
    os.link(layer, twin)
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(folder, arcname=".")
        assert any(member.islnk() for member in file.getmembers())
    assert plan(tmp_path / "x.tar").blobs.keys() == {blob.digest for blob in made.blobs}


def write(path: Path, data: bytes = b"data") -> None:
    with write_layout(path) as writer:
        write_file(writer, blob_path(digest_of(data)), data)
        write_file(writer, blob_path(digest_of(data, "sha512")), data)
        finish(writer, INDEX)


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_what_is_written_can_be_read(name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with open_layout(tmp_path / name) as opened:
        assert opened.entries() == ()
        for algorithm in ("sha256", "sha512"):
            with opened.open(digest_of(b"data", algorithm)) as part:
                assert part.whole() == b"data"


def test_an_archive_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    write(tmp_path / "a.tar")
    write(tmp_path / "b.tar")
    content = (tmp_path / "a.tar").read_bytes()
    assert content == (tmp_path / "b.tar").read_bytes()
    assert len(content) % 10240 == 0
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = archive.getnames()
    # Without its end an archive is no layout.
    assert names[-2:] == ["oci-layout", "index.json"]
    assert names[:2] == ["blobs", "blobs/sha256"]


@pytest.mark.parametrize("name", ["out", "out.tar"])
def test_what_fails_leaves_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    def break_off() -> None:
        with write_layout(path) as writer:
            writer.begin("blobs/sha256/x", 10)
            writer.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Failure) as full, write_layout(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.cause is Cause.STORAGE_FULL
    assert full.value.message == f"{path}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.tar").mkdir()
    for name, why in [("folder", "is not empty"), ("file", "is no folder"), ("folder.tar", "is no file")]:
        with pytest.raises(Failure, match=why):
            write(tmp_path / name)
    assert (tmp_path / "folder" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"
    with pytest.raises(Failure, match="No such file or directory"):
        write(tmp_path / "no" / "where")
    # An empty folder is taken, an archive replaced.
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty")
    write(tmp_path / "x.tar", b"first")
    write(tmp_path / "x.tar", b"second")
    with open_layout(tmp_path / "x.tar") as opened:
        assert opened.size(digest_of(b"first")) is None
