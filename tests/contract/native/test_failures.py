"""Failures of a fill, in every process that waits for it."""

import asyncio
from collections.abc import Callable

import pytest

from pyregistry._native import Client, Store
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob import BLOB, DIGEST, fetched, own, read
from tests.contract.native.blob_server import Asked, BlobServer


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
