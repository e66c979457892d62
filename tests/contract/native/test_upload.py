"""`Upload`: pushed bytes on their way to a blob, by one process at a time; listing what is committed."""

import asyncio
import gc
import hashlib
from pathlib import Path

import psutil
import pytest

from pyregistry._native import Client, Store, Upload
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob import BLOB, DIGEST, digest_of, fetched, read

CHUNK = 100_000


async def push(upload: Upload, content: bytes) -> None:
    for start in range(0, len(content), CHUNK):
        if (room := upload.write(content[start : start + CHUNK])) is not None:
            await room


async def stored(store: Store, digest: str) -> bytes:
    reader = store.committed(digest)
    assert reader is not None
    return await read(reader.plan())


async def test_an_upload_becomes_a_blob(store: Store, other: Store, tmp_path: Path) -> None:
    upload = store.begin_upload("a-1")
    assert (upload.session, upload.offset, store.upload_offset("a-1")) == ("a-1", 0, 0)
    await push(upload, BLOB)
    assert upload.offset == len(BLOB)
    assert await upload.commit(DIGEST) == len(BLOB)
    assert await stored(other, DIGEST) == BLOB
    assert store.upload_offset("a-1") is None
    for ended in (upload.flush, lambda: upload.commit(DIGEST)):
        with pytest.raises(Failure) as caught:
            await ended()
        assert caught.value.cause is Cause.NOT_FOUND
    with pytest.raises(Failure, match="a-1") as caught:
        upload.write(b"more")
    assert caught.value.cause is Cause.NOT_FOUND
    with pytest.raises(Failure, match="a-1") as caught:
        store.open_upload("a-1")
    assert caught.value.cause is Cause.NOT_FOUND
    assert list((tmp_path / "root" / "uploads").iterdir()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_another_process_goes_on(store: Store, other: Store, algorithm: str) -> None:
    upload = store.begin_upload("a", algorithm)
    await push(upload, BLOB[:1_700_000])
    assert other.open_upload("a") is None
    assert not other.remove_upload("a")
    assert await upload.flush() == 1_700_000
    assert other.upload_offset("a") == 1_700_000
    upload.write(b"lost")
    upload.release()
    upload.release()
    with pytest.raises(RuntimeError, match="released"):
        upload.write(b"")
    # Its last batch may still be under way.
    while (heir := other.open_upload("a")) is None:  # noqa: ASYNC110  nothing tells when
        await asyncio.sleep(0)
    assert heir.offset == 1_700_000
    await push(heir, BLOB[1_700_000:])
    digest = f"{algorithm}:{hashlib.new(algorithm, BLOB).hexdigest()}"
    assert await heir.commit(digest) == len(BLOB)
    assert await stored(store, digest) == BLOB


async def test_forgotten_is_released(store: Store, other: Store) -> None:
    upload = store.begin_upload("a")
    await upload.flush()
    del upload
    gc.collect()
    assert other.open_upload("a") is not None


async def test_a_wrong_digest_leaves_the_upload(store: Store) -> None:
    upload = store.begin_upload("a")
    await push(upload, BLOB[:-1])
    for wrong in (DIGEST, "sha512:" + hashlib.sha512(BLOB).hexdigest()):
        with pytest.raises(Failure, match=f"2999999 bytes of upload a .* {wrong}") as caught:
            await upload.commit(wrong)
        assert caught.value.cause is Cause.DIGEST_MISMATCH
    upload.write(BLOB[-1:])
    assert await upload.commit(DIGEST) == len(BLOB)
    assert await stored(store, DIGEST) == BLOB


async def test_what_is_there_is_stored_once(store: Store, other: Store, client: Client, tmp_path: Path) -> None:
    """Mirrored first, then pushed twice at once."""
    await fetched(store, client)
    (file,) = (tmp_path / "root" / "blobs").rglob(DIGEST.removeprefix("sha256:"))
    inode = file.stat().st_ino
    uploads = [store.begin_upload("a"), other.begin_upload("b")]
    for upload in uploads:
        await push(upload, BLOB)
    assert await asyncio.gather(*(upload.commit(DIGEST) for upload in uploads)) == [len(BLOB)] * 2
    assert file.stat().st_ino == inode
    assert store.uploads() == []


async def test_a_cancelled_wait_loses_no_byte(store: Store) -> None:
    upload = store.begin_upload("a")
    for start in range(0, len(BLOB), CHUNK):
        if (room := upload.write(BLOB[start : start + CHUNK])) is not None:
            waiting = asyncio.ensure_future(room)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    flushing = asyncio.ensure_future(upload.flush())
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    assert await upload.commit(DIGEST) == len(BLOB)


async def test_uploads_are_listed_and_removed(store: Store, other: Store) -> None:
    for session in ("a", "b"):
        upload = store.begin_upload(session)
        await upload.flush()
        upload.release()
    listed = dict(other.uploads())
    assert listed.keys() == {"a", "b"}
    assert all(0 <= age < 20 for age in listed.values())
    with pytest.raises(Failure, match="there is an upload of this name"):
        other.begin_upload("a")
    assert other.remove_upload("a")
    assert not other.remove_upload("a")
    assert [session for session, _ in store.uploads()] == ["b"]


async def test_no_upload_begins_without_room(store: Store, tmp_path: Path) -> None:
    full = Store(str(tmp_path / "root"), reserve=1 << 62)
    with pytest.raises(Failure, match="reserve") as caught:
        full.begin_upload("a")
    assert caught.value.cause is Cause.STORAGE_FULL
    assert full.uploads() == []
    await full.close()
    with pytest.raises(Failure, match="closed") as caught:
        full.open_upload("a")
    assert caught.value.cause is Cause.INTERRUPTED


async def test_blobs_are_listed_in_order(store: Store) -> None:
    contents = [bytes([number]) for number in range(40)]
    for number, content in enumerate(contents):
        upload = store.begin_upload(str(number))
        upload.write(content)
        await upload.commit(digest_of(content))
    expected = sorted(map(digest_of, contents))
    for limit in (3, 1000):
        listed: list[str] = []
        while page := store.blobs(listed[-1] if listed else "", limit):
            assert len(page) <= limit
            assert all(0 <= age < 20 for _, age in page)
            listed += [digest for digest, _ in page]
        assert listed == expected


async def test_bad_arguments(store: Store) -> None:
    for session in ("", "..", "a/b", "A", "a" * 65):
        for call in (store.begin_upload, store.open_upload, store.upload_offset, store.remove_upload):
            with pytest.raises(ValueError, match="name of an upload"):
                call(session)
    with pytest.raises(ValueError, match="md5"):
        store.begin_upload("a", "md5")
    with pytest.raises(ValueError, match="digest"):
        store.blobs("sha256:")
    upload = store.begin_upload("a")
    with pytest.raises(ValueError, match="digest"):
        upload.commit("sha256:xyz")
    with pytest.raises(TypeError):
        upload.write("text")  # type: ignore[arg-type]
    assert await upload.commit(digest_of(b"")) == 0


async def test_bytes_are_held_by_reference_and_let_go(store: Store) -> None:
    process = psutil.Process()
    upload = store.begin_upload("a")
    before = process.memory_info().rss
    for _ in range(256):
        if (room := upload.write(bytes(1 << 20))) is not None:
            await room
    await upload.flush()
    assert process.memory_info().rss - before < 32 << 20
    # A byte at a time costs no object a byte.
    for _ in range(1 << 20):
        upload.write(b"1")
    assert process.memory_info().rss - before < 32 << 20
    assert upload.offset == 257 << 20
    upload.release()
