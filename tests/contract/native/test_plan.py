"""`Reader` and `Plan`: bodies of responses, committed and as they come."""

import asyncio
import email
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pyregistry._native import Client, Plan, Store
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob import BLOB, DIGEST, fetched, own, read
from tests.contract.native.blob_server import BlobServer


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
