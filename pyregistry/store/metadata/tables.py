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
    UniqueConstraint,
    false,
    true,
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
    Column("name", _text(), nullable=False),  # mirrored: with its upstream, docker.io/library/nginx
    Column("kind", Text, nullable=False),  # hosted | mirrored
    Column("upstream", Text),
    Column("listed", Boolean, nullable=False, server_default=false()),  # it has a manifest, so the catalogue names it
    # Two kinds of one name are two repositories, so that a changed configuration mixes and loses nothing.
    UniqueConstraint("name", "kind"),
)
# A page of the catalogue passes no repository that is not on it.
Index(
    "ix_repository_listed",
    repository.c.name,
    sqlite_where=repository.c.listed == true(),
    postgresql_where=repository.c.listed == true(),
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
    Column("kind", Text, nullable=False),  # blob | external (fetched from its `urls`, not from us) | child | subject
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
    # The manifest's own, again, so that one repository's referrers are together.
    Column("subject_digest", _text()),
    Column("origin", Text, nullable=False),  # pushed | upstream
    Column("vouched_at", Double, nullable=False),
    Column("artifact_type", Text),  # likewise
    # Where bytes that do not say their type came here under another one than first.
    Column("media_type", Text),
    Index(None, "digest"),
    sqlite_with_rowid=False,
)
# A page of referrers, of all types or of one, is one range: each index has all that is asked of this table, or SQLite
# would rather walk the repository's manifests. Only referrers are in them.
for _name, _key in (
    ("subject", ("subject_digest", "digest", "artifact_type", "media_type")),
    ("artifact_type", ("subject_digest", "artifact_type", "digest", "media_type")),
):
    Index(
        f"ix_repository_manifest_{_name}",
        repository_manifest.c.repository_id,
        *(repository_manifest.c[column] for column in _key),
        sqlite_where=repository_manifest.c.subject_digest.is_not(None),
        postgresql_where=repository_manifest.c.subject_digest.is_not(None),
    )

repository_blob = Table(
    "repository_blob",
    metadata,
    Column("repository_id", BigInteger, ForeignKey("repository.id"), primary_key=True, autoincrement=False),
    Column("digest", _text(), primary_key=True),
    Column("origin", Text, nullable=False),  # manifest | upload | upstream
    Column("size", BigInteger),  # as this repository's manifest describes it, for HEAD on a cold blob
    Column("vouched_at", Double, nullable=False),
    Index(None, "digest", "origin"),
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

upload = Table(
    "upload",
    metadata,
    Column("session", _text(), primary_key=True),
    Column("repository_id", BigInteger, ForeignKey("repository.id"), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("touched_at", Double, nullable=False),
    Index(None, "repository_id"),
    Index(None, "touched_at"),
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
