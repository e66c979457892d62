"""The tables of the first release, as they were then: later changes are files of their own."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text() -> sa.Text:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "repository",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("name", _text(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("upstream", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_repository"),
        sa.UniqueConstraint("name", name="uq_repository_name"),
    )
    op.create_table(
        "blob",
        sa.Column("digest", _text(), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("committed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_blob"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manifest",
        sa.Column("digest", _text(), nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("artifact_type", sa.Text),
        sa.Column("subject_digest", _text()),
        sa.Column("annotations", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_manifest"),
    )
    op.create_table(
        "manifest_reference",
        sa.Column("manifest_digest", _text(), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("target_digest", _text(), nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("manifest_digest", "position", name="pk_manifest_reference"),
        sa.ForeignKeyConstraint(
            ["manifest_digest"], ["manifest.digest"], name="fk_manifest_reference_manifest_digest", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_manifest_reference_target_digest_manifest_digest",
        "manifest_reference",
        ["target_digest", "manifest_digest"],
    )
    _of_repository(
        "repository_manifest",
        sa.Column("digest", _text(), nullable=False),
        sa.Column("subject_digest", _text()),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("vouched_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["manifest.digest"], name="fk_repository_manifest_digest"),
        key=["digest"],
    )
    op.create_index(
        "ix_repository_manifest_repository_id_subject_digest_digest",
        "repository_manifest",
        ["repository_id", "subject_digest", "digest"],
    )
    op.create_index("ix_repository_manifest_digest", "repository_manifest", ["digest"])
    _of_repository(
        "repository_blob",
        sa.Column("digest", _text(), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("vouched_at", sa.Double, nullable=False),
        key=["digest"],
    )
    op.create_index("ix_repository_blob_digest", "repository_blob", ["digest"])
    op.create_table(
        "tag",
        sa.Column("repository_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", _text(), nullable=False),
        sa.Column("digest", _text(), nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("repository_id", "name", name="pk_tag"),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"],
            ["repository_manifest.repository_id", "repository_manifest.digest"],
            name="fk_tag_repository_id_digest",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_repository_id_digest", "tag", ["repository_id", "digest"])
    _of_repository(
        "freshness",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", _text(), nullable=False),
        sa.Column("checked_at", sa.Double, nullable=False),
        sa.Column("found", sa.Boolean, nullable=False),
        sa.Column("expired", sa.Boolean, nullable=False),
        key=["kind", "key"],
    )
    op.create_index(
        "ix_freshness_missing",
        "freshness",
        ["checked_at"],
        sqlite_where=sa.column("found") == sa.false(),
        postgresql_where=sa.column("found") == sa.false(),
    )
    _of_repository("upstream_tag", sa.Column("name", _text(), nullable=False), key=["name"])
    _of_repository(
        "upstream_referrer",
        sa.Column("subject_digest", _text(), nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("descriptor", sa.Text, nullable=False),
        key=["subject_digest", "position"],
        with_rowid=True,
    )


def _of_repository(
    name: str, *parts: sa.Column[Any] | sa.ForeignKeyConstraint, key: list[str], with_rowid: bool = False
) -> None:
    """A table whose rows belong to a repository and are found by it first."""
    op.create_table(
        name,
        sa.Column("repository_id", sa.BigInteger, nullable=False, autoincrement=False),
        *parts,
        sa.PrimaryKeyConstraint("repository_id", *key, name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name=f"fk_{name}_repository_id"),
        sqlite_with_rowid=with_rowid,
    )
