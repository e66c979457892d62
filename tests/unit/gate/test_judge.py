"""The gate's judge, on samples that were recorded on a busy machine of two cores, and on made-up ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benches.gate.judge import Figures, Row, Verdict, failed, judge, suspects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())


def figures(samples: Mapping[str, Mapping[str, Sequence[float]]]) -> Figures:
    made = Figures()
    for bench, by_name in samples.items():
        for name, values in by_name.items():
            made.samples[bench][name].extend(values)
    return made


def one(figure: str, base: Sequence[float], head: Sequence[float]) -> Row:
    (row,) = judge(figures({"b": {figure: base}}), figures({"b": {figure: head}}))
    return row


@pytest.mark.parametrize("name", RECORDED["equal"])
def test_equal_things_pass(name: str) -> None:
    recorded = RECORDED["equal"][name]
    rows = judge(figures(recorded["base"]), figures(recorded["head"]))
    assert not failed(rows)
    assert suspects(rows) == []


@pytest.mark.parametrize("name", RECORDED["slower"])
def test_slower_things_fail(name: str) -> None:
    recorded = RECORDED["slower"][name]
    rows = judge(figures(recorded["base"]), figures(recorded["head"]))
    assert failed(rows)
    assert suspects(rows) == recorded["suspects"]


@pytest.mark.parametrize(
    ("figure", "limit"), [("cpu_per_gb", 1.25), ("cpu_us_per_request", 1.25), ("instructions", 1.05)]
)
def test_a_figure_may_grow_up_to_its_limit(figure: str, limit: float) -> None:
    base = [100.0, 102.0, 104.0]
    assert one(figure, base, [limit * value * 0.999 for value in base]).verdict is Verdict.PASSED
    assert one(figure, base, [limit * value * 1.001 for value in base]).verdict is Verdict.SLOWER
    assert one(figure, base, [value / 2 for value in base]).verdict is Verdict.PASSED


def test_wall_time_is_shown_and_not_judged() -> None:
    row = one("requests_per_s", [100.0], [1.0])
    assert (row.verdict, row.limit) == (Verdict.SHOWN, None)


def test_one_disturbed_sample_fails_nothing() -> None:
    assert one("cpu_per_gb", [1.0, 1.0, 1.0], [1.0, 1.0, 9.0]).verdict is Verdict.PASSED


def test_one_lucky_sample_of_the_base_fails_nothing() -> None:
    assert one("cpu_per_gb", [0.5, 1.0, 1.0], [1.0, 1.0, 1.0]).verdict is Verdict.PASSED


def test_one_lucky_sample_of_the_head_hides_a_slowdown_from_minima_alone() -> None:
    """So what looks slower is asked again, and what is slower keeps looking so."""
    base, head = [1.0] * 3, [1.5] * 3
    row = one("cpu_per_gb", base, head)
    assert row.verdict is Verdict.SLOWER
    assert row.ratio == 1.5


def test_samples_of_a_repeat_count_with_the_first() -> None:
    base, head = figures({"b": {"cpu_per_gb": [1.0, 1.0]}}), figures({"b": {"cpu_per_gb": [1.3, 1.4]}})
    assert suspects(judge(base, head)) == ["b"]
    base.add(figures({"b": {"cpu_per_gb": [1.0]}}))
    head.add(figures({"b": {"cpu_per_gb": [1.1]}}))
    assert suspects(judge(base, head)) == []


def test_what_the_base_cannot_run_is_new() -> None:
    base, head = figures({}), figures({"b": {"cpu_per_gb": [1.0]}, "other": {"cpu_per_gb": [1.0]}})
    base.failed["b"] = "ImportError: no such thing"
    base.samples["other"]["cpu_per_gb"].append(1.0)
    rows = judge(base, head)
    assert [(row.bench, row.verdict, row.note) for row in rows] == [
        ("b", Verdict.NEW, "ImportError: no such thing"),
        ("other", Verdict.PASSED, ""),
    ]
    assert not failed(rows)


def test_what_the_head_cannot_run_fails() -> None:
    base, head = figures({"b": {"cpu_per_gb": [1.0]}}), figures({"b": {"cpu_per_gb": [1.0]}})
    head.failed["b"] = "assert 1 == 2"
    (row,) = judge(base, head)
    assert (row.verdict, row.note) == (Verdict.BROKEN, "assert 1 == 2")
    assert failed([row])


def test_what_a_machine_lacks_is_skipped() -> None:
    base, head = figures({"b": {"cpu_per_gb": [1.0]}}), figures({"b": {"cpu_per_gb": [1.0]}})
    for side in (base, head):
        side.skipped["wrk"] = "wrk is not here"
    rows = judge(base, head)
    assert [row.verdict for row in rows] == [Verdict.PASSED, Verdict.SKIPPED]
    assert not failed(rows)


def test_nothing_judged_is_no_pass() -> None:
    assert failed([])
    assert failed(judge(figures({}), figures({"b": {"cpu_per_gb": [1.0]}})))


def test_a_base_that_took_nothing_is_not_divided_by() -> None:
    assert one("cpu_per_gb", [0.0], [1.0]).verdict is Verdict.SHOWN
