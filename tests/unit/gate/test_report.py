"""The verdicts as a table, as JSON and as Markdown."""

import io
import json
from pathlib import Path

from rich.console import Console

from benches.gate.judge import Row, Verdict
from benches.gate.report import Report
from benches.gate.revision import Revision

REPORT = Report(
    Revision("base", "a" * 40),
    Revision("head", "b" * 40),
    "2 cores of some processor",
    61.4,
    ["changes that are not committed are not measured"],
    [
        Row(
            "benches/test_warm.py::test_blob", "cpu_per_gb", [0.4, 0.5, 0.9], [0.6, 0.8, 0.9], 1.5, 0.25, Verdict.SLOWER
        ),
        Row("benches/test_warm.py::test_blob", "gb_per_s", [4.0], [3.0], 0.75, None, Verdict.SHOWN),
        Row("store: opened", "instructions", (), [7766.0], None, 0.05, Verdict.NEW, "ImportError: no such thing"),
    ],
)


def test_the_table_has_medians_and_what_failed() -> None:
    console = Console(file=io.StringIO(), width=140)
    REPORT.show(console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    (line,) = [line for line in text.splitlines() if "cpu_per_gb" in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        *("test_warm.py::test_blob", "cpu_per_gb", "0.5", "0.8", "1.500", "1.25", "slower"),
    ]
    assert "gate failed in 61 s: 1 slower, 1 new, 1 shown" in text
    assert "store: opened: ImportError: no such thing" in text


def test_json_has_every_sample(tmp_path: Path) -> None:
    REPORT.write(tmp_path / "new")
    written = json.loads((tmp_path / "new/gate.json").read_text())
    assert (written["base"], written["head"], written["passed"]) == ("a" * 40, "b" * 40, False)
    assert written["rows"][0]["base"] == [0.4, 0.5, 0.9]
    assert [row["verdict"] for row in written["rows"]] == ["slower", "shown", "new"]


def test_markdown_marks_what_failed(tmp_path: Path) -> None:
    REPORT.write(tmp_path)
    lines = (tmp_path / "gate.md").read_text().splitlines()
    assert "| test_warm.py::test_blob | cpu_per_gb | 0.5 | 0.8 | 1.500 | 1.25 | **slower** |" in lines
    assert "| store: opened | instructions |  | 7,766 |  | 1.05 | new |" in lines
    assert "- changes that are not committed are not measured" in lines
