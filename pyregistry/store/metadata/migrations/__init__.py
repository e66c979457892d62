"""Migrations: the tables of every version, in order. Run when the database is opened; `alembic` itself is not needed.

A new one: change `tables.py`, add `versions/NNNN_noun.py`, set `HEAD`. A test compares their result with the tables.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from alembic.config import Config

#: The newest revision. Known here so that opening a database that has it, as every worker does, loads neither alembic
#: nor the list of revisions.
HEAD = "0002"


def migrate(path: Path) -> None:
    """Brings the database to `HEAD`. The caller holds the write lock. Raises Failure if it is from the future."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        (mode,) = raw.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise Failure(Cause.STORAGE, f"{path}: its file system cannot share a write-ahead log; use a local one")
        revision = _revision(raw)
    if revision != HEAD:
        _upgrade(path, revision)


def config() -> Config:
    """alembic's view of this folder."""
    from alembic.config import Config  # noqa: PLC0415 (loaded only where there is something to do)

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _revision(raw: sqlite3.Connection) -> str | None:
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _upgrade(path: Path, revision: str | None) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from sqlalchemy import create_engine, event  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    settings = config()
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if revision is not None and revision not in known:
        raise Failure(
            Cause.STORAGE,
            f"{path} was written by a newer pyregistry (revision {revision}, this one knows up to {HEAD}); "
            "run that version, or choose another storage root",
        )

    def connect() -> sqlite3.Connection:
        raw = sqlite3.connect(path, isolation_level=None)
        raw.execute("PRAGMA foreign_keys = OFF")  # a table that is made anew is referred to meanwhile
        return raw

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    # sqlite3 and SQLAlchemy left to themselves commit before every CREATE: a kill would leave half a version.
    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
