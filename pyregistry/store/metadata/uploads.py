"""Uploads: that one was begun, for which repository, and when somebody last sent a part. Their bytes are Rust's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, update

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.facts import UploadFact
from pyregistry.store.metadata.repositories import REMOVE_EMPTY, hosted_id
from pyregistry.store.metadata.sqlite import Statement
from pyregistry.store.metadata.tables import repository, upload

if TYPE_CHECKING:
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

_UPLOADS = select(upload.c.session, repository.c.name, upload.c.started_at, upload.c.touched_at).join(
    repository, repository.c.id == upload.c.repository_id
)
UPLOAD = Statement(_UPLOADS.where(upload.c.session == bindparam("session")))
IDLE_UPLOADS = Statement(
    _UPLOADS.where(upload.c.touched_at < bindparam("before")).order_by(upload.c.touched_at).limit(bindparam("limit"))
)
UPLOAD_REPOSITORY = Statement(select(upload.c.repository_id).where(upload.c.session == bindparam("of_session")))
ADD_UPLOAD = Statement(insert(upload))
TOUCH_UPLOAD = Statement(
    update(upload).values(touched_at=bindparam("at")).where(upload.c.session == bindparam("of_session"))
)
END_UPLOAD = Statement(delete(upload).where(upload.c.session == bindparam("of_session")))


class Uploads(Facts):
    """Uploads under way. None of these commits waits for the disk: only what a 201 acknowledged must outlive it."""

    def begin_upload(self, repository: str, session: str, at: float) -> Write[None]:
        """An upload to a hosted repository begins. `session` is new."""

        def work(connection: Connection) -> None:
            key = hosted_id(connection, repository)
            connection.run(ADD_UPLOAD, {"session": session, "repository_id": key, "started_at": at, "touched_at": at})

        return self._writer.submit(work)

    async def upload(self, session: str) -> UploadFact | None:
        """An upload that was begun and has not ended."""
        row = self._one(UPLOAD, {"session": session})
        return None if row is None else UploadFact(*row)

    def touch_upload(self, session: str, at: float) -> Write[bool]:
        """Somebody has sent a part of it. False: there is no such upload."""

        def work(connection: Connection) -> bool:
            return connection.run(TOUCH_UPLOAD, {"of_session": session, "at": at}) > 0

        return self._writer.submit(work, pages=2)

    def end_upload(self, session: str) -> Write[bool]:
        """An upload is given up, and its repository too if there is nothing else of it. False: there is none."""

        def work(connection: Connection) -> bool:
            row = connection.one(UPLOAD_REPOSITORY, {"of_session": session})
            if row is None:
                return False
            connection.run(END_UPLOAD, {"of_session": session})
            connection.run(REMOVE_EMPTY, {"of_repository": row[0]})
            return True

        return self._writer.submit(work)

    async def idle_uploads(self, before: float, limit: int = 100) -> list[UploadFact]:
        """Uploads nobody has sent a part of since `before`, the longest idle first.

        Who removes one holds its lock and asks `upload` again: meanwhile somebody may have gone on with it.
        """
        return [UploadFact(*row) for row in self._all(IDLE_UPLOADS, {"before": before, "limit": limit})]
