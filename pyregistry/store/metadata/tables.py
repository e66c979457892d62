"""The tables. Every reference is a row, so that collection can count; every key is the order its queries read in.

Portable to PostgreSQL: names sort by their bytes there too (collation C); what only SQLite knows is ignored by others.
Changing a table means a new file in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)


def _text() -> Text:
    """Text that sorts and compares by its bytes everywhere."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def _identity() -> BigInteger:
    """SQLite numbers rows by itself in a column of type INTEGER only."""
    return BigInteger().with_variant(Integer, "sqlite")


repository = Table(
    "repository",
    metadata,
    Column("id", _identity(), primary_key=True),
    Column("name", _text(), nullable=False, unique=True),  # mirrored: with its upstream, docker.io/library/nginx
    Column("kind", Text, nullable=False),  # hosted | mirrored
    Column("upstream", Text),
)

blob = Table(
    "blob",
    metadata,
    Column("digest", _text(), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("committed_at", Double, nullable=False),
    sqlite_with_rowid=False,
)

manifest = Table(
    "manifest",
    metadata,
    Column("digest", _text(), primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("artifact_type", Text),
    Column("subject_digest", _text()),
    Column("annotations", Text),  # JSON object, for referrers answers
    Column("created_at", Double, nullable=False),
)

manifest_reference = Table(
    "manifest_reference",
    metadata,
    Column("manifest_digest", _text(), ForeignKey("manifest.digest", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # blob | child | subject
    Column("target_digest", _text(), nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index(None, "target_digest", "manifest_digest"),
    sqlite_with_rowid=False,
)

repository_manifest = Table(
    "repository_manifest",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("digest", _text(), ForeignKey("manifest.digest"), primary_key=True),
    Column(
        "subject_digest", _text()
    ),  # the manifest's own, again: one repository's referrers are one range of an index
    Column("origin", Text, nullable=False),  # pushed | upstream
    Column("vouched_at", Double, nullable=False),
    Index(None, "repository_id", "subject_digest", "digest"),
    Index(None, "digest"),
    sqlite_with_rowid=False,
)

repository_blob = Table(
    "repository_blob",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("digest", _text(), primary_key=True),
    Column("origin", Text, nullable=False),  # manifest | upload | upstream
    Column("size", BigInteger),  # as this repository's manifest describes it, for HEAD on a cold blob
    Column("vouched_at", Double, nullable=False),
    Index(None, "digest"),
    sqlite_with_rowid=False,
)

tag = Table(
    "tag",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", _text(), primary_key=True),
    Column("digest", _text(), nullable=False),
    Column("updated_at", Double, nullable=False),  # when it came to name this digest
    # A tag without its manifest cannot be written, whatever the code does.
    ForeignKeyConstraint(
        ["repository_id", "digest"], ["repository_manifest.repository_id", "repository_manifest.digest"]
    ),
    Index(None, "repository_id", "digest"),
    sqlite_with_rowid=False,
)

freshness = Table(
    "freshness",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),  # tag | tags | manifest | blob | referrers
    Column("key", _text(), primary_key=True),  # tag or digest; empty for the tag list
    Column("checked_at", Double, nullable=False),
    Column("found", Boolean, nullable=False),
    Column("expired", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
# Only what was not found is in it: confirming a tag touches one row and no index.
Index(
    "ix_freshness_missing",
    freshness.c.checked_at,
    sqlite_where=freshness.c.found == false(),
    postgresql_where=freshness.c.found == false(),
)

upstream_tag = Table(
    "upstream_tag",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("name", _text(), primary_key=True),
    sqlite_with_rowid=False,
)

upstream_referrer = Table(
    "upstream_referrer",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("subject_digest", _text(), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("descriptor", Text, nullable=False),  # JSON object
)
