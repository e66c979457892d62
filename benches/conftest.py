"""What all benches share."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gate: `make bench-gate` holds its figures against those of benches/BASE")
