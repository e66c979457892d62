"""Migrations end at the tables, all or nothing, and refuse what they do not know."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata import Metadata, migrations, tables
from pyregistry.store.metadata.sqlite import DATABASE
from tests.unit.store.statements import STATEMENTS

if TYPE_CHECKING:
    from pathlib import Path


def schema(path: Path) -> dict[str, list[str]]:
    """Every table and index: its parts in any order, spaces aside."""
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
        return {
            name: sorted(re.sub(r"\s+", " ", sql.replace("\n)", ",")).replace('"', "").strip(" ,").split(", "))
            for name, sql in rows
        }


def test_migrations_end_at_the_tables(tmp_path: Path) -> None:
    Metadata.open(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / DATABASE}", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    # Row ids, collations and partial indexes are not compared by alembic.
    engine = create_engine(f"sqlite:///{tmp_path / 'made'}", poolclass=NullPool)
    tables.metadata.create_all(engine)
    assert schema(tmp_path / DATABASE) == schema(tmp_path / "made")


def test_head_is_the_newest_revision() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_heads() == [migrations.HEAD]


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    Metadata.open(tmp_path).close()
    before = schema(tmp_path / DATABASE)
    Metadata.open(tmp_path).close()
    assert schema(tmp_path / DATABASE) == before


def test_a_worker_that_finds_the_newest_revision_does_not_load_alembic(tmp_path: Path) -> None:
    Metadata.open(tmp_path).close()
    code = (
        "import sys; from pathlib import Path; from pyregistry.store.metadata import Metadata;"
        f"Metadata.open(Path({str(tmp_path)!r})).close(); sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_database_from_the_future_is_refused_with_a_reason(tmp_path: Path) -> None:
    Metadata.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Failure, match=r"metadata\.sqlite was written by a newer pyregistry \(revision 9999") as error:
        Metadata.open(tmp_path)
    assert error.value.cause is Cause.STORAGE


def test_a_file_that_is_no_database_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    with pytest.raises(Failure, match=re.escape(f"{tmp_path / DATABASE}: file is not a database")):
        Metadata.open(tmp_path)


def test_a_root_that_is_a_file_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(Failure, match=re.escape(str(tmp_path / "root"))):
        Metadata.open(tmp_path / "root")


def test_a_migration_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr("alembic.ddl.sqlite.SQLiteImpl.create_index", stop)
        with pytest.raises(StoppedError):
            Metadata.open(tmp_path)
    assert schema(tmp_path / DATABASE) == {}
    Metadata.open(tmp_path).close()
    assert "tag" in schema(tmp_path / DATABASE)


def test_tables_and_reads_are_portable() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.metadata.sorted_tables:
        assert "ROWID" not in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
    assert 'name TEXT COLLATE "C" NOT NULL' in str(CreateTable(tables.tag).compile(dialect=dialect))
    for statement in STATEMENTS.values():
        if not isinstance(statement.element, sqlite.Insert):  # made in the module that says how SQLite does it
            assert str(statement.element.compile(dialect=dialect))
