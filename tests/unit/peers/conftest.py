"""A run that was recorded: two rounds of a few scenarios, on a busy machine, without zot."""

from pathlib import Path

import pytest

from benches.peers.samples import Run


@pytest.fixture
def recorded() -> Run:
    return Run.read(Path(__file__).with_name("recorded.json"))
