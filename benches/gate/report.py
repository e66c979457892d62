"""The verdicts as a table in the terminal (medians), as JSON (all samples) and as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

from benches.gate.judge import FAILURES, Verdict, failed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from benches.gate.judge import Row
    from benches.gate.revision import Revision

_COLOURS = {Verdict.PASSED: "green", Verdict.SLOWER: "bold red", Verdict.BROKEN: "bold red", Verdict.NEW: "cyan"}
_COLUMNS = ("bench", "figure", "base", "head", "ratio", "limit", "verdict")


@dataclass(frozen=True)
class Report:
    """What is told of one run of the gate."""

    base: Revision
    head: Revision
    machine: str
    seconds: float
    notes: list[str]
    rows: list[Row]

    def show(self, console: Console) -> None:
        """The table."""
        table = Table(title=f"base {self.base.short}, head {self.head.short}", title_justify="left")
        for name in _COLUMNS:
            table.add_column(name, justify="left" if name in ("bench", "figure", "verdict") else "right")
        for row in self.rows:
            table.add_row(*_cells(row), style=_COLOURS.get(row.verdict))
        console.print(table)
        for note in self.remarks():
            console.print(note, markup=False, highlight=False)
        console.print(self.summary, markup=False, highlight=False)

    def remarks(self) -> list[str]:
        """What a reader should know beside the figures."""
        return [*self.notes, *(f"{row.bench}: {row.note}" for row in self.rows if row.note)]

    @property
    def summary(self) -> str:
        """The result in one line."""
        counts = {verdict: sum(row.verdict is verdict for row in self.rows) for verdict in Verdict}
        said = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
        return f"gate {'failed' if failed(self.rows) else 'passed'} in {self.seconds:.0f} s: {said or 'no figures'}"

    def write(self, folder: Path) -> None:
        """`gate.json` and `gate.md` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gate.json").write_text(json.dumps(self.to_json(), indent=2) + "\n")
        (folder / "gate.md").write_text(self.to_markdown())

    def to_json(self) -> dict[str, object]:
        """Everything."""
        return {
            "base": self.base.commit,
            "head": self.head.commit,
            "machine": self.machine,
            "seconds": round(self.seconds, 1),
            "passed": not failed(self.rows),
            "notes": self.notes,
            "rows": [asdict(row) | {"verdict": row.verdict.value} for row in self.rows],
        }

    def to_markdown(self) -> str:
        """The table, failures in bold."""
        lines = [
            f"# Gate: base {self.base.short}, head {self.head.short}",
            "",
            f"{self.summary}. {self.machine}.",
            "",
            f"| {' | '.join(_COLUMNS)} |",
            "|---|---|---:|---:|---:|---:|---|",
        ]
        for row in self.rows:
            cells = _cells(row)
            if row.verdict in FAILURES:
                cells[-1] = f"**{cells[-1]}**"
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *(f"- {note}" for note in self.remarks())]
        return "\n".join(lines).rstrip() + "\n"


def _cells(row: Row) -> list[str]:
    bench = row.bench.removeprefix("benches/")
    limit = "" if row.limit is None else f"{1 + row.limit:.2f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    return [bench, row.figure, _median(row.base), _median(row.head), ratio, limit, row.verdict.value]


def _median(samples: Sequence[float]) -> str:
    if not samples:
        return ""
    value = median(samples)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
