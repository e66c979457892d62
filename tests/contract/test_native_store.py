"""`Store`, `Fill`, `Reader` and `Plan` as Python sees them. Two stores on one root stand for two processes."""

import asyncio
import email
import gc
import hashlib
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from pyregistry._native import Client, Fill, Plan, Store, fills
from pyregistry.errors import Cause, Failure
from tests.contract.blob_server import Asked, BlobServer

BLOB = random.Random(1).randbytes(3_000_000)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


DIGEST = digest_of(BLOB)


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: Store(str(tmp_path / "root"), reserve=0, failure_seconds=0.2)


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    opened = open_store()
    yield opened
    await opened.close()


@pytest.fixture
async def other(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """Another process's view of the same root."""
    opened = open_store()
    yield opened
    await opened.close()


@pytest.fixture
def client() -> Client:
    return Client(user_agent="pyregistry-test", progress_timeout=5)


async def own(store: Store, digest: str = DIGEST) -> Fill:
    fill = await store.own_or_follow(digest)
    assert fill is not None
    return fill


async def read(plan: Plan, limit: int = 100_000) -> bytes:
    body = b""
    while piece := await plan.next(limit):
        assert len(piece) <= limit
        body += piece
    assert plan.take(limit) == b""
    return body


async def fetched(store: Store, client: Client, content: bytes = BLOB) -> str:
    digest = digest_of(content)
    async with BlobServer(content) as server:
        assert await (await own(store, digest)).run(client.source(server.url, [])) == "committed"
    return digest


async def test_a_fill_becomes_a_committed_blob(store: Store, client: Client) -> None:
    assert store.committed(DIGEST) is None
    assert not store.in_flight(DIGEST)
    async with BlobServer(BLOB) as server:
        source = client.source(server.url, [("Authorization", "Bearer t")])
        fill = await own(store)
        assert (fill.digest, fill.frontier, store.owned()) == (DIGEST, 0, 1)
        assert store.in_flight(DIGEST)
        assert await fill.run(source) == "committed"
        assert (source.received, source.statuses) == (len(BLOB), [200])
        assert server.asked[0].headers["authorization"] == "Bearer t"
    assert (store.owned(), store.in_flight(DIGEST)) == (0, False)
    reader = store.committed(DIGEST, len(BLOB))
    assert reader is not None
    assert (reader.digest, reader.size, reader.is_committed) == (DIGEST, len(BLOB), True)
    assert await reader.ready() == len(BLOB)
    plan = reader.plan()
    assert plan.length == len(BLOB)
    assert await read(plan) == BLOB


@pytest.mark.parametrize("committed", [True, False])
async def test_ranges(store: Store, client: Client, committed: bool) -> None:
    if committed:
        await fetched(store, client)
        reader = store.committed(DIGEST)
        assert reader is not None
        await _ranges_of(reader.plan)
        return
    async with BlobServer(BLOB) as server:
        reader = store.attach(DIGEST)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        assert await reader.ready() == len(BLOB)
        await _ranges_of(reader.plan)
        assert await run == "committed"


async def _ranges_of(make: Callable[..., Plan]) -> None:
    size = len(BLOB)
    for start, end in [(0, 1), (0, size), (1, size), (size - 1, size), (1_000_000, 1_050_000)]:
        plan = make([(start, end)])
        assert plan.length == end - start
        assert await read(plan) == BLOB[start:end]
    asked = [(2_000_000, 2_000_100), (0, 70_000), (5, 6), (size - 10, size)]
    plan = make(asked, "a1b2")
    body = await read(plan, 1000)
    assert plan.length == len(body)
    message = email.message_from_bytes(b"Content-Type: multipart/byteranges; boundary=a1b2\r\n\r\n" + body)
    parts = list(message.walk())[1:]
    # The bytes themselves are compared raw: the email module changes line ends.
    assert [part["Content-Range"] for part in parts] == [f"bytes {s}-{e - 1}/{size}" for s, e in asked]
    assert {part["Content-Type"] for part in parts} == {"application/octet-stream"}
    pieces = [piece.split(b"\r\n\r\n", 1)[1] for piece in body.split(b"--a1b2")[1:-1]]
    assert pieces == [BLOB[start:end] + b"\r\n" for start, end in asked]
    assert body.endswith(b"\r\n--a1b2--\r\n")
    with pytest.raises(ValueError, match="boundary"):
        make(asked)


async def test_bytes_are_read_as_they_come(store: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(2_000_000)
        reader = store.attach(DIGEST)
        assert not reader.is_committed
        assert store.wanted(DIGEST)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        assert await reader.ready() == len(BLOB)
        assert await read(reader.plan([(500_000, 1_500_000)])) == BLOB[500_000:1_500_000]
        whole = reader.plan()
        first = b""
        while len(first) < 1_900_000:
            first += await whole.next(1 << 20)
        assert first == BLOB[: len(first)]
        assert not run.done()
        server.open()
        assert first + await read(whole) == BLOB
        assert await run == "committed"


async def test_a_second_process_joins(store: Store, other: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(1_000_000)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        await server.arrived.wait()
        assert other.in_flight(DIGEST)
        reader = other.attach(DIGEST)
        follow = asyncio.ensure_future(other.own_or_follow(DIGEST))
        assert await reader.ready() == len(BLOB)
        assert await read(reader.plan([(0, 900_000)])) == BLOB[:900_000]
        server.open()
        assert await read(reader.plan()) == BLOB
        assert await follow is None
        assert await run == "committed"
        assert len(server.asked) == 1
    assert other.committed(DIGEST) is not None


async def test_another_process_takes_over(store: Store, other: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(2_000_000)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        reader = other.attach(DIGEST)
        follow = asyncio.ensure_future(other.own_or_follow(DIGEST))
        assert await reader.ready() == len(BLOB)
        plan = reader.plan()
        first = await plan.next(1000)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await store.close()
        del run
        gc.collect()
        server.open()
        heir = await follow
        assert heir is not None
        assert await heir.run(client.source(server.url, [])) == "committed"
        assert first + await read(plan) == BLOB
        assert server.asked[-1].offset > 0


async def test_cancelling_a_run_keeps_the_fill(store: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(2_000_000)
        source = client.source(server.url, [])
        reader = store.attach(DIGEST)
        fill = await own(store)
        run = asyncio.ensure_future(fill.run(source))
        assert await reader.ready() == len(BLOB)
        plan = reader.plan()
        first = await plan.next(1000)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert store.owned() == 1
        assert store.in_flight(DIGEST)
        server.open()
        assert await fill.run(source) == "committed"
        assert first + await read(plan) == BLOB
        assert server.asked[1].offset > 0


async def test_cancelling_a_wait_loses_no_byte(store: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(1_500_000)
        reader = store.attach(DIGEST)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        await reader.ready()
        plan, body, chance = reader.plan(), b"", random.Random(2)
        while True:
            wait = asyncio.ensure_future(plan.next(10_000))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            wait.cancel()
            try:
                piece = await wait
            except asyncio.CancelledError:
                if len(body) > 1_400_000:
                    server.open()
                if not chance.randrange(10):
                    await asyncio.sleep(0.001)
                continue
            if not piece:
                break
            body += piece
        assert body == BLOB
        assert await run == "committed"


async def test_a_plan_may_be_taken_right_after_a_cancelled_wait(store: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        server.gate(0)
        reader = store.attach(DIGEST)
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))
        await reader.ready()
        plan = reader.plan()
        for _ in range(100):
            wait = asyncio.ensure_future(plan.next(10))
            await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            assert plan.length == len(BLOB), "nobody waits for it any more"
            assert plan.take(10) is None
        server.open()
        assert await read(plan) == BLOB
        assert await run == "committed"


def _status(head: str) -> Callable[[Asked], tuple[str, bytes]]:
    return lambda _: (head, b"")


FAILURES = {
    "404 X": Failure(Cause.NOT_FOUND, "", status=404),
    "401 X\r\nWWW-Authenticate: Basic realm=r": Failure(Cause.DENIED, "", status=401, challenge="Basic realm=r"),
    "403 X": Failure(Cause.DENIED, "", status=403),
    "429 X\r\nRetry-After: 7": Failure(Cause.RATE_LIMITED, "", status=429, retry_after=7),
    "503 X\r\nRetry-After: 3": Failure(Cause.UPSTREAM, "", status=503, retry_after=3),
    "206 X": Failure(Cause.PROTOCOL, ""),
    "206 X\r\nContent-Range: bytes 1-2/3": Failure(Cause.SIZE_MISMATCH, ""),
    "302 X\r\nLocation: ftp://x/": Failure(Cause.PROTOCOL, ""),
}


@pytest.mark.parametrize("head", FAILURES)
async def test_a_failed_source_leaves_the_fill_owned(store: Store, other: Store, client: Client, head: str) -> None:
    expected = FAILURES[head]
    reader, elsewhere = store.attach(DIGEST), other.attach(DIGEST)
    fill = await own(store)
    follow = asyncio.ensure_future(other.own_or_follow(DIGEST))
    async with BlobServer(script=_status(head)) as server:
        with pytest.raises(Failure) as caught:
            await fill.run(client.source(server.url, []))
    failure = caught.value
    assert (failure.cause, failure.status, failure.retry_after) == (
        expected.cause,
        expected.status,
        expected.retry_after,
    )
    assert failure.challenge == expected.challenge
    assert server.url in failure.message
    assert store.owned() == 1
    fill.fail(failure)
    assert store.owned() == 0
    for waiting in (reader, elsewhere):
        with pytest.raises(Failure) as caught:
            await waiting.ready()
        told = caught.value
        assert (told.cause, told.status, told.message) == (failure.cause, failure.status, failure.message)
        assert told.retry_after == failure.retry_after
    assert await follow is None


async def test_an_unreachable_and_a_silent_source(store: Store) -> None:
    client = Client(user_agent="t", progress_timeout=0.05)
    reader = store.attach(DIGEST)
    fill = await own(store)
    with pytest.raises(Failure) as caught:
        await fill.run(client.source("http://127.0.0.1:1/", []))
    assert caught.value.cause is Cause.UNREACHABLE
    async with BlobServer(BLOB) as server:
        server.gate(-1)
        with pytest.raises(Failure) as caught:
            await fill.run(client.source(server.url, []))
        assert caught.value.cause is Cause.TIMEOUT
    fill.fail(caught.value)
    with pytest.raises(Failure, match="waited"):
        await reader.ready()


@pytest.mark.parametrize("cause", list(Cause))
async def test_every_cause_goes_there_and_back(store: Store, cause: Cause) -> None:
    reader = store.attach(DIGEST)
    (await own(store)).fail(Failure(cause, f"because of {cause.name}"))
    with pytest.raises(Failure, match=f"because of {cause.name}") as caught:
        await reader.ready()
    assert caught.value.cause is cause


async def test_wrong_bytes_are_an_outcome(store: Store, other: Store, client: Client) -> None:
    async with BlobServer(BLOB[:-1] + b"x") as server:
        reader, elsewhere = store.attach(DIGEST), other.attach(DIGEST)
        fill = await own(store)
        follow = asyncio.ensure_future(other.own_or_follow(DIGEST))
        with pytest.raises(Failure) as caught:
            await fill.run(client.source(server.url, []))
        assert caught.value.cause is Cause.DIGEST_MISMATCH
        for waiting in (reader, elsewhere):
            with pytest.raises(Failure) as caught:
                await read(waiting.plan())
            assert caught.value.cause is Cause.DIGEST_MISMATCH
        assert await follow is None
    assert store.committed(DIGEST) is None
    assert store.owned() == 0


async def test_a_failure_is_gone_after_its_time(store: Store, client: Client) -> None:
    (await own(store)).fail(Failure(Cause.UPSTREAM, "try again"))
    assert await store.own_or_follow(DIGEST) is None
    await asyncio.sleep(0.25)  # failure_seconds is 0.2
    await fetched(store, client)


async def test_one_driver_in_a_process(store: Store, client: Client) -> None:
    fill = await own(store)
    with pytest.raises(RuntimeError):
        await store.own_or_follow(DIGEST)
    fill.fail(Failure(Cause.UPSTREAM, "enough"))


async def test_a_cancelled_driver_may_be_followed_by_another(store: Store, other: Store) -> None:
    fill = await own(other)

    async def drive() -> None:
        await store.own_or_follow(DIGEST)

    for _ in range(50):
        follow = asyncio.create_task(drive())
        await asyncio.sleep(0)
        follow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follow
    fill.fail(Failure(Cause.UPSTREAM, "enough"))


async def test_pass_through(store: Store, client: Client) -> None:
    async with BlobServer(BLOB) as server:
        plan = store.pass_through(client.source(server.url, []), DIGEST)
        assert await plan.begin() == len(BLOB) == plan.length
        assert await read(plan) == BLOB
        assert store.committed(DIGEST) is None
        server.content = BLOB[:-1] + b"x"
        plan = store.pass_through(client.source(server.url, []), DIGEST)
        await plan.begin()
        with pytest.raises(Failure) as caught:
            await read(plan)
        assert caught.value.cause is Cause.DIGEST_MISMATCH


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


async def test_a_blob_that_left_the_page_cache(store: Store, client: Client, tmp_path: Path) -> None:
    await fetched(store, client)
    (path,) = (path for path in (tmp_path / "root" / "blobs").rglob("*") if path.is_file())
    reader = store.committed(DIGEST)
    assert reader is not None
    for limit in (1_000, 300_000):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert await read(reader.plan(), limit) == BLOB
