"""The comparison runs, with whatever is installed: one cold and one warm scenario, tiny."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benches.peers.advantage import OURS
from benches.peers.metrics import PER_S, UPSTREAM
from benches.peers.plot import PLOTS
from benches.peers.samples import Run
from benches.peers.stand import SMOKE
from tests.support.tools import find

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(300)
def test_two_scenarios_make_a_page(tmp_path: Path) -> None:
    find("wrk")
    record, page = tmp_path / "run.json", tmp_path / "page.md"
    command = ["--smoke", "--only", "storm-limited,ranges-50kib-1-tag", "--record", str(record), "--page", str(page)]
    subprocess.run([sys.executable, "-m", "benches.peers", *command], cwd=ROOT, check=True)
    run = Run.read(record)
    assert run.median("storm-limited", OURS, UPSTREAM) == 1
    for name in run.systems:
        # Another registry may fail at its task here, and says why; ours may not.
        figures = run.values("ranges-50kib-1-tag", name, PER_S).keys()
        assert figures == set(range(SMOKE.rounds)) or (name != OURS and run.cannot["ranges-50kib-1-tag"][name])
        told = run.cannot.get("storm-limited", {}).get(name)
        assert (told is None) == (run.median("storm-limited", name, UPSTREAM) is not None), told
        assert name != OURS or told is None, told
        assert f"| {name} | {run.systems[name]}" in page.read_text()
    for picture in PLOTS:
        assert ElementTree.parse(tmp_path / picture).getroot().tag.endswith("svg")
