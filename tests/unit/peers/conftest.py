"""A run as it is recorded, shortened to two scenarios, its figures rounded so that ratios can be seen."""

from pathlib import Path

import pytest

from benches.peers.samples import Run


@pytest.fixture
def recorded() -> Run:
    return Run.read(Path(__file__).with_name("recorded.json"))
