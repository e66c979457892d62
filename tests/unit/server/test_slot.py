import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyregistry.server.slot import Slot, State, Timing, end_of


class Process:
    """As much of a process as a slot looks at."""

    pid = 1


def slot(state: State = State.READY, spawned_at: float = 0.0) -> Slot:
    return Slot(0, state=state, process=Process(), spawned_at=spawned_at)  # type: ignore[arg-type]


def test_back_off_grows_and_stays_at_its_last() -> None:
    mortal, timing = slot(), Timing()
    delays = [mortal.died(1.0, timing) for _ in range(12)]
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0]
    assert mortal.state is State.WAITING
    assert mortal.restart_at == 31.0


def test_a_settled_life_forgets_deaths_before_it() -> None:
    mortal, timing = slot(), Timing()
    for _ in range(5):
        mortal.died(1.0, timing)
    mortal.spawned_at = 100.0
    assert mortal.died(100.0 + timing.settled, timing) == 0.0
    mortal.spawned_at = 200.0
    assert mortal.died(200.0 + timing.settled - 0.1, timing) == 0.5


@pytest.mark.parametrize(
    ("state", "beat", "awake_since", "now", "late"),
    [
        (State.READY, 100.0, 0.0, 130.0, None),
        (State.READY, 100.0, 0.0, 130.5, 30.5),
        (State.READY, 100.0, 120.0, 140.0, None),  # main itself did not run until 120
        (State.READY, None, 0.0, 31.0, 31.0),
        (State.STARTING, None, 0.0, 60.0, None),
        (State.STARTING, None, 0.0, 61.0, 61.0),
        (State.STARTING, 50.0, 0.0, 61.0, None),  # a long start whose loop turns
    ],
)
def test_lateness(state: State, beat: float | None, awake_since: float, now: float, late: float | None) -> None:
    assert slot(state).late(now, beat, awake_since, Timing()) == late


def test_only_the_living_are_late_and_only_once() -> None:
    dead = Slot(0, state=State.WAITING)
    assert dead.late(1000.0, None, 0.0, Timing()) is None
    killed = slot()
    killed.killed = True
    assert killed.late(1000.0, None, 0.0, Timing()) is None


@given(st.binary(), st.data())
def test_words_survive_any_cut(stream: bytes, data: st.DataObject) -> None:
    heard, listener, at = [], Slot(0), 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        heard += listener.hear(stream[at : at + size])
        at += size
    assert heard == Slot(0).hear(stream)
    assert len(heard) == stream.count(b"\n")


def test_a_word_and_its_text() -> None:
    assert Slot(0).hear(b"ready\nfailed not so well\nunfini") == [("ready", ""), ("failed", "not so well")]


def test_ends() -> None:
    assert end_of(3) == "exit code 3"
    assert end_of(-signal.SIGKILL) == "signal SIGKILL"
    assert end_of(-40) == "signal 40"
