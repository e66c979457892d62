"""Sums over whole tables, for `status`. They walk, so they have a connection and a thread of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from pyregistry.store.metadata.facts import Totals
from pyregistry.store.metadata.sqlite import DATABASE, Connection, Statement, reported
from pyregistry.store.metadata.tables import blob, manifest, repository, tag

if TYPE_CHECKING:
    from pathlib import Path

BLOBS = Statement(select(func.count(), func.coalesce(func.sum(blob.c.size), 0)).select_from(blob))
MANIFESTS = Statement(select(func.count(), func.coalesce(func.sum(manifest.c.size), 0)).select_from(manifest))
TAGS = Statement(select(func.count()).select_from(tag))
REPOSITORIES = Statement(select(repository.c.upstream, func.count()).group_by(repository.c.upstream))


def totals(root: Path) -> Totals:
    """Counts. Blocks for as long as the tables are long."""
    connection = Connection(root / DATABASE, read_only=True)
    try:
        with reported(root / DATABASE):
            ((blobs, blob_bytes),) = connection.all(BLOBS, {})
            ((manifests, manifest_bytes),) = connection.all(MANIFESTS, {})
            ((tags,),) = connection.all(TAGS, {})
            repositories: dict[str | None, int] = dict(connection.all(REPOSITORIES, {}))
    finally:
        connection.close()
    return Totals(blobs, blob_bytes, manifests, manifest_bytes, tags, repositories)
