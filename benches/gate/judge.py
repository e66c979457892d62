"""From the figures of both revisions to a verdict for each. No I/O."""

from __future__ import annotations

import enum
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: How much more of a figure the head may take, as a share of the base's; every other figure is only shown. Equal
#: revisions, on two cores that fifteen other processes wanted: CPU time 0.90 to 1.04, instructions 0.99 to 1.02.
LIMITS: Final[Mapping[str, float]] = {
    "cpu_per_gb": 0.25,
    "cpu_us_per_request": 0.25,
    "instructions": 0.05,
}


class Verdict(enum.Enum):
    """What became of a figure; those of `FAILURES` fail the gate."""

    PASSED = "passed"
    SLOWER = "slower"
    BROKEN = "broken"
    """The head cannot run the bench."""
    NEW = "new"
    """The base cannot run it."""
    SKIPPED = "skipped"
    """A program that it needs is not here."""
    SHOWN = "shown"
    """Not judged."""


FAILURES: Final = frozenset({Verdict.SLOWER, Verdict.BROKEN})


@dataclass
class Figures:
    """What one revision's runs gave: samples by bench and figure, and the benches that gave none, with the reason."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, other: Figures) -> None:
        """Takes one more run in; a bench that ran this time has not failed."""
        for bench, figures in other.samples.items():
            self.failed.pop(bench, None)
            for name, values in figures.items():
                self.samples[bench][name].extend(values)
        self.failed.update(other.failed)
        self.skipped.update(other.skipped)


@dataclass(frozen=True)
class Row:
    """One figure of one bench: its samples, and the `ratio` that was held against `1 + limit`."""

    bench: str
    figure: str
    base: Sequence[float]
    head: Sequence[float]
    ratio: float | None
    limit: float | None
    verdict: Verdict
    note: str = ""


def judge(base: Figures, head: Figures) -> list[Row]:
    """A row for each figure, in the order of their names; one for a bench that gave no figures."""
    rows: list[Row] = []
    for bench in sorted({*base.samples, *head.samples, *base.failed, *head.failed, *base.skipped, *head.skipped}):
        if bench in head.failed:
            rows.append(_without(bench, Verdict.BROKEN, head.failed[bench]))
        elif bench in head.skipped:
            rows.append(_without(bench, Verdict.SKIPPED, head.skipped[bench]))
        else:
            note = base.failed.get(bench, "the base has no such figure")
            rows.extend(_rows(bench, base.samples.get(bench, {}), head.samples.get(bench, {}), note))
    return rows


def suspects(rows: Iterable[Row]) -> list[str]:
    """The benches that look slower or broken."""
    return sorted({row.bench for row in rows if row.verdict in FAILURES})


def failed(rows: Iterable[Row]) -> bool:
    """Whether the gate fails: something is slower or broken, or nothing at all could be judged."""
    verdicts = {row.verdict for row in rows}
    return bool(verdicts & FAILURES) or Verdict.PASSED not in verdicts


def _without(bench: str, verdict: Verdict, reason: str) -> Row:
    return Row(bench, "", (), (), None, None, verdict, reason)


def _rows(bench: str, base: Mapping[str, list[float]], head: Mapping[str, list[float]], note: str) -> Iterable[Row]:
    for name in sorted(head):
        limit = LIMITS.get(name)
        before, after = base.get(name, ()), head[name]
        if not before:
            yield Row(bench, name, before, after, None, limit, Verdict.NEW, note)
            continue
        ratio = _ratio(before, after)
        if limit is None or ratio is None:
            verdict = Verdict.SHOWN
        else:
            verdict = Verdict.SLOWER if ratio > 1 + limit else Verdict.PASSED
        yield Row(bench, name, before, after, ratio, limit, verdict)


def _ratio(base: Sequence[float], head: Sequence[float]) -> float | None:
    """Head over base: the smaller of the medians' ratio and the minima's; None where the base took nothing.

    What else a machine does only adds to a sample, so minima are the steadier, but one lucky sample of the base must
    not fail the head. Code that is slower raises both.
    """
    if not min(base) > 0 or not median(base) > 0:
        return None
    return min(median(head) / median(base), min(head) / min(base))
