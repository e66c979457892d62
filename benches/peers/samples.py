"""What a run recorded: one figure each, as measured; written and read as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benches.peers.metrics import Metric


#: How the reason begins where a system could, but did not.
FAILED = "failed: "


@dataclass(frozen=True)
class Sample:
    """One figure; samples of the same round were taken one right after the other."""

    scenario: str
    system: str
    round: int
    metric: str
    value: float


@dataclass
class Run:
    """A whole run: where and how, every figure, and why some are missing."""

    about: dict[str, str] = field(default_factory=dict)
    """Date, machine, command and the like, in the page's order."""
    systems: dict[str, str] = field(default_factory=dict)
    """Name to version, in the table's order."""
    missing: list[str] = field(default_factory=list)
    """Systems that are not installed."""
    samples: list[Sample] = field(default_factory=list)
    cannot: dict[str, dict[str, str]] = field(default_factory=dict)
    """Scenario, system: the reason."""

    def add(self, scenario: str, system: str, number: int, figures: dict[str, float]) -> None:
        self.samples += [Sample(scenario, system, number, key, value) for key, value in figures.items()]

    def cannot_do(self, scenario: str, system: str, reason: str) -> None:
        self.cannot.setdefault(scenario, {})[system] = reason

    def values(self, scenario: str, system: str, metric: Metric) -> dict[int, float]:
        """By round."""
        wanted = (scenario, system, metric.key)
        return {s.round: s.value for s in self.samples if (s.scenario, s.system, s.metric) == wanted}

    def median(self, scenario: str, system: str, metric: Metric) -> float | None:
        """Over the rounds; None if there is no figure."""
        values = self.values(scenario, system, metric)
        return statistics.median(values.values()) if values else None

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Run:
        said: dict[str, Any] = json.loads(file.read_text())
        return cls(**{**said, "samples": [Sample(**sample) for sample in said["samples"]]})
