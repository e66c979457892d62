"""The pump: order, endings, chunk sizes, clients that leave or take nothing."""

import asyncio
import itertools
from typing import Any, cast

import pytest

from pyregistry.api import pump as pump_module
from pyregistry.api.pump import (
    BUFFERED,
    DRAINED_CHUNK,
    FIRST_CHUNK,
    GATHER,
    KERNEL,
    LARGE_CHUNK,
    MEMORY,
    REMEMBERED,
    SMALL_CHUNK,
    UNPROVEN,
    ClientGone,
    Pumps,
)
from pyregistry.errors import Cause, Failure


@pytest.fixture(autouse=True)
def _a_busy_machine_is_no_slow_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "FAST", 0.0)
    monkeypatch.setattr(pump_module, "SLOW_SEND", 60.0)


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


class CountedSleeps:
    """asyncio of the pump's module: counts its pauses, which then cost one turn of the loop."""

    def __init__(self) -> None:
        self.pauses = 0

    async def sleep(self, seconds: float) -> None:
        assert seconds == GATHER
        self.pauses += 1
        await asyncio.sleep(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


class PresentPlan(FakePlan):
    """A body that is on disk: never waited for."""

    def take(self, limit: int) -> bytes | None:
        return self._give(limit)


@pytest.mark.parametrize(
    ("kind", "busy", "pauses"), [(FakePlan, True, True), (FakePlan, False, False), (PresentPlan, True, False)]
)
async def test_who_follows_a_fill_pauses_while_the_process_is_busy(
    kind: type[FakePlan], busy: bool, pauses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps = CountedSleeps()
    monkeypatch.setattr(pump_module, "asyncio", sleeps)
    monkeypatch.setattr(pump_module, "BUSY", 0.0 if busy else 60.0)
    plan = kind(1_000_000)
    await pumped(plan, Client())
    assert (sleeps.pauses > len(plan.limits) // 2) == pauses


async def test_clients_that_keep_up_share_the_memory_for_large_chunks() -> None:
    pumps = Pumps(60.0)
    assert pumps.large == LARGE_CHUNK
    pumps.fast = 200
    assert pumps.large == MEMORY // BUFFERED // 200
    pumps.fast = 100_000
    assert pumps.large == SMALL_CHUNK
    pumps.fast = 0
    await pumps.send(cast("Any", FakePlan(UNPROVEN + LARGE_CHUNK)), Client().send, Client().receive)
    assert pumps.fast == 0


async def test_a_send_that_waited_is_followed_by_one_larger_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "SLOW_SEND", -1.0)
    plan = PresentPlan(1_000_000)
    await pumped(plan, Client())
    assert set(plan.limits[KERNEL // FIRST_CHUNK :]) == {DRAINED_CHUNK}
    monkeypatch.setattr(pump_module, "SLOW_SEND", 60.0)
    plan = PresentPlan(UNPROVEN)
    await pumped(plan, Client())
    assert set(plan.limits[KERNEL // FIRST_CHUNK :]) == {SMALL_CHUNK}


async def test_the_next_body_on_a_connection_that_kept_up_begins_with_large_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pumps = Pumps(60.0)

    async def limits(size: int, connection: tuple[str, int] | None) -> list[int]:
        plan = PresentPlan(size)
        await pumps.send(cast("Any", plan), Client().send, Client().receive, connection)
        return plan.limits

    ours, other = ("10.0.0.1", 1), ("10.0.0.1", 2)
    assert (await limits(1 << 20, ours))[0] == FIRST_CHUNK
    assert set(await limits(1 << 20, ours)) == {LARGE_CHUNK}
    assert (await limits(1 << 20, other))[0] == FIRST_CHUNK
    assert (await limits(1 << 20, None))[0] == (await limits(1 << 20, None))[0] == FIRST_CHUNK
    with monkeypatch.context() as slow:
        slow.setattr(pump_module, "SLOW_SEND", -1.0)
        await limits(1 << 20, ours)
    assert (await limits(100, ours))[0] == FIRST_CHUNK


def test_so_many_connections_are_remembered() -> None:
    pumps = Pumps(60.0)
    for port in range(REMEMBERED + 1):
        pumps.remember(("10.0.0.1", port))
    assert not pumps.keeps_up(("10.0.0.1", 0))
    assert pumps.keeps_up(("10.0.0.1", 1))
