"""Requests at once and per second, over workers, with background work that leaves room for clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyregistry._native import Lock, Store
from pyregistry.config import UpstreamConfig
from pyregistry.mirror.limits import Limits
from pyregistry.mirror.single_flight import SingleFlight

Make = Callable[..., Limits]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Limits of one upstream, each in a worker of its own."""
    async with AsyncExitStack() as stack:

        def build(**config: float) -> Limits:
            store = Store(str(tmp_path / "root"))
            stack.push_async_callback(store.close)
            settings = UpstreamConfig.model_validate({"url": "https://up.example", **config})
            return Limits("up.example", settings, flights=SingleFlight(store), run_dir=tmp_path / "run")

        yield build


async def some_turns() -> None:
    """Longer than anybody who waits sleeps."""
    await asyncio.sleep(0.1)


def in_line(limits: Limits) -> asyncio.Task[Lock | None]:
    return asyncio.ensure_future(limits.take())


@dataclass
class Work:
    """A piece of background work that has begun, or waits."""

    limits: Limits
    begun: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with self.limits.background():
            self.begun = True
            await self.done.wait()


async def test_without_limits_nothing_is_waited_for(make: Make, tmp_path: Path) -> None:
    limits = make()
    assert [await limits.take() for _ in range(1000)] == [None] * 1000
    assert not (tmp_path / "run").exists()


async def test_places_of_further_connections_are_of_all_workers_and_of_our_own_requests(
    make: Make, tmp_path: Path
) -> None:
    """Half of the requests at once, so that a large blob leaves places to others."""
    assert len(set(make().places)) == 32
    assert make(connections=3).places == make(connections=3).places == make().places[:3]
    limits = make(max_requests=5)
    store = Store(str(tmp_path / "root"))
    held = [await limits.take() for _ in range(3)]
    assert [store.try_lock(key) is not None for key in limits.places] == [True, True]
    held.append(await limits.take())
    assert [store.try_lock(key) is not None for key in limits.places] == [False, True]
    assert make(max_requests=1).places == []
    await store.close()


async def test_requests_at_once_over_workers(make: Make) -> None:
    one, other = make(max_requests=3), make(max_requests=3)
    held = [(limits, await limits.take()) for limits in (one, other, one)]
    waiting = [in_line(one), in_line(other)]
    await some_turns()
    assert not any(task.done() for task in waiting)
    for limits, place in held[:2]:
        limits.give(place)
    places = await asyncio.wait_for(asyncio.gather(*waiting), 20)
    late = in_line(other)
    await some_turns()
    assert not late.done()
    one.give(places[0])
    await asyncio.wait_for(late, 20)


async def test_who_leaves_the_line_takes_nothing(make: Make) -> None:
    limits = make(max_requests=1)
    place = await limits.take()
    first, second = in_line(limits), in_line(limits)
    await some_turns()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    limits.give(place)
    limits.give(await asyncio.wait_for(second, 20))
    async with limits.place():
        pass


async def test_clients_take_their_turns_in_order(make: Make) -> None:
    limits = make(max_requests=1)
    place = await limits.take()
    order: list[int] = []

    async def ask(number: int) -> None:
        async with limits.place():
            order.append(number)

    tasks = [asyncio.ensure_future(ask(number)) for number in range(20)]
    await some_turns()
    limits.give(place)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert order == list(range(20))


async def test_background_work_leaves_half_to_clients(make: Make) -> None:
    one, other = make(max_requests=4), make(max_requests=4)
    works = [Work(limits) for limits in (one, other) * 3]
    tasks = [asyncio.ensure_future(work.run()) for work in works]
    await some_turns()
    assert sum(work.begun for work in works) == 2
    for work in works:
        work.done.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert all(work.begun for work in works)


async def test_background_work_that_has_begun_asks_as_clients_do(make: Make) -> None:
    """So that a client who joins it waits as for its own request, even where one at a time is allowed."""
    limits = make(max_requests=1)
    async with limits.background():
        place = await asyncio.wait_for(limits.take(), 20)
        client, work = in_line(limits), in_line(limits)
        limits.give(place)
        limits.give(await asyncio.wait_for(client, 20))
        limits.give(await asyncio.wait_for(work, 20))


async def test_requests_per_second_are_spaced_over_workers(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So far apart that it does not matter how long the test takes."""
    one, other = make(requests_per_second=0.01), make(requests_per_second=0.01)
    slept = sleeps(monkeypatch)
    for limits in (one, other, one, other):
        async with limits.place():
            pass
    # The first goes at once.
    assert slept == pytest.approx([100, 200, 300], abs=20)
    assert [path.name for path in (tmp_path / "run" / "limits").iterdir()].count("up.example.requests") == 1


async def test_a_body_has_a_place_and_its_requests_take_the_turns(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = make(requests_per_second=0.01, max_requests=1)
    slept = sleeps(monkeypatch)
    limits.give(await limits.take())
    limits.give(await limits.take())
    assert slept == []
    assert limits.requests is not None
    limits.requests.take(1)
    async with limits.place():
        assert slept == pytest.approx([100], abs=20)


async def test_background_work_gets_half_the_rate(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = make(requests_per_second=0.01)
    slept = sleeps(monkeypatch)
    for _ in range(3):
        async with limits.background(), limits.place():
            pass
    assert max(slept) == pytest.approx(400, abs=20)


async def test_bytes_per_second_are_for_all_and_half_of_them_for_background_work(make: Make) -> None:
    one, other = make(bytes_per_second=100_000), make(bytes_per_second=100_000)
    assert one.bandwidth is not None
    assert other.bandwidth is not None
    assert other.background_bandwidth is not None
    assert one.bandwidth.take(100_000_000) == 0
    assert other.bandwidth.take(1) == pytest.approx(1000, abs=100)
    other.background_bandwidth.take(100_000_000)
    assert other.background_bandwidth.take(1) == pytest.approx(2000, abs=100)


def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long is slept from now on, without that it takes time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept
