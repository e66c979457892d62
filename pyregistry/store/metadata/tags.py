"""Tags: what they name here, and what upstream lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, select, union

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.checks import check
from pyregistry.store.metadata.facts import TagFact
from pyregistry.store.metadata.repositories import kind_of, known_id, mirrored_id, named
from pyregistry.store.metadata.sqlite import Statement, insert_new, upsert
from pyregistry.store.metadata.tables import (
    freshness,
    manifest,
    repository,
    repository_manifest,
    tag,
    upstream_tag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

    from pyregistry.store.metadata.facts import RepositoryKind
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Steps, Write

#: Names of an upstream's tag list that one transaction compares.
_CHUNK = 500
#: Behind every name, by its bytes.
_LAST = "\U0010ffff"

TAG = Statement(
    select(
        tag.c.digest,
        freshness.c.checked_at,
        freshness.c.found,
        freshness.c.expired,
        manifest.c.digest.is_not(None),
    )
    .select_from(repository)
    .outerjoin(tag, and_(tag.c.repository_id == repository.c.id, tag.c.name == bindparam("tag")))
    .outerjoin(
        freshness,
        and_(
            freshness.c.repository_id == repository.c.id,
            freshness.c.kind == "tag",
            freshness.c.key == bindparam("tag"),
        ),
    )
    .outerjoin(
        repository_manifest,
        and_(repository_manifest.c.repository_id == repository.c.id, repository_manifest.c.digest == tag.c.digest),
    )
    .outerjoin(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(named())
)


def _stored(kind: RepositoryKind) -> Select[tuple[str]]:
    return (
        select(tag.c.name.label("name"))
        .select_from(repository)
        .join(tag, tag.c.repository_id == repository.c.id)
        .where(named(kind), tag.c.name > bindparam("after"))
    )


_UPSTREAM_TAGS = (
    select(upstream_tag.c.name.label("name"))
    .select_from(repository)
    .join(upstream_tag, upstream_tag.c.repository_id == repository.c.id)
    .where(named("mirrored"), upstream_tag.c.name > bindparam("after"))
)
TAGS = Statement(_stored("mirrored").order_by(tag.c.name).limit(bindparam("limit")))
HOSTED_TAGS = Statement(_stored("hosted").order_by(tag.c.name).limit(bindparam("limit")))
UPSTREAM_TAGS = Statement(_UPSTREAM_TAGS.order_by(upstream_tag.c.name).limit(bindparam("limit")))
TAG_PAGE = Statement(union(_stored("mirrored"), _UPSTREAM_TAGS).order_by("name").limit(bindparam("limit")))

TAG_DIGEST = Statement(
    select(tag.c.digest).where(tag.c.repository_id == bindparam("of_repository"), tag.c.name == bindparam("of_name"))
)
SET_TAG = Statement(upsert(tag, ["digest", "updated_at"], differs="digest"))
DROP_TAG = Statement(
    delete(tag).where(tag.c.repository_id == bindparam("of_repository"), tag.c.name == bindparam("of_name"))
)

UPSTREAM_TAGS_BETWEEN = Statement(
    select(upstream_tag.c.name).where(
        upstream_tag.c.repository_id == bindparam("of_repository"),
        upstream_tag.c.name > bindparam("after"),
        upstream_tag.c.name <= bindparam("upto"),
    )
)
ADD_UPSTREAM_TAG = Statement(insert_new(upstream_tag))
REMOVE_UPSTREAM_TAG = Statement(
    delete(upstream_tag).where(
        upstream_tag.c.repository_id == bindparam("of_repository"), upstream_tag.c.name == bindparam("of_name")
    )
)


def named_by(connection: Connection, repository: int, name: str) -> str | None:
    """The digest that a tag names."""
    row = connection.one(TAG_DIGEST, {"of_repository": repository, "of_name": name})
    return None if row is None else row[0]


def set_tag(connection: Connection, repository: int, name: str, digest: str, at: float) -> None:
    connection.run(SET_TAG, {"repository_id": repository, "name": name, "digest": digest, "updated_at": at})


def _compare(connection: Connection, repository: int, after: str, upto: str, names: set[str]) -> None:
    """Makes `names` upstream's tags behind `after` up to `upto`; touches only what differs."""
    between = {"of_repository": repository, "after": after, "upto": upto}
    known = {row[0] for row in connection.all(UPSTREAM_TAGS_BETWEEN, between)}
    connection.run_many(REMOVE_UPSTREAM_TAG, [{"of_repository": repository, "of_name": name} for name in known - names])
    connection.run_many(ADD_UPSTREAM_TAG, [{"repository_id": repository, "name": name} for name in names - known])


class Tags(Facts):
    """Tags of mirrored and of hosted repositories."""

    async def tag(self, repository: str, tag: str, *, hosted: bool = False) -> TagFact | None:
        """What is known of a tag, None if nothing is."""
        row = self._one(TAG, {"repository": repository, "repository_kind": kind_of(hosted), "tag": tag})
        if row is None or (row[0] is None and row[1] is None):
            return None
        digest, checked_at, found, expired, stored = row
        if checked_at is None:
            return TagFact(digest, 0.0, True, bool(stored))
        return TagFact(digest, 0.0 if expired else checked_at, bool(found), bool(stored), checked_at)

    async def hosted_tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """A hosted repository's tags behind `after`, in lexical order; `repository_kind` says whether it is there."""
        return self._names(HOSTED_TAGS, repository, after, limit)

    async def tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """A mirrored repository's stored tags behind `after`, in lexical order."""
        return self._names(TAGS, repository, after, limit)

    async def upstream_tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """Upstream's tags as last listed, behind `after`, in lexical order."""
        return self._names(UPSTREAM_TAGS, repository, after, limit)

    async def tag_page(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """Upstream's tags and the stored ones, each once, behind `after`, in lexical order."""
        return self._names(TAG_PAGE, repository, after, limit)

    def _names(self, statement: Statement, repository: str, after: str | None, limit: int | None) -> list[str]:
        return [row[0] for row in self._page(statement, {"repository": repository}, after, limit)]

    def confirm_tag(self, repository: str, tag: str, checked_at: float) -> Write[None]:
        """Upstream says that a tag is what it was: one row, unsynced."""

        def work(connection: Connection) -> None:
            key = known_id(connection, repository, "mirrored")
            if key is not None:
                check(connection, key, "tag", tag, checked_at, found=True)

        return self._writer.submit(work, pages=1)

    def tag_missing(
        self, repository: str, tag: str, checked_at: float, *, drop: bool, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that there is no such tag; `drop`: so there is none here either."""

        def work(connection: Connection) -> None:
            key = mirrored_id(connection, repository, upstream)
            check(connection, key, "tag", tag, checked_at, found=False)
            if drop:
                connection.run(DROP_TAG, {"of_repository": key, "of_name": tag})

        return self._writer.submit(work)

    def delete_tag(self, repository: str, tag: str) -> Write[bool]:
        """Deletes a hosted repository's tag; whether there was one. Immutable ones are for the caller to refuse."""

        def work(connection: Connection) -> bool:
            key = known_id(connection, repository, "hosted")
            return key is not None and connection.run(DROP_TAG, {"of_repository": key, "of_name": tag}) > 0

        return self._writer.submit(work, durable=True, pages=2)

    def replace_upstream_tags(
        self, repository: str, tags: Sequence[str], *, upstream: str | None, checked_at: float
    ) -> Write[None]:
        """Upstream's tag list. Long ones are compared in several transactions; the last marks the list as asked for."""

        def work(connection: Connection) -> Steps[None]:
            names = sorted(set(tags))
            after = ""
            for start in range(0, len(names), _CHUNK):
                chunk = names[start : start + _CHUNK]
                upto = chunk[-1]
                # Looked up in every transaction: between two, a repository may go and its number become another's.
                key = mirrored_id(connection, repository, upstream)
                _compare(connection, key, after, upto, set(chunk))
                after = upto
                yield
            key = mirrored_id(connection, repository, upstream)
            _compare(connection, key, after, _LAST, set())
            check(connection, key, "tags", "", checked_at, found=True)

        return self._writer.submit_steps(work, pages=1 + min(len(tags), _CHUNK) // 50)
