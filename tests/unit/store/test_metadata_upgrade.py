"""A database of the first release, with data, becomes one of this: nothing is lost, and what is new is filled in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from pyregistry.store.metadata import BlobFact, Metadata, TagFact, migrations
from pyregistry.store.metadata.sqlite import DATABASE
from tests.support.metadata import APP, HUB, NGINX, OTHER, image, layer, push

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = image("a")
SIGNATURE = image("s", subject=SUBJECT, artifactType="application/vnd.example.signature")
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A root as the first release left it."""
    engine = create_engine(f"sqlite:///{tmp_path / DATABASE}", poolclass=NullPool)
    settings = migrations.config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
    with closing(sqlite3.connect(tmp_path / DATABASE)) as raw, raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.executemany(
            "INSERT INTO repository VALUES (?, ?, 'mirrored', 'docker.io')",
            [(1, NGINX), (2, OTHER), (7, "docker.io/guess")],
        )
        for manifest in (SUBJECT, SIGNATURE):
            subject = None if manifest.subject is None else manifest.subject.digest
            raw.execute(
                "INSERT INTO manifest VALUES (?, ?, ?, ?, ?, ?, NULL, 1)",
                (
                    manifest.digest,
                    manifest.media_type,
                    manifest.size,
                    manifest.content,
                    manifest.artifact_type,
                    subject,
                ),
            )
            raw.executemany(
                "INSERT INTO repository_manifest VALUES (?, ?, ?, 'upstream', 1)",
                [(1, manifest.digest, subject), (2, manifest.digest, subject)],
            )
        raw.executemany(
            "INSERT INTO manifest_reference VALUES (?, ?, 'blob', ?, ?, 10)",
            [(SUBJECT.digest, 0, layer("a"), "application/x"), (SUBJECT.digest, 1, layer("far"), FOREIGN)],
        )
        raw.execute("INSERT INTO repository_blob VALUES (1, ?, 'manifest', 10, 1)", (layer("a"),))
        raw.execute("INSERT INTO blob VALUES (?, 12, 1)", (layer("a"),))
        raw.execute("INSERT INTO tag VALUES (1, 'latest', ?, 1)", (SUBJECT.digest,))
        raw.execute("INSERT INTO freshness VALUES (1, 'tag', 'latest', 5, 1, 0)")
        raw.execute("INSERT INTO freshness VALUES (7, 'tag', 'latest', 5, 0, 0)")
        raw.execute("INSERT INTO upstream_tag VALUES (1, '1.27')")
    return tmp_path


def rows(root: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(root / DATABASE)) as raw:
        return raw.execute(query).fetchall()


TABLES = (
    "blob",
    "manifest",
    "repository",
    "repository_blob",
    "repository_manifest",
    "tag",
    "freshness",
    "upstream_tag",
)


async def test_nothing_is_lost(first: Path) -> None:
    before = {table: rows(first, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}
    Metadata.open(first).close()
    for table, old in before.items():
        new = rows(first, f"SELECT * FROM {table} ORDER BY 1, 2")
        assert [row[: len(old[0])] for row in new] == old
    assert rows(first, "PRAGMA foreign_key_check") == []
    assert rows(first, "PRAGMA integrity_check") == [("ok",)]


async def test_what_is_new_is_filled_in(first: Path) -> None:
    metadata = Metadata.open(first)
    assert await metadata.catalog() == [NGINX, OTHER]
    assert await metadata.tag(NGINX, "latest") == TagFact(SUBJECT.digest, 5.0, True, True, 5.0)
    assert await metadata.tag_page(NGINX) == ["1.27", "latest"]
    assert await metadata.blob(NGINX, layer("a")) == BlobFact(True, 12, 10)
    assert await metadata.local_referrers(NGINX, SUBJECT.digest) == [SIGNATURE.descriptor()]
    assert rows(first, "SELECT count(*) FROM repository_manifest WHERE artifact_type IS NOT NULL") == [(4,)]
    metadata.close()


async def test_i12_layers_from_elsewhere_are_told_apart_from_now_on(first: Path) -> None:
    metadata = Metadata.open(first)
    await metadata.vouch_manifest("docker.io/third", SUBJECT.digest, upstream=HUB, checked_at=2.0)
    assert (await metadata.blob("docker.io/third", layer("a"))).vouched
    assert not (await metadata.blob("docker.io/third", layer("far"))).vouched
    metadata.close()


async def test_it_is_written_to_as_a_new_one_is(first: Path) -> None:
    metadata = Metadata.open(first)
    # The number of a repository that was removed is free again; those that are there keep theirs.
    assert await metadata.forget_missing(100.0) == 1
    await push(metadata, NGINX, SUBJECT, "latest", "mine")
    await push(metadata, APP, SIGNATURE)
    assert await metadata.hosted_tags(NGINX) == ["latest", "mine"]
    assert await metadata.tags(NGINX) == ["latest"]
    assert await metadata.referrers(APP, SUBJECT.digest) == [SIGNATURE.descriptor()]
    metadata.close()
    assert rows(first, "PRAGMA foreign_key_check") == []


async def test_an_upgrade_that_breaks_off_leaves_the_first_release(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedError(Exception):
        pass

    def stop(*_: object, **__: object) -> None:
        raise StoppedError

    schema = "SELECT name, sql FROM sqlite_master ORDER BY 1"
    before = rows(first, schema), [rows(first, f"SELECT * FROM {table}") for table in TABLES]
    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.drop_index", stop)  # in the middle: the table `repository` was made anew
        with pytest.raises(StoppedError):
            Metadata.open(first)
    assert (rows(first, schema), [rows(first, f"SELECT * FROM {table}") for table in TABLES]) == before
    Metadata.open(first).close()
    assert rows(first, "SELECT version_num FROM alembic_version") == [(migrations.HEAD,)]
