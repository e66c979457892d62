"""One run of the benches that are marked `gate` in one environment, and the figures that it gave."""

from __future__ import annotations

import json
import subprocess
import tempfile
import xml.etree.ElementTree as Tree
from pathlib import Path
from typing import TYPE_CHECKING

from benches.gate.judge import Figures
from benches.gate.revision import GateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.gate.build import Environment


def turn(environment: Environment, benches: Sequence[str] = ()) -> Figures:
    """Runs the benches of these names, or all. Raises GateError if pytest itself could not run."""
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        records, outcomes = Path(folder) / "records.json", Path(folder) / "outcomes.xml"
        command = [
            *(str(environment.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gate"),
            *("--continue-on-collection-errors", "--basetemp", f"{folder}/base"),
            *(f"--benchmark-json={records}", f"--junitxml={outcomes}"),
            *(benches or ["benches"]),
        ]
        done = subprocess.run(
            command,
            cwd=environment.benches,
            env=environment.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        if not outcomes.exists():
            raise GateError(f"the benches could not run with the {environment.side}:\n{done.stdout}{done.stderr}")
        return read(records.read_text() if records.exists() else "", outcomes.read_text())


def read(records: str, outcomes: str) -> Figures:
    """Figures from pytest-benchmark's JSON (the numbers in `extra_info`) and pytest's JUnit XML."""
    figures = Figures()
    for record in json.loads(records)["benchmarks"] if records else ():
        for name, value in record["extra_info"].items():
            if isinstance(value, int | float):
                figures.samples[record["fullname"]][name].append(float(value))
    for case in Tree.fromstring(outcomes).iter("testcase"):
        module, name = case.get("classname", ""), case.get("name", "")
        # A file that could not be imported has no class, and is the name.
        bench = f"{_path(module)}::{name}" if module else _path(name)
        for child in case:
            reason = (child.get("message") or child.tag).partition("\n")[0]
            if child.tag in ("failure", "error"):
                figures.failed[bench] = reason
                figures.samples.pop(bench, None)
            elif child.tag == "skipped":
                figures.skipped[bench] = reason
    return figures


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"
