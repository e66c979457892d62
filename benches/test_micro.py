"""Small pieces of work on the way of a request, timed; `benches/gate` counts their instructions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from benches.micro import MODULES

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from benches.micro import Make

WORKS: dict[str, Make] = {
    f"{module}: {name}": make
    for module in MODULES
    for name, make in import_module(f"benches.micro.{module}").WORKS.items()
}


@pytest.mark.parametrize("name", WORKS)
def test_work(name: str, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    with WORKS[name](tmp_path) as work:
        benchmark(work)
