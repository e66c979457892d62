"""`Fill`: one at a time over two processes, cancelled, taken over, driven by one task."""

import asyncio
import gc

import pytest

from pyregistry._native import Client, Store
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob import BLOB, DIGEST, own, read
from tests.contract.native.blob_server import BlobServer


async def test_a_fill_becomes_a_committed_blob(store: Store, client: Client) -> None:
    assert store.committed(DIGEST) is None
    assert not store.in_flight(DIGEST)
    async with BlobServer(BLOB) as server:
        source = client.source(server.url, [("Authorization", "Bearer t")])
        fill = await own(store)
        assert (fill.digest, fill.had, store.owned()) == (DIGEST, 0, 1)
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


async def test_one_driver_in_a_process(store: Store, client: Client) -> None:
    fill = await own(store)
    with pytest.raises(RuntimeError):
        await store.own_or_follow(DIGEST)
    fill.fail(Failure(Cause.UPSTREAM, "enough"))
