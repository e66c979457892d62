"""Checks: what upstream was asked and when it answered. Only mirrored repositories have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, case, delete, false, select, true, update

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.repositories import REMOVE_EMPTY, mirrored_id, named
from pyregistry.store.metadata.sqlite import Statement, upsert
from pyregistry.store.metadata.tables import freshness, repository

if TYPE_CHECKING:
    from pyregistry.store.metadata.facts import CheckKind
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

CHECKED = Statement(
    select(case((freshness.c.expired == false(), freshness.c.checked_at), else_=0.0))
    .select_from(repository)
    .join(
        freshness,
        and_(
            freshness.c.repository_id == repository.c.id,
            freshness.c.kind == bindparam("kind"),
            freshness.c.key == bindparam("key"),
        ),
    )
    .where(named("mirrored"))
)
CHECK = Statement(upsert(freshness, ["checked_at", "found", "expired"]))
EXPIRE = Statement(
    update(freshness)
    .values(expired=true())
    .where(
        freshness.c.repository_id == select(repository.c.id).where(named("mirrored")).scalar_subquery(),
        freshness.c.kind == bindparam("of_kind"),
        freshness.c.key == bindparam("of_key"),
    )
)
MISSING_BEFORE = Statement(
    select(freshness.c.repository_id, freshness.c.kind, freshness.c.key)
    .where(freshness.c.found == false(), freshness.c.checked_at < bindparam("before"))
    .order_by(freshness.c.checked_at)
    .limit(bindparam("limit"))
)
FORGET_CHECK = Statement(
    delete(freshness).where(
        freshness.c.repository_id == bindparam("of_repository"),
        freshness.c.kind == bindparam("of_kind"),
        freshness.c.key == bindparam("of_key"),
    )
)


def check(connection: Connection, repository: int, kind: CheckKind, key: str, at: float, *, found: bool) -> None:
    """Upstream has answered."""
    connection.run(
        CHECK,
        {
            "repository_id": repository,
            "kind": kind,
            "key": key,
            "checked_at": at,
            "found": found,
            "expired": False,
        },
    )


class Checks(Facts):
    """When upstream was asked for what."""

    async def checked(self, repository: str, kind: CheckKind, key: str) -> float | None:
        """When upstream last answered a question; 0 if `expire` wants it asked again, None if it never was asked."""
        row = self._one(CHECKED, {"repository": repository, "kind": kind, "key": key})
        return None if row is None else row[0]

    def missing(
        self, repository: str, kind: CheckKind, key: str, checked_at: float, *, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that it does not have what it was asked for."""

        def work(connection: Connection) -> None:
            check(connection, mirrored_id(connection, repository, upstream), kind, key, checked_at, found=False)

        return self._writer.submit(work)

    def expire(self, repository: str, kind: CheckKind, key: str) -> Write[None]:
        """The next question is asked upstream whatever the answer's age."""

        def work(connection: Connection) -> None:
            connection.run(EXPIRE, {"repository": repository, "of_kind": kind, "of_key": key})

        return self._writer.submit(work, pages=1)

    def forget_missing(self, before: float, limit: int = 500) -> Write[int]:
        """Forgets `limit` answers `not found` older than `before`, and repositories of which nothing else is known.

        For background work: who asks for names at random must not fill the database. Answers how many there were.
        """

        def work(connection: Connection) -> int:
            rows = connection.all(MISSING_BEFORE, {"before": before, "limit": limit})
            connection.run_many(
                FORGET_CHECK, [{"of_repository": row[0], "of_kind": row[1], "of_key": row[2]} for row in rows]
            )
            connection.run_many(REMOVE_EMPTY, [{"of_repository": key} for key in {row[0] for row in rows}])
            return len(rows)

        return self._writer.submit(work, pages=2 + limit // 8)
