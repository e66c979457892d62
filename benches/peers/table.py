"""The page of a run: docs/reference/benchmarks.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benches.peers.advantage import OURS, TARGETS, advantage
from benches.peers.samples import FAILED
from benches.peers.scenarios import SCENARIOS
from benches.peers.system import CONFIGURATIONS
from benches.peers.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.metrics import Metric
    from benches.peers.samples import Run
    from benches.peers.scenario import Scenario

_INTRODUCTION = """\
# Benchmarks

<!-- Written by `make bench-peers`: do not edit. -->

pyregistry beside other registries and caches: the same scenarios in one run on one machine, one system right after the
other in every round, the first of each round another one. The servers, their clients and the upstream share the
machine, and all traffic is loopback. Compare the systems, not the figures with those of another machine.
"""

_READING = """\
Each cell is the median over the rounds; in brackets how many times better pyregistry did than that system (median of
the rounds' ratios): (11×) eleven times better, (0.20×) five times worse. "Image" is the layers and the config that were
asked for. CPU and memory are the server's, of all its processes (PSS at its highest, over what it was right after its
start); clients and upstream are not in them.
"""


def page(run: Run, plots: dict[str, str]) -> str:
    """Markdown. `plots`: file beside the page to what it shows."""
    measured = [scenario for scenario in SCENARIOS if _measured(run, scenario)]
    parts = [_INTRODUCTION, *_pictures(plots), "## At a glance\n", _READING, _glance(run, measured)]
    parts += [_targets(run), _about(run), "## Every figure\n"]
    parts += [_scenario(run, scenario) for scenario in measured]
    return "\n".join(parts)


def figure(value: float) -> str:
    """Three digits that matter, no exponent, no more than three decimals."""
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{value:,.{max(0, min(3, decimals))}f}"


def times(ratio: float) -> str:
    """A ratio in brackets."""
    return f"{ratio:,.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×" if ratio >= 0.995 else f"{ratio:.2f}×"


def _pictures(plots: dict[str, str]) -> Iterator[str]:
    for file, says in plots.items():
        yield f"![{says}]({file})\n"


def _about(run: Run) -> str:
    lines = ["## The run\n", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in run.about.items()]
    files = {kind.name: kind.configuration for kind in SYSTEMS}
    folder = "../../" + "/".join(CONFIGURATIONS.parts[-3:])
    for name, version in run.systems.items():
        lines.append(f"| {name} | {version}; [configuration]({folder}/{files[name]}) |")
    if run.missing:
        lines.append(f"| not installed | {', '.join(run.missing)} |")
    return "\n".join([*lines, ""])


def _targets(run: Run) -> str:
    lines = ["## What is aimed at\n", "| beside | aim | bound | measured | |", "|---|---|---|---|---|"]
    for target in TARGETS:
        found, met = target.measured(run), target.met(run)
        if found is None:
            if target.peer is None or target.peer in run.systems:
                lines.append(f"| {target.peer or 'itself'} | {target.says} | | | not measured |")
            continue
        bound = f"at most {figure(target.bound)}" if target.peer is None else f"at least {times(target.bound)}"
        measured = f"{found:.4f}" if target.peer is None else times(found)
        lines.append(
            f"| {target.peer or 'itself'} | {target.says} | {bound} | {measured} | {'met' if met else '**missed**'} |"
        )
    return "\n".join([*lines, ""])


def _glance(run: Run, scenarios: list[Scenario]) -> str:
    """Each scenario's first metric."""
    lines = ["| scenario | | " + " | ".join(run.systems) + " |", "|---" * (len(run.systems) + 2) + "|"]
    for scenario in scenarios:
        metric = scenario.metrics[0]
        cells = [_cell(run, scenario.key, name, metric) for name in run.systems]
        lines.append(f"| {scenario.title} | {metric.title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _measured(run: Run, scenario: Scenario) -> bool:
    return scenario.key in run.cannot or any(sample.scenario == scenario.key for sample in run.samples)


def _scenario(run: Run, scenario: Scenario) -> str:
    names = list(run.systems)
    lines = [f"### {scenario.title}\n"]
    if scenario.says:
        lines.append(f"{scenario.says}\n")
    cannot = run.cannot.get(scenario.key, {})
    shown = [name for name in names if name not in cannot]
    lines += ["| | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for metric in scenario.metrics:
        cells = [_cell(run, scenario.key, name, metric) for name in shown]
        lines.append(f"| {metric.title} | " + " | ".join(cells) + " |")
    out = [f"{name} ({reason})" for name, reason in cannot.items() if name in names]
    return "\n".join([*lines, "", *([f"No figures of {', '.join(out)}.", ""] if out else [])])


def _cell(run: Run, scenario: str, name: str, metric: Metric) -> str:
    reason = run.cannot.get(scenario, {}).get(name)
    if reason is not None:
        return "failed" if reason.startswith(FAILED) else "cannot"
    value = run.median(scenario, name, metric)
    if value is None:
        return ""
    if name == OURS:
        return f"**{figure(value)}**"
    ratio = advantage(run, scenario, name, metric)
    return figure(value) + (f" ({times(ratio)})" if ratio is not None else "")
