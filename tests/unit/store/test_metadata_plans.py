"""Every statement finds its rows by an index, whatever the tables hold: no scan, no sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyregistry.store.metadata import Metadata, changes, reads, totals
from pyregistry.store.metadata.sqlite import DATABASE, Connection, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

#: The one row of parameters that a query begins with.
CONSTANT = {"SCAN CONSTANT ROW", "SCAN asked"}


def statements(*modules: ModuleType) -> dict[str, Statement]:
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Statement)
    }


STATEMENTS = statements(reads, changes)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    root: Path = tmp_path_factory.mktemp("root")
    Metadata.open(root).close()
    opened = Connection(root / DATABASE, read_only=False)
    yield opened
    opened.close()


def slow(plan: list[str]) -> list[str]:
    return [step for step in plan if ("SCAN" in step and step not in CONSTANT) or "TEMP B-TREE" in step]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_of_the_request_path_walks_or_sorts(connection: Connection, name: str) -> None:
    assert slow(connection.plan(STATEMENTS[name])) == []


@pytest.mark.parametrize("name", statements(totals))
def test_totals_do_walk_and_this_test_would_see_it(connection: Connection, name: str) -> None:
    assert slow(connection.plan(statements(totals)[name])) != []
