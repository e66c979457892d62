"""SQLite: everything that only it knows. Connections, the lock its writers queue at, compiled statements, its errors.

Statements are made with SQLAlchemy and compiled to text once, when their module is loaded: executing through it would
cost 32 to 130 µs a read, where sqlite3 alone takes 3 to 7 (`docs/design/0002-metadata.md`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Executable, Table


DATABASE = "metadata.sqlite"
LOCK = "metadata.lock"

#: Reads map this much of the file. It never shrinks while it is in use (no VACUUM, no auto_vacuum): a mapping that
#: outlives its file's end would kill its readers.
_MMAP_BYTES = 256 << 20
_CACHE_KIB = 8192
#: A write-ahead log that grew over this in a burst is cut when it is begun anew.
_WAL_BYTES = 64 << 20
#: For who does not queue at our lock (`sqlite3` by hand), and for the recovery after a crash.
_BUSY_SECONDS = 5.0

_DIALECT = sqlite.dialect(paramstyle="named")


class Statement:
    """A statement and its text, with `:name` parameters."""

    __slots__ = ("element", "sql")

    def __init__(self, element: Executable, *, columns: Sequence[str] | None = None) -> None:
        """`columns`: what an insert gives values for, if not the whole row."""
        assert isinstance(element, ClauseElement)
        compiled = element.compile(dialect=_DIALECT, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        self.element = element
        self.sql = str(compiled)
        for name, bind in compiled.binds.items():
            if not bind.required and bind.value is not None:  # a constant, which callers need not know of
                self.sql = re.sub(rf":{name}\b", _literal(bind.value), self.sql)


def _literal(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"a constant of type {type(value).__name__} in a statement")


def insert_new(table: Table) -> Executable:
    """A row, unless its key is there."""
    return insert(table).on_conflict_do_nothing()


def insert_new_from(table: Table, columns: Sequence[str], source: Any) -> Executable:
    """The rows of a query, but for those whose key is there."""
    return insert(table).from_select(columns, source).on_conflict_do_nothing()


def upsert(table: Table, columns: Sequence[str], *, differs: str | None = None) -> Executable:
    """A row; where its key is there, `columns` are replaced (if the column `differs` does)."""
    statement = insert(table)
    condition: ColumnElement[bool] | None = None
    if differs is not None:
        condition = table.c[differs] != statement.excluded[differs]
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in columns},
        where=condition,
    )


class Connection:
    """One connection, used by one thread at a time. A statement is its own transaction unless `begin` was called."""

    __slots__ = ("_raw",)

    def __init__(self, path: Path, *, read_only: bool) -> None:
        with reported(path):
            self._raw = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            for pragma in (
                f"mmap_size = {_MMAP_BYTES}",
                f"cache_size = -{_CACHE_KIB}",
                f"journal_size_limit = {_WAL_BYTES}",
                "temp_store = MEMORY",
                "foreign_keys = ON",
                "wal_autocheckpoint = 0",
                f"query_only = {'ON' if read_only else 'OFF'}",
            ):
                self._raw.execute(f"PRAGMA {pragma}")

    def one(self, statement: Statement, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        """The row, or None. For statements that have at most one: a half-read one would keep its snapshot open."""
        row: tuple[Any, ...] | None = self._raw.execute(statement.sql, parameters).fetchone()
        return row

    def all(self, statement: Statement, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._raw.execute(statement.sql, parameters).fetchall()

    def run(self, statement: Statement, parameters: Mapping[str, object]) -> int:
        """Executes a change; how many rows it changed."""
        return self._raw.execute(statement.sql, parameters).rowcount

    def run_many(self, statement: Statement, rows: Iterable[Mapping[str, object]]) -> None:
        """Executes a change for each of `rows`."""
        self._raw.executemany(statement.sql, rows)

    def plan(self, statement: Statement) -> list[str]:
        """How SQLite would execute a statement."""
        names = statement.element.compile(dialect=_DIALECT).params
        rows = self._raw.execute(f"EXPLAIN QUERY PLAN {statement.sql}", dict.fromkeys(names, 1))
        return [str(row[3]) for row in rows.fetchall()]

    def synchronous(self, *, durable: bool) -> None:
        """Whether commits from here on wait for the disk. Only between transactions."""
        self._raw.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")

    def begin(self) -> None:
        """Begins a transaction as its database's one writer."""
        self._raw.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._raw.execute("COMMIT")

    def rollback(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def savepoint(self) -> None:
        """Begins a part of the transaction that can fail alone."""
        self._raw.execute("SAVEPOINT part")

    def release(self) -> None:
        self._raw.execute("RELEASE part")

    def undo(self) -> bool:
        """Undoes the part since `savepoint`. False: the error has undone the whole transaction (disk full does)."""
        if not self._raw.in_transaction:
            return False
        self._raw.execute("ROLLBACK TO part")
        self._raw.execute("RELEASE part")
        return True

    def checkpoint(self) -> None:
        """Copies what is committed from the log into the database; waits for nobody."""
        self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._raw.close()


class WriteLock:
    """`metadata.lock`, where writers of all processes queue: SQLite's own busy wait starves (4 s seen; 0.2 s so)."""

    __slots__ = ("_fd",)

    def __init__(self, root: Path) -> None:
        with reported(root / LOCK):
            self._fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)


class reported:  # noqa: N801 (reads as a statement: `with reported(path):`)
    """Errors of the database become the one exception that everybody handles."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, sqlite3.Error | OSError):
            raise failure(self._path, error) from error


def failure(path: Path, error: sqlite3.Error | OSError) -> Failure:
    """`error` as the one exception that everybody handles."""
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        text = error.strerror or str(error)
    else:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        text = str(error)
    return Failure(Cause.STORAGE_FULL if full else Cause.STORAGE, f"{path}: {text}")
