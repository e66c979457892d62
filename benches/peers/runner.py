"""Runs scenarios on systems, round by round."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benches.peers.samples import FAILED
from benches.peers.stand import Installed, Stand
from benches.peers.system import Cannot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benches.peers.samples import Run
    from benches.peers.scenario import Measure, Scenario
    from benches.peers.stand import Effort
    from benches.peers.system import System


def find(kinds: Iterable[type[System]], programs: dict[str, str]) -> tuple[list[Installed], list[str]]:
    """Which systems are here, and the names of those that are not. `programs`: paths given by name."""
    here, missing = [], []
    for kind in kinds:
        program = programs.get(kind.name) or kind.find()
        if program is None:
            missing.append(kind.name)
        else:
            here.append(Installed(kind, program, kind.version(program)))
    return here, missing


def run_scenario(
    run: Run, scenario: Scenario, systems: Sequence[Installed], effort: Effort, say: Callable[[str], None]
) -> None:
    """Every round goes over all systems, and the next one begins with another.

    What fails is recorded with its reason, and the rest goes on.
    """
    with ExitStack() as stack:
        measures: dict[str, Measure] = {}
        for installed in systems:
            name = installed.kind.name
            reason = installed.kind.cannot.get(scenario.needs) if scenario.needs else None
            if reason is not None:
                run.cannot_do(scenario.key, name, reason)
                continue
            say(f"{name}: prepares")
            try:
                stand = stack.enter_context(Stand(installed, effort))
                measures[name] = stack.enter_context(scenario.open(stand))
            except Exception as failure:  # noqa: BLE001  told in the table
                run.cannot_do(scenario.key, name, _told(failure))
        rounds = min(effort.rounds, scenario.rounds or effort.rounds)
        for number in range(rounds):
            names = list(measures)
            turn = number % len(names) if names else 0
            for name in names[turn:] + names[:turn]:
                say(f"{name}: round {number + 1} of {rounds}")
                try:
                    figures = measures[name]()
                except Exception as failure:  # noqa: BLE001  told in the table
                    run.cannot_do(scenario.key, name, _told(failure))
                    del measures[name]
                else:
                    run.add(scenario.key, name, number, {metric.key: value for metric, value in figures.items()})


def _told(failure: Exception) -> str:
    said = f"{failure}".strip().splitlines()
    text = said[-1][:80] if said else type(failure).__name__
    return text if isinstance(failure, Cannot) else FAILED + text
