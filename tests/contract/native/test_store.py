"""`Store` and `Lock`, and that nothing is left over."""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pyregistry._native import Client, Store, fills
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob import BLOB, DIGEST, fetched, own, read
from tests.contract.native.blob_server import BlobServer


async def test_locks(store: Store, other: Store) -> None:
    held = await store.lock(7)
    assert other.try_lock(7) is None
    assert store.try_lock(7) is None
    with other.try_lock(8) or pytest.fail("8 is free"):
        assert store.try_lock(8) is None
    waiting = asyncio.ensure_future(other.lock(7))
    await asyncio.sleep(0)
    assert not waiting.done()
    held.release()
    with await waiting as lock:
        assert store.try_lock(7) is None
        lock.release()
        again = store.try_lock(7)
        assert again is not None
    assert other.try_lock(7) is None
    del again
    assert other.try_lock(7) is not None


async def test_a_cancelled_wait_for_a_lock_holds_nothing(store: Store, other: Store) -> None:
    held = await store.lock(7)
    waiting = asyncio.ensure_future(other.lock(7))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.release()
    with await asyncio.wait_for(store.lock(7), 5):
        pass


async def test_remove_clean_and_fills(store: Store, client: Client, tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    digest = await fetched(store, client, b"hello")
    reader = store.committed(digest)
    assert reader is not None
    assert store.remove(digest)
    assert not store.remove(digest)
    assert store.committed(digest) is None
    assert await read(reader.plan()) == b"hello"
    assert store.free_bytes() > 0
    async with BlobServer(BLOB) as server:
        server.gate(2_000_000)
        waiting = store.attach(DIGEST)
        fill = await own(store)
        run = asyncio.ensure_future(fill.run(client.source(server.url, [])))
        await waiting.ready()
        plan = waiting.plan()
        await plan.next(1)
        (seen,) = fills(root)
        assert (seen.digest, seen.size, seen.owned, seen.failure) == (DIGEST, len(BLOB), True, None)
        assert seen.frontier > 0
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        fill.fail(Failure(Cause.UPSTREAM, "enough", status=500))
        (seen,) = fills(root)
        assert not seen.owned
        assert seen.failure is not None
        assert (seen.failure.cause, seen.failure.status) == (Cause.UPSTREAM, 500)
    await asyncio.sleep(0.25)  # failure_seconds is 0.2
    assert await store.clean(3600) == []
    assert await store.clean(0) == [DIGEST]
    assert fills(root) == []


async def test_bad_arguments(store: Store, tmp_path: Path) -> None:
    for digest in ["", "sha256", "sha256:xyz", "md5:" + "0" * 32, "SHA256:" + "0" * 64]:
        with pytest.raises(ValueError, match="digest"):
            store.committed(digest)
    with pytest.raises(ValueError, match="failure_seconds"):
        Store(str(tmp_path), failure_seconds=-1)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Failure, match=str(file)) as caught:
        Store(str(file))
    assert caught.value.cause is Cause.STORAGE


async def test_nothing_is_left_over(open_store: Callable[[], Store], client: Client) -> None:
    process = psutil.Process()

    async def round_trip(number: int) -> None:
        store = open_store()
        content = number.to_bytes(4, "big") * 1000
        digest = await fetched(store, client, content)
        reader = store.committed(digest)
        assert reader is not None
        assert await read(reader.plan()) == content
        store.attach(DIGEST)
        await store.close()

    for number in range(5):
        await round_trip(number)
    gc.collect()
    before = process.num_fds(), process.num_threads()
    for number in range(5, 55):
        await round_trip(number)
    gc.collect()
    after = process.num_fds(), process.num_threads()
    # Blocking threads of the runtime come and go; descriptors of servers' kept connections close behind us.
    assert after[0] <= before[0] + 3
    assert after[1] <= before[1] + 8
