"""Metrics in files of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyregistry.telemetry import metrics


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for `metrics.install`; afterwards this process counts in memory again."""
    yield tmp_path / "run"
    metrics.uninstall()
