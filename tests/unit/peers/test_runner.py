"""Rounds go over all systems; what fails is told, and the rest goes on."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, cast

from benches.peers.metrics import SECONDS
from benches.peers.runner import find, run_scenario
from benches.peers.samples import Run
from benches.peers.scenario import Figures, Measure, Scenario
from benches.peers.stand import FULL, Installed, Stand
from benches.peers.system import Ability, Cannot, System


def kind(name: str, path: str | None = "/bin/true", **cannot: str) -> type[System]:
    class Kind:
        cannot: ClassVar[dict[Ability, str]]

        @classmethod
        def find(cls) -> str | None:
            return path

        @classmethod
        def version(cls, program: str) -> str:
            return f"of {program}"

    made: Any = Kind
    made.name, made.cannot = name, {Ability[key]: reason for key, reason in cannot.items()}
    return cast("type[System]", made)


def run(measure: Callable[[str], float], *kinds: type[System], rounds: int | None = None) -> Run:
    @contextlib.contextmanager
    def opened(stand: Stand) -> Iterator[Measure]:
        def once() -> Figures:
            return {SECONDS: measure(stand.installed.kind.name)}

        yield once

    result = Run()
    here, result.missing = find(kinds, {})
    run_scenario(result, Scenario("one", "One", opened, (SECONDS,), rounds=rounds), here, FULL, lambda said: None)
    return result


def test_systems_take_turns_and_another_begins_each_round() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return 1.0

    done = run(measure, kind("a"), kind("b"), kind("c"))
    assert "".join(order) == "abcbcacab"
    assert len(done.samples) == 9
    assert done.values("one", "b", SECONDS) == {0: 1.0, 1: 1.0, 2: 1.0}


def test_a_scenario_may_want_fewer_rounds() -> None:
    assert len(run(lambda name: 1.0, kind("a"), rounds=2).samples) == 2


def test_what_a_system_lacks_is_told_and_not_tried() -> None:
    done = run(lambda name: 1 / (name != "b"), kind("a"), kind("b", MIRROR="files only"))
    assert done.cannot == {"one": {"b": "files only"}}
    assert done.median("one", "a", SECONDS) == 1


def test_who_fails_is_left_out_and_the_rest_goes_on() -> None:
    def measure(name: str) -> float:
        if name == "refuses":
            raise Cannot("404")
        if name == "breaks":
            raise RuntimeError("a long story\nno manifest")
        return 1.0

    done = run(measure, kind("refuses"), kind("breaks"), kind("works"))
    assert done.cannot == {"one": {"refuses": "404", "breaks": "failed: no manifest"}}
    assert len(done.values("one", "works", SECONDS)) == 3


def test_what_is_not_installed_is_named_and_a_given_path_counts() -> None:
    here, missing = find([kind("a"), kind("b", None), kind("zot", None)], {"zot": "/opt/zot"})
    assert missing == ["b"]
    assert here[1] == Installed(here[1].kind, "/opt/zot", "of /opt/zot")
