"""Repositories: hosted ones and mirrored ones. One name of both kinds is two of them, with nothing in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, exists, false, select, true, update

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.sqlite import Statement, insert_new
from pyregistry.store.metadata.tables import (
    freshness,
    repository,
    repository_blob,
    repository_manifest,
    upload,
    upstream_referrer,
    upstream_tag,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from pyregistry.store.metadata.facts import RepositoryKind
    from pyregistry.store.metadata.sqlite import Connection


def named(kind: RepositoryKind | None = None) -> ColumnElement[bool]:
    """The repository `:repository`, of one kind or of `:repository_kind`."""
    return and_(
        repository.c.name == bindparam("repository"),
        repository.c.kind == (kind or bindparam("repository_kind")),
    )


def kind_of(hosted: bool) -> RepositoryKind:
    return "hosted" if hosted else "mirrored"


REPOSITORY = Statement(select(repository.c.id).where(named()))
ADD_REPOSITORY = Statement(insert_new(repository), columns=("name", "kind", "upstream"))
# Hosted, where there are both: the lesser word.
KIND = Statement(
    select(repository.c.kind)
    .where(repository.c.name == bindparam("repository"))
    .order_by(repository.c.kind)
    .limit(bindparam("limit"))
)
CATALOG = Statement(
    select(repository.c.name)
    .distinct()
    .where(repository.c.listed == true(), repository.c.name > bindparam("after"))
    .order_by(repository.c.name)
    .limit(bindparam("limit"))
)
LIST = Statement(
    update(repository)
    .values(listed=true())
    .where(repository.c.id == bindparam("of_repository"), repository.c.listed == false())
)
UNLIST_EMPTY = Statement(
    update(repository)
    .values(listed=false())
    .where(
        repository.c.id == bindparam("of_repository"),
        ~exists().where(repository_manifest.c.repository_id == repository.c.id),
    )
)
REMOVE_EMPTY = Statement(
    delete(repository).where(
        repository.c.id == bindparam("of_repository"),
        *(
            ~exists().where(table.c.repository_id == repository.c.id)
            for table in (freshness, repository_manifest, repository_blob, upload, upstream_tag, upstream_referrer)
        ),
    )
)


def known_id(connection: Connection, name: str, kind: RepositoryKind) -> int | None:
    """The repository's number, None if it has no row."""
    row = connection.one(REPOSITORY, {"repository": name, "repository_kind": kind})
    return None if row is None else int(row[0])


def hosted_id(connection: Connection, name: str) -> int:
    """A hosted repository's number; its row is made if there is none."""
    return _made_id(connection, name, "hosted", None)


def mirrored_id(connection: Connection, name: str, upstream: str | None) -> int:
    """A mirrored repository's number; its row is made if there is none."""
    return _made_id(connection, name, "mirrored", upstream or name.partition("/")[0])


def _made_id(connection: Connection, name: str, kind: RepositoryKind, upstream: str | None) -> int:
    known = known_id(connection, name, kind)
    if known is None:
        connection.run(ADD_REPOSITORY, {"name": name, "kind": kind, "upstream": upstream})
        known = known_id(connection, name, kind)
        assert known is not None
    return known


class Repositories(Facts):
    """Which repositories there are."""

    async def repository_kind(self, name: str) -> RepositoryKind | None:
        """What is known of a name: hosted if anything ever was pushed there, else mirrored, None if nothing is."""
        row = self._one(KIND, {"repository": name, "limit": 1})
        return None if row is None else row[0]

    async def catalog(self, after: str | None = None, limit: int | None = None) -> list[str]:
        """Repositories of both kinds that have a manifest, each name once, behind `after`, in lexical order."""
        return [row[0] for row in self._page(CATALOG, {}, after, limit)]
