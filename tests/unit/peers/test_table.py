"""The page of a recorded run."""

import re

import pytest

from benches.peers.samples import Run
from benches.peers.scenarios import SCENARIOS
from benches.peers.table import figure, page, times


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0741, "0.074"),
        (0.5, "0.500"),
        (0.99999, "1.00"),
        (1.0, "1.00"),
        (47.26, "47.3"),
        (830.4, "830"),
        (47123.4, "47,123"),
    ],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (11.2, "11×"),
        (9.96, "10×"),
        (1.04, "1.0×"),
        (0.996, "1.0×"),
        (0.213, "0.21×"),
        (0.031, "0.03×"),
        (2410, "2,410×"),
    ],
)
def test_ratios_are_short(ratio: float, shown: str) -> None:
    assert times(ratio) == shown


def section(text: str, heading: str) -> str:
    return text.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]


def test_a_scenario_shows_what_was_measured_with_ratios(recorded: Run) -> None:
    ranges = next(scenario for scenario in SCENARIOS if scenario.key == "ranges-50kib-1-tag")
    part = section(page(recorded, {}), f"### {ranges.title}")
    # 900, 1,000 and 1,100 requests a second; 90, 100 and 110.
    assert "| requests/s | **1,000** | 100 (10×) |" in part
    # 0.2 and 0.4 ms beside 2 and 2.
    assert "| p50, ms | **0.300** | 2.00 (7.5×) |" in part


def test_what_a_system_cannot_is_said_with_the_reason(recorded: Run) -> None:
    text = page(recorded, {})
    storm = next(scenario for scenario in SCENARIOS if scenario.key == "storm-limited")
    assert "No figures of nginx static (files only)." in section(text, f"### {storm.title}")
    assert re.search(rf"^\| {re.escape(storm.title)} \|.*\| cannot \|$", text, re.MULTILINE)


def test_who_failed_is_not_taken_for_one_that_cannot(recorded: Run) -> None:
    recorded.cannot["storm-limited"]["distribution"] = "failed: no manifest"
    text = page(recorded, {})
    assert "distribution (failed: no manifest)" in text
    assert "| failed | cannot |" in text


def test_scenarios_that_were_not_run_are_left_out(recorded: Run) -> None:
    text = page(recorded, {})
    assert len(re.findall(r"^### ", text, re.MULTILINE)) == 2


def test_the_page_says_how_it_came_about(recorded: Run) -> None:
    text = page(recorded, {"a.svg": "What it shows"})
    assert "| not installed | zot |" in text
    assert "| congestion control | cubic |" in text
    assert "![What it shows](a.svg)" in text


def test_targets_are_held_against_the_run(recorded: Run) -> None:
    part = section(page(recorded, {}), "## What is aimed at")
    assert "| itself | a storm fetches each byte once | at most 1.00 | 1.0000 | met |" in part
    assert "| distribution | a storm costs upstream a 30th | at least 30× | 25× | **missed** |" in part
    assert "zot" not in part
