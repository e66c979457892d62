"""How many times better one system did than another."""

import dataclasses
from pathlib import Path

import pytest

from benches.peers.advantage import TARGETS, Target, advantage
from benches.peers.metrics import CPU_PER_GB, METRICS, PER_S, UPSTREAM, Metric
from benches.peers.samples import Run
from benches.peers.scenarios import SCENARIOS


def run_of(metric: Metric, **systems: list[float]) -> Run:
    run = Run(systems=dict.fromkeys(systems, "1"))
    for name, values in systems.items():
        for number, value in enumerate(values):
            run.add("storm", name, number, {metric.key: value})
    return run


def test_more_is_better_for_rates_and_less_for_costs() -> None:
    assert advantage(run_of(PER_S, pyregistry=[900], distribution=[90]), "storm", "distribution", PER_S) == 10
    assert advantage(run_of(CPU_PER_GB, pyregistry=[0.4], nginx=[0.1]), "storm", "nginx", CPU_PER_GB) == 0.25


def test_rounds_are_compared_one_by_one() -> None:
    # The machine was four times slower in the second round, for both: the ratio is two in each.
    run = run_of(PER_S, pyregistry=[800, 200, 1000], distribution=[400, 100, 500])
    assert advantage(run, "storm", "distribution", PER_S) == 2
    # Of medians it would be 800 / 300.
    run = run_of(PER_S, pyregistry=[800, 200, 1000], distribution=[400, 300, 200])
    assert advantage(run, "storm", "distribution", PER_S) == 2


def test_a_round_that_one_lacks_does_not_count() -> None:
    run = run_of(PER_S, pyregistry=[100, 100, 5], distribution=[50, 50])
    assert advantage(run, "storm", "distribution", PER_S) == 2
    assert advantage(run, "storm", "zot", PER_S) is None


def test_nothing_is_divided_by_noise() -> None:
    assert advantage(run_of(CPU_PER_GB, pyregistry=[0.0], nginx=[0.1]), "storm", "nginx", CPU_PER_GB) is None
    assert advantage(run_of(CPU_PER_GB, pyregistry=[0.1, 0.1], nginx=[0.1, 0.0]), "storm", "nginx", CPU_PER_GB) is None


@pytest.mark.parametrize(("sent", "met"), [(1.0, True), (1.001, False), (31.0, False)])
def test_a_target_of_our_own_is_a_bound(sent: float, met: bool) -> None:
    target = Target("fetches each byte once", "storm", UPSTREAM, None, 1.0)
    assert target.met(run_of(UPSTREAM, pyregistry=[sent])) is met


@pytest.mark.parametrize(("theirs", "met"), [(31.0, True), (29.0, False)])
def test_a_target_beside_a_peer_is_an_advantage(theirs: float, met: bool) -> None:
    target = Target("a 30th", "storm", UPSTREAM, "distribution", 30)
    assert target.met(run_of(UPSTREAM, pyregistry=[1.0], distribution=[theirs])) is met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert Target("a 30th", "storm", UPSTREAM, "zot", 30).met(run_of(UPSTREAM, pyregistry=[1.0])) is None


def test_targets_name_what_there_is() -> None:
    shown = {scenario.key: scenario.metrics for scenario in SCENARIOS}
    for target in TARGETS:
        assert target.metric in shown[target.scenario], target


def test_scenarios_are_told_apart_and_their_metrics_known() -> None:
    assert len({scenario.key for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert all(METRICS[metric.key] == metric for metric in scenario.metrics)


def test_samples_read_as_they_were_written(recorded: Run, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    recorded.write(file)
    assert dataclasses.asdict(Run.read(file)) == dataclasses.asdict(recorded)
