"""The pump: order, endings, chunk sizes, clients that leave or take nothing."""

import asyncio
import itertools
from typing import Any, cast

import pytest

from pyregistry.api.pump import (
    BUFFERED,
    FIRST_CHUNK,
    FIRST_LARGE,
    KERNEL,
    LARGE_CHUNK,
    MEMORY,
    SMALL_CHUNK,
    UNPROVEN,
    ClientGone,
    Pumps,
)
from pyregistry.errors import Cause, Failure


class FakePlan:
    """A body of `size` bytes; every third piece must be waited for."""

    def __init__(self, size: int, *, length: int | None = -1, fails_at: int | None = None) -> None:
        self.length = size if length == -1 else length
        self._left = size
        self._calls = 0
        self._fails_at = fails_at
        self.limits: list[int] = []

    def take(self, limit: int) -> bytes | None:
        self._calls += 1
        return None if self._calls % 3 == 0 else self._give(limit)

    async def next(self, limit: int) -> bytes:
        await asyncio.sleep(0)
        return self._give(limit)

    def _give(self, limit: int) -> bytes:
        if self._fails_at is not None and self._left <= self._fails_at:
            raise Failure(Cause.DIGEST_MISMATCH, "wrong")
        self.limits.append(limit)
        count = min(limit, self._left)
        self._left -= count
        return b"x" * count


class Client:
    """An ASGI server's side: keeps what it is sent, leaves when told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.leave = asyncio.Event()
        self.block: asyncio.Event | None = None
        self.began = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.began.set()
        if self.block is not None:
            await self.block.wait()

    async def receive(self) -> Any:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    @property
    def received(self) -> int:
        return sum(len(message["body"]) for message in self.messages)


async def pumped(plan: FakePlan, client: Client, stall_timeout: float = 60.0) -> int:
    return await Pumps(stall_timeout).send(cast("Any", plan), client.send, client.receive)


@pytest.mark.parametrize("size", [0, 1, SMALL_CHUNK, SMALL_CHUNK + 1, 1_000_000])
@pytest.mark.parametrize("known", [True, False])
async def test_whole_body_with_one_final_message(size: int, known: bool) -> None:
    client = Client()
    plan = FakePlan(size, length=size if known else None)
    assert await pumped(plan, client) == size
    assert client.received == size
    assert [message["more_body"] for message in client.messages].count(False) == 1
    assert client.messages[-1]["more_body"] is False


async def test_chunks_stay_small_until_the_client_has_proven_itself() -> None:
    plan = FakePlan(UNPROVEN + 8 * LARGE_CHUNK)
    await pumped(plan, Client())
    begins = itertools.accumulate(plan.limits, initial=0)
    for begin, limit in zip(begins, plan.limits, strict=False):
        if begin < KERNEL:
            assert limit == FIRST_CHUNK
        elif begin <= UNPROVEN:
            assert limit == SMALL_CHUNK
    assert max(plan.limits) == LARGE_CHUNK


async def test_failed_body_has_no_final_message() -> None:
    client = Client()
    with pytest.raises(Failure):
        await pumped(FakePlan(1_000_000, fails_at=500_000), client)
    assert all(message["more_body"] for message in client.messages)


async def test_client_that_left_ends_the_pump() -> None:
    client = Client()
    client.block = asyncio.Event()
    task = asyncio.create_task(pumped(FakePlan(1_000_000), client))
    await client.began.wait()
    client.leave.set()
    with pytest.raises(ClientGone):
        await task
    assert client.received < 1_000_000


async def test_cancelling_the_request_is_not_a_client_that_left() -> None:
    client = Client()
    client.block = asyncio.Event()
    task = asyncio.create_task(pumped(FakePlan(1_000_000), client))
    await client.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_client_that_takes_nothing_is_dropped() -> None:
    client = Client()
    client.block = asyncio.Event()
    pumps = Pumps(stall_timeout=0.04)
    watch = asyncio.create_task(pumps.watch())
    with pytest.raises(ClientGone):
        await pumps.send(cast("Any", FakePlan(1_000_000)), client.send, client.receive)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def test_memory_for_large_chunks_is_bounded_and_comes_back() -> None:
    pumps = Pumps(60.0)
    chunks = [SMALL_CHUNK] * 200
    for _ in range(3):
        chunks = [pumps.lend(chunk) for chunk in chunks]
    assert sum(chunk - SMALL_CHUNK for chunk in chunks) * BUFFERED <= MEMORY
    assert {SMALL_CHUNK, FIRST_LARGE} == set(chunks)
    assert min(chunks) == SMALL_CHUNK
    assert {pumps.give_back(chunk) for chunk in chunks} == {SMALL_CHUNK}
    assert pumps.lend(SMALL_CHUNK) > SMALL_CHUNK
