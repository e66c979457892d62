"""Hosted repositories: uploads, referrers by type, the catalogue; a name once for each kind."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_FOREIGN_TYPES = ("%.foreign.%", "%.nondistributable.%")


def upgrade() -> None:
    """Changes the tables and fills what is new."""
    _repositories()
    _manifests()
    _blobs()
    op.create_table(
        "upload",
        sa.Column("session", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("repository_id", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("touched_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("session", name="pk_upload"),
        sa.ForeignKeyConstraint(["repository_id"], ["repository.id"], name="fk_upload_repository_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_upload_repository_id", "upload", ["repository_id"])
    op.create_index("ix_upload_touched_at", "upload", ["touched_at"])


def _repositories() -> None:
    with op.batch_alter_table("repository") as table:
        table.drop_constraint("uq_repository_name", type_="unique")
        table.create_unique_constraint("uq_repository_name_kind", ["name", "kind"])
        table.add_column(sa.Column("listed", sa.Boolean, nullable=False, server_default=sa.false()))
    repository = sa.table("repository", sa.column("id"), sa.column("listed"))
    vouched = sa.table("repository_manifest", sa.column("repository_id"))
    op.execute(
        repository.update()
        .values(listed=sa.true())
        .where(sa.exists().where(vouched.c.repository_id == repository.c.id))
    )
    listed = sa.column("listed") == sa.true()
    op.create_index("ix_repository_listed", "repository", ["name"], sqlite_where=listed, postgresql_where=listed)


def _manifests() -> None:
    op.add_column("repository_manifest", sa.Column("artifact_type", sa.Text))
    op.add_column("repository_manifest", sa.Column("media_type", sa.Text))
    vouched = sa.table("repository_manifest", sa.column("digest"), sa.column("artifact_type"))
    manifest = sa.table("manifest", sa.column("digest"), sa.column("artifact_type"))
    own = sa.select(manifest.c.artifact_type).where(manifest.c.digest == vouched.c.digest).scalar_subquery()
    op.execute(vouched.update().values(artifact_type=own))
    # The index there was is not what SQLite chose: it walked the repository's manifests.
    op.drop_index("ix_repository_manifest_repository_id_subject_digest_digest", "repository_manifest")
    referrers = sa.column("subject_digest").is_not(None)
    for name, key in (
        ("subject", ["subject_digest", "digest", "artifact_type", "media_type"]),
        ("artifact_type", ["subject_digest", "artifact_type", "digest", "media_type"]),
    ):
        op.create_index(
            f"ix_repository_manifest_{name}",
            "repository_manifest",
            ["repository_id", *key],
            sqlite_where=referrers,
            postgresql_where=referrers,
        )
    # What has `urls` is told apart from now on; of manifests stored before, by the types that are made for it.
    reference = sa.table("manifest_reference", sa.column("kind"), sa.column("media_type"))
    foreign = sa.or_(*(reference.c.media_type.like(pattern) for pattern in _FOREIGN_TYPES))
    op.execute(reference.update().values(kind="external").where(reference.c.kind == "blob", foreign))


def _blobs() -> None:
    op.drop_index("ix_repository_blob_digest", "repository_blob")
    op.create_index("ix_repository_blob_digest_origin", "repository_blob", ["digest", "origin"])
