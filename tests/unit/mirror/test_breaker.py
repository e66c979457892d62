"""When a base URL is left alone, for how long, and how it comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyregistry._native import Store
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.breaker import Breaker, BreakerRules
from pyregistry.mirror.trouble import Trouble, TroubleFile, troubles

UPSTREAM, BASE = "up.example", "https://up.example"
LONG = 1000.0
WITHIN = 20.0
"""Seconds for what comes at once; a test that needs them all has failed."""


def refused() -> Failure:
    return Failure(Cause.UNREACHABLE, "connection refused")


def broken() -> Failure:
    return Failure(Cause.UPSTREAM, "answered 503", status=503)


def limited(seconds: float | None) -> Failure:
    return Failure(Cause.RATE_LIMITED, "answered 429", status=429, retry_after=seconds)


@dataclass
class Host:
    """What probes meet."""

    outcomes: list[Failure | None] = field(default_factory=list)
    probes: int = 0

    async def probe(self) -> Failure | None:
        self.probes += 1
        return self.outcomes.pop(0) if self.outcomes else None


@dataclass
class Made:
    breaker: Breaker
    file: TroubleFile
    changed: asyncio.Event

    async def until(self, wanted: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not wanted():
                await self.changed.wait()
                self.changed.clear()

        await asyncio.wait_for(wait(), WITHIN)

    @property
    def state(self) -> Trouble | None:
        return self.file.read()


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Made]]:
    """Makes breakers of one base URL, each in a worker of its own."""
    async with AsyncExitStack() as stack:

        def build(host: Host | None = None, *, failures: int = 3, pause: float = LONG, longest: float = LONG) -> Made:
            store = Store(str(tmp_path / "root"))
            stack.push_async_callback(store.close)
            changed = asyncio.Event()
            file = TroubleFile(tmp_path / "run", UPSTREAM, BASE)
            breaker = Breaker(
                UPSTREAM,
                BASE,
                BreakerRules(failures, pause, longest),
                file=file,
                lock=lambda: store.try_lock(7),
                probe=(host or Host()).probe,
                on_change=changed.set,
            )
            stack.push_async_callback(breaker.close)
            return Made(breaker, file, changed)

        yield build


def fail(made: Made, times: int, make_failure: Callable[[], Failure] = refused) -> None:
    for number in range(times):
        made.breaker.failed(make_failure(), f"https://up.example/v2/app{number}")


async def test_failures_in_a_row_open_it_and_an_answer_ends_the_row(make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 2)
    assert made.breaker.refusal() is None
    assert made.breaker.doubt() is not None
    made.breaker.answered()
    assert made.breaker.doubt() is None
    fail(made, 2)
    assert made.breaker.refusal() is None
    fail(made, 1)
    shut = made.breaker.refusal()
    assert shut is not None
    assert shut.cause is Cause.UNREACHABLE
    assert shut.retry_after is not None
    assert "connection refused" in shut.message
    assert "up.example" in shut.message


@pytest.mark.parametrize("cause", [Cause.UNREACHABLE, Cause.TIMEOUT, Cause.UPSTREAM])
async def test_what_is_a_failure_of_the_host(cause: Cause, make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 3, lambda: Failure(cause, "failed"))
    shut = made.breaker.refusal()
    assert shut is not None
    assert shut.cause is cause


@pytest.mark.parametrize("cause", [Cause.NOT_FOUND, Cause.DENIED, Cause.PROTOCOL, Cause.TOO_LARGE])
async def test_what_is_an_answer(cause: Cause, make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 2)
    made.breaker.failed(Failure(cause, "no"), "https://up.example/v2/app")
    assert made.state is None


async def test_one_thing_that_upstream_cannot_give_does_not_open_it(make: Callable[..., Made]) -> None:
    made = make()
    for _ in range(10):
        made.breaker.failed(broken(), "https://up.example/v2/app/manifests/broken")
    assert made.breaker.refusal() is None
    fail(made, 2, broken)
    assert made.breaker.refusal() is not None


async def test_all_workers_know(make: Callable[..., Made]) -> None:
    one, other = make(), make()
    fail(one, 2)
    assert other.breaker.doubt() is not None
    fail(other, 1)
    assert one.breaker.refusal() is not None
    assert one.breaker.is_open


async def test_one_probe_at_a_time_finds_recovery(make: Callable[..., Made]) -> None:
    host = Host([refused(), refused(), None])
    one, other = make(host, pause=0.02, longest=0.05), make(host, pause=0.02, longest=0.05)
    fail(one, 3)
    fail(other, 3)
    await one.until(lambda: not one.breaker.is_open)
    assert host.probes == 3
    # On trial: requests pass and their answers are waited for, but the next failure opens it again, for longer.
    assert other.breaker.refusal() is None
    assert other.breaker.doubt() is None
    assert other.state is not None
    pause = other.state.pause
    other.breaker.failed(refused(), "https://up.example/v2/")
    assert other.state.pause == 0.05
    assert other.state.pause >= pause


async def test_a_good_request_ends_the_trial(make: Callable[..., Made]) -> None:
    made = make(Host([None]), pause=0.01)
    fail(made, 3)
    await made.until(lambda: not made.breaker.is_open)
    made.breaker.answered()
    assert made.state is None
    fail(made, 2)
    assert made.breaker.refusal() is None


async def test_an_answer_to_what_was_under_way_closes_it(make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 3)
    made.changed.clear()
    made.breaker.answered()
    assert made.breaker.refusal() is None
    assert made.changed.is_set()


async def test_the_end_of_a_body_says_nothing_of_what_failed_meanwhile(make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 3)
    state = made.state
    assert state is not None
    made.breaker.answered(state.last - 60)
    assert made.breaker.refusal() is not None
    made.breaker.answered(state.last + 1)
    assert made.breaker.refusal() is None


async def test_a_limit_holds_as_long_as_upstream_says(make: Callable[..., Made]) -> None:
    host = Host()
    made = make(host)
    made.breaker.failed(limited(300), "https://up.example/v2/a")
    shut = made.breaker.refusal()
    assert shut is not None
    assert shut.cause is Cause.RATE_LIMITED
    assert shut.retry_after is not None
    assert 200 < shut.retry_after <= 300
    # What was under way may still succeed, or fail; a longer limit counts.
    made.breaker.answered()
    fail(made, 5)
    made.breaker.failed(limited(10), "https://up.example/v2/b")
    assert made.breaker.refusal() is not None
    assert made.state is not None
    assert made.state.until > time.time() + 200


async def test_a_limit_ends_without_a_probe(make: Callable[..., Made]) -> None:
    host = Host()
    made = make(host)
    made.breaker.failed(limited(0.02), "https://up.example/v2/a")
    await made.until(lambda: not made.breaker.is_open)
    assert host.probes == 0
    assert made.breaker.refusal() is None


async def test_no_limit_is_longer_than_an_hour(make: Callable[..., Made]) -> None:
    made = make()
    made.breaker.failed(limited(86_400), "https://up.example/v2/a")
    assert made.state is not None
    assert made.state.until < time.time() + 3601


async def test_nobody_is_left_to_probe(make: Callable[..., Made]) -> None:
    """The server that opened it ended: whoever asks when the pause is over goes ahead."""
    gone = make()
    fail(gone, 3)
    await gone.breaker.close()
    made = make()
    assert made.breaker.refusal() is not None
    state = made.state
    assert state is not None
    made.file.write(Trouble(UPSTREAM, BASE, state.since, state.last, 3, until=time.time() - 1, pause=1.0))
    assert made.breaker.refusal() is None
    assert not made.breaker.is_open
    made.breaker.failed(refused(), "https://up.example/v2/")
    assert made.breaker.is_open


async def test_overdue_is_a_doubt_and_no_failure(make: Callable[..., Made]) -> None:
    made = make()
    for _ in range(5):
        made.breaker.overdue(Failure(Cause.TIMEOUT, "has not answered"))
    assert made.breaker.doubt() is not None
    assert made.breaker.refusal() is None
    made.breaker.answered()
    assert made.breaker.doubt() is None


async def test_what_cannot_be_written_is_known_to_this_worker(tmp_path: Path, make: Callable[..., Made]) -> None:
    (tmp_path / "run").write_text("no folder")
    made = make()
    fail(made, 3)
    assert made.breaker.refusal() is not None
    made.breaker.answered()
    assert made.breaker.refusal() is None


async def test_what_makes_no_sense_in_a_file_is_no_trouble(tmp_path: Path, make: Callable[..., Made]) -> None:
    made = make()
    fail(made, 3)
    assert [one.upstream for one in troubles(tmp_path / "run")] == [UPSTREAM]
    (path,) = (tmp_path / "run" / "breakers").iterdir()
    for text in ("", "[]", "{}", '{"cause":"NONE"}'):
        path.write_text(text)
        assert troubles(tmp_path / "run") == []
        assert make().breaker.refusal() is None
