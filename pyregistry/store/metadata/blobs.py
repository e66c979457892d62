"""Blobs: which are committed, and which repositories answer for them (I12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, select

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.facts import BlobFact
from pyregistry.store.metadata.repositories import hosted_id, kind_of, known_id, mirrored_id, named
from pyregistry.store.metadata.sqlite import Statement, upsert
from pyregistry.store.metadata.tables import blob, manifest_reference, repository, repository_blob
from pyregistry.store.metadata.uploads import END_UPLOAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyregistry.store.metadata.facts import BlobOrigin
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

#: A mount without a source is a favour: no more than this many repositories that have the blob are thought of.
_SOURCES = 100

BLOB = Statement(
    select(repository_blob.c.digest, repository_blob.c.size, blob.c.size)
    .select_from(select(bindparam("digest").label("digest")).subquery("asked"))
    .outerjoin(repository, named())
    .outerjoin(
        repository_blob,
        and_(repository_blob.c.repository_id == repository.c.id, repository_blob.c.digest == bindparam("digest")),
    )
    .outerjoin(blob, blob.c.digest == bindparam("digest"))
)
COMMITTED = Statement(select(blob.c.size).where(blob.c.digest == bindparam("digest")))
MISSING_BLOBS = Statement(
    select(manifest_reference.c.target_digest)
    .outerjoin(blob, blob.c.digest == manifest_reference.c.target_digest)
    .where(
        manifest_reference.c.manifest_digest == bindparam("digest"),
        manifest_reference.c.kind == "blob",
        blob.c.digest.is_(None),
    )
)
RECORD_BLOB = Statement(upsert(blob, ["size", "committed_at"]))
FORGET_BLOB = Statement(delete(blob).where(blob.c.digest == bindparam("of_digest")))

VOUCHED = Statement(
    select(repository_blob.c.origin).where(
        repository_blob.c.repository_id == bindparam("of_repository"), repository_blob.c.digest == bindparam("digest")
    )
)
VOUCH_BLOB = Statement(upsert(repository_blob, ["origin", "vouched_at"]))
PUSH_BLOB = Statement(upsert(repository_blob, ["origin", "size", "vouched_at"]))
DELETE_BLOB = Statement(
    delete(repository_blob).where(
        repository_blob.c.repository_id == bindparam("of_repository"),
        repository_blob.c.digest == bindparam("of_digest"),
    )
)
# Rows of hosted repositories, and no others, come of uploads: however many mirrored ones have the blob.
PUSHED_TO = Statement(
    select(repository.c.name)
    .select_from(repository_blob)
    .join(repository, repository.c.id == repository_blob.c.repository_id)
    .where(
        repository_blob.c.digest == bindparam("digest"),
        repository_blob.c.origin == "upload",
        repository.c.kind == "hosted",
    )
    .limit(bindparam("limit"))
)


def committed_size(connection: Connection, digest: str) -> int | None:
    row = connection.one(COMMITTED, {"digest": digest})
    return None if row is None else int(row[0])


def has_blob(connection: Connection, repository: int, digest: str) -> bool:
    """Whether a repository answers for a blob that is here."""
    vouched = connection.one(VOUCHED, {"of_repository": repository, "digest": digest})
    return vouched is not None and committed_size(connection, digest) is not None


def _push(connection: Connection, repository: str, digest: str, size: int, at: float) -> None:
    key = hosted_id(connection, repository)
    row = {"repository_id": key, "digest": digest, "origin": "upload", "size": size, "vouched_at": at}
    connection.run(PUSH_BLOB, row)


class Blobs(Facts):
    """Blobs of mirrored and of hosted repositories."""

    async def blob(self, repository: str, digest: str, *, hosted: bool = False) -> BlobFact:
        """Whether `repository` answers for a blob (I12), and its size as far as it is known."""
        row = self._one(BLOB, {"repository": repository, "repository_kind": kind_of(hosted), "digest": digest})
        assert row is not None
        return BlobFact(row[0] is not None, row[2], row[1])

    async def missing_blobs(self, manifest: str) -> list[str]:
        """Blobs that a stored manifest lists and that are not committed here, foreign layers left out."""
        return [row[0] for row in self._all(MISSING_BLOBS, {"digest": manifest})]

    async def known_blobs(self, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that have a row. For who cleans: some hundreds at a time, 2 µs each."""
        return {digest for digest in digests if self._one(COMMITTED, {"digest": digest}) is not None}

    def record_blob(self, digest: str, size: int, at: float, *, durable: bool = False) -> Write[None]:
        """A blob was committed."""

        def work(connection: Connection) -> None:
            connection.run(RECORD_BLOB, {"digest": digest, "size": size, "committed_at": at})

        return self._writer.submit(work, durable=durable, pages=1)

    def forget_blob(self, digest: str, *, durable: bool = False) -> Write[None]:
        """A blob is no longer there; who answered for it still does, and fetches it again or wants it pushed again."""

        def work(connection: Connection) -> None:
            connection.run(FORGET_BLOB, {"of_digest": digest})

        return self._writer.submit(work, durable=durable, pages=1)

    def vouch_blob(
        self,
        repository: str,
        digest: str,
        *,
        origin: BlobOrigin,
        at: float,
        upstream: str,
        durable: bool = False,
    ) -> Write[None]:
        """A mirrored `repository` answers for a blob (I12)."""

        def work(connection: Connection) -> None:
            key = mirrored_id(connection, repository, upstream)
            row = {"repository_id": key, "digest": digest, "origin": origin, "size": None, "vouched_at": at}
            connection.run(VOUCH_BLOB, row)

        return self._writer.submit(work, durable=durable)

    def add_blob(
        self, repository: str, digest: str, size: int, at: float, *, session: str | None = None
    ) -> Write[None]:
        """A committed blob was pushed to a hosted `repository`; the upload `session` ends with it. Durable."""

        def work(connection: Connection) -> None:
            connection.run(RECORD_BLOB, {"digest": digest, "size": size, "committed_at": at})
            _push(connection, repository, digest, size, at)
            if session is not None:
                connection.run(END_UPLOAD, {"of_session": session})

        return self._writer.submit(work, durable=True)

    def mount_blob(
        self,
        repository: str,
        digest: str,
        source: str | None,
        at: float,
        *,
        hosted_source: bool = True,
        readable: Callable[[str], bool] | None = None,
    ) -> Write[bool]:
        """A hosted `repository` answers for a blob that another one has; False: it cannot be, upload it. Durable.

        `source`: that repository, which the caller may read; mirrored unless `hosted_source`. Without one, any hosted
        repository will do whose name is `readable` by the caller (None: all are). A mirrored one's row counts only
        where it is named, and a digest that nobody answers for never does (I12).
        """

        def work(connection: Connection) -> bool:
            size = committed_size(connection, digest)
            if size is None or not _may_mount(connection, digest, source, hosted_source, readable):
                return False
            _push(connection, repository, digest, size, at)
            return True

        return self._writer.submit(work, durable=True)

    def delete_blob(self, repository: str, digest: str) -> Write[bool]:
        """A hosted `repository` no longer answers for a blob; whether it did. The bytes stay. Durable."""

        def work(connection: Connection) -> bool:
            key = known_id(connection, repository, "hosted")
            return key is not None and connection.run(DELETE_BLOB, {"of_repository": key, "of_digest": digest}) > 0

        return self._writer.submit(work, durable=True, pages=2)


def _may_mount(
    connection: Connection,
    digest: str,
    source: str | None,
    hosted_source: bool,
    readable: Callable[[str], bool] | None,
) -> bool:
    if source is not None:
        key = known_id(connection, source, kind_of(hosted_source))
        return key is not None and connection.one(VOUCHED, {"of_repository": key, "digest": digest}) is not None
    names = connection.all(PUSHED_TO, {"digest": digest, "limit": 1 if readable is None else _SOURCES})
    return any(readable is None or readable(row[0]) for row in names)
