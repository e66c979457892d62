"""What every noun's questions and writes stand on: one connection that reads, one writer."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from pyregistry.store.metadata.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyregistry.store.metadata.sqlite import Connection, Statement
    from pyregistry.store.metadata.writer import Writer

#: More rows than any answer has: the value of `limit` for "all", which every database understands.
ALL = 2**31 - 1


class Facts:
    """Reads are each one statement that finds its rows by an index, executed inline on the event loop (3 to 7 µs).
    They are async, because another database will not be inline; here they never suspend.

    Writes are each one transaction's part, executed by the writer's thread. A method begins its write when it is
    called; awaiting the answer waits for its commit. All can be repeated; the last word counts.
    """

    _reader: Connection
    _path: Path
    _writer: Writer

    def _one(self, statement: Statement, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        try:
            return self._reader.one(statement, parameters)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def _all(self, statement: Statement, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        try:
            return self._reader.all(statement, parameters)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def _page(
        self, statement: Statement, parameters: Mapping[str, object], after: str | None, limit: int | None
    ) -> list[tuple[Any, ...]]:
        return self._all(statement, {**parameters, "after": after or "", "limit": ALL if limit is None else limit})
