"""Writes: each one transaction's part, executed by the writer's thread. All can be repeated; the last word counts."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import BigInteger, Double, bindparam, delete, exists, false, literal, select, true, update

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata.sqlite import Statement, insert_new, insert_new_from, upsert
from pyregistry.store.metadata.tables import (
    blob,
    freshness,
    manifest,
    manifest_reference,
    repository,
    repository_blob,
    repository_manifest,
    tag,
    upstream_referrer,
    upstream_tag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata.facts import BlobOrigin, CheckKind
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Steps, Write, Writer

#: Names of an upstream's tag list that one transaction compares.
_CHUNK = 500
#: Behind every name, by its bytes.
_LAST = "\U0010ffff"

REPOSITORY = Statement(select(repository.c.id).where(repository.c.name == bindparam("repository")))
ADD_REPOSITORY = Statement(insert_new(repository), columns=("name", "kind", "upstream"))

ADD_MANIFEST = Statement(insert_new(manifest))
ADD_REFERENCE = Statement(insert_new(manifest_reference))
SUBJECT = Statement(select(manifest.c.subject_digest).where(manifest.c.digest == bindparam("digest")))
VOUCH_MANIFEST = Statement(insert_new(repository_manifest))
VOUCH_DESCRIBED_BLOBS = Statement(
    insert_new_from(
        repository_blob,
        ["repository_id", "digest", "origin", "size", "vouched_at"],
        select(
            bindparam("of_repository", type_=BigInteger),
            manifest_reference.c.target_digest,
            literal("manifest"),
            manifest_reference.c.size,
            bindparam("at", type_=Double),
        ).where(
            manifest_reference.c.manifest_digest == bindparam("of_manifest"),
            manifest_reference.c.kind == "blob",
        ),
    )
)

SET_TAG = Statement(upsert(tag, ["digest", "updated_at"], differs="digest"))
DROP_TAG = Statement(
    delete(tag).where(tag.c.repository_id == bindparam("of_repository"), tag.c.name == bindparam("of_name"))
)

CHECK = Statement(upsert(freshness, ["checked_at", "found", "expired"]))
EXPIRE = Statement(
    update(freshness)
    .values(expired=true())
    .where(
        freshness.c.repository_id
        == select(repository.c.id).where(repository.c.name == bindparam("repository")).scalar_subquery(),
        freshness.c.kind == bindparam("of_kind"),
        freshness.c.key == bindparam("of_key"),
    )
)

VOUCH_BLOB = Statement(upsert(repository_blob, ["origin", "vouched_at"]))
RECORD_BLOB = Statement(upsert(blob, ["size", "committed_at"]))
FORGET_BLOB = Statement(delete(blob).where(blob.c.digest == bindparam("of_digest")))

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

UPSTREAM_REFERRERS = Statement(
    select(upstream_referrer.c.position, upstream_referrer.c.descriptor).where(
        upstream_referrer.c.repository_id == bindparam("of_repository"),
        upstream_referrer.c.subject_digest == bindparam("of_subject"),
    )
)
SET_UPSTREAM_REFERRER = Statement(upsert(upstream_referrer, ["descriptor"]))
CUT_UPSTREAM_REFERRERS = Statement(
    delete(upstream_referrer).where(
        upstream_referrer.c.repository_id == bindparam("of_repository"),
        upstream_referrer.c.subject_digest == bindparam("of_subject"),
        upstream_referrer.c.position >= bindparam("length"),
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
REMOVE_EMPTY_REPOSITORY = Statement(
    delete(repository).where(
        repository.c.id == bindparam("of_repository"),
        repository.c.kind == "mirrored",
        *(
            ~exists().where(table.c.repository_id == repository.c.id)
            for table in (freshness, repository_manifest, repository_blob, upstream_tag, upstream_referrer)
        ),
    )
)


class Writes:
    """What can be written. Every method begins its write when it is called; awaiting the answer waits for its commit.

    `upstream` says whose mirror a repository is that has no row yet; None or empty: it is hosted. Where a method that
    only mirrors use can do without, it is the first component of the canonical name. `durable`: the commit outlives
    power loss.
    """

    _writer: Writer

    def store_manifest(
        self,
        repository: str,
        manifest: Manifest,
        *,
        upstream: str | None,
        tag: str | None = None,
        checked_at: float,
        durable: bool = False,
    ) -> Write[None]:
        """A manifest, what it refers to, that `repository` answers for it and its blobs, and the tag: all or nothing.

        Not vouched for: the children of an index. They are asked for one by one, and stored when they come.
        """

        def work(connection: Connection) -> None:
            row = {
                "digest": manifest.digest,
                "media_type": manifest.media_type,
                "size": manifest.size,
                "content": manifest.content,
                "artifact_type": manifest.artifact_type,
                "subject_digest": None if manifest.subject is None else manifest.subject.digest,
                "annotations": orjson.dumps(dict(manifest.annotations)).decode() if manifest.annotations else None,
                "created_at": checked_at,
            }
            if connection.run(ADD_MANIFEST, row):
                connection.run_many(ADD_REFERENCE, _references(manifest))
            _vouch(connection, repository, manifest.digest, upstream=upstream, tag=tag, at=checked_at)

        pages = 6 + manifest.size // 2048
        return self._writer.submit(work, durable=durable, pages=pages)

    def vouch_manifest(
        self,
        repository: str,
        digest: str,
        *,
        upstream: str | None,
        tag: str | None = None,
        checked_at: float,
        durable: bool = False,
    ) -> Write[None]:
        """The same for a manifest that is stored already; fails with Cause.STORAGE if it is not."""

        def work(connection: Connection) -> None:
            _vouch(connection, repository, digest, upstream=upstream, tag=tag, at=checked_at)

        return self._writer.submit(work, durable=durable, pages=6)

    def confirm_tag(self, repository: str, tag: str, checked_at: float) -> Write[None]:
        """Upstream says that a tag is what it was: one row, unsynced."""

        def work(connection: Connection) -> None:
            row = connection.one(REPOSITORY, {"repository": repository})
            if row is not None:
                _check(connection, row[0], "tag", tag, checked_at, found=True)

        return self._writer.submit(work, pages=1)

    def tag_missing(
        self, repository: str, tag: str, checked_at: float, *, drop: bool, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that there is no such tag; `drop`: so there is none here either."""

        def work(connection: Connection) -> None:
            key = _mirrored(connection, repository, upstream)
            _check(connection, key, "tag", tag, checked_at, found=False)
            if drop:
                connection.run(DROP_TAG, {"of_repository": key, "of_name": tag})

        return self._writer.submit(work)

    def missing(
        self, repository: str, kind: CheckKind, key: str, checked_at: float, *, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that it does not have what it was asked for."""

        def work(connection: Connection) -> None:
            _check(connection, _mirrored(connection, repository, upstream), kind, key, checked_at, found=False)

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
            connection.run_many(REMOVE_EMPTY_REPOSITORY, [{"of_repository": key} for key in {row[0] for row in rows}])
            return len(rows)

        return self._writer.submit(work, pages=2 + limit // 8)

    def vouch_blob(
        self,
        repository: str,
        digest: str,
        *,
        origin: BlobOrigin,
        at: float,
        upstream: str | None,
        durable: bool = False,
    ) -> Write[None]:
        """`repository` answers for a blob (I12)."""

        def work(connection: Connection) -> None:
            connection.run(
                VOUCH_BLOB,
                {
                    "repository_id": _repository(connection, repository, upstream),
                    "digest": digest,
                    "origin": origin,
                    "size": None,
                    "vouched_at": at,
                },
            )

        return self._writer.submit(work, durable=durable)

    def record_blob(self, digest: str, size: int, at: float, *, durable: bool = False) -> Write[None]:
        """A blob was committed."""

        def work(connection: Connection) -> None:
            connection.run(RECORD_BLOB, {"digest": digest, "size": size, "committed_at": at})

        return self._writer.submit(work, durable=durable, pages=1)

    def forget_blob(self, digest: str, *, durable: bool = False) -> Write[None]:
        """A blob is no longer there; who answered for it still does, and fetches it again."""

        def work(connection: Connection) -> None:
            connection.run(FORGET_BLOB, {"of_digest": digest})

        return self._writer.submit(work, durable=durable, pages=1)

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
                key = _mirrored(connection, repository, upstream)
                _compare_tags(connection, key, after, upto, set(chunk))
                after = upto
                yield
            key = _mirrored(connection, repository, upstream)
            _compare_tags(connection, key, after, _LAST, set())
            _check(connection, key, "tags", "", checked_at, found=True)

        return self._writer.submit_steps(work, pages=1 + min(len(tags), _CHUNK) // 50)

    def replace_upstream_referrers(
        self,
        repository: str,
        subject: str,
        descriptors: Sequence[Descriptor],
        *,
        upstream: str | None,
        checked_at: float,
    ) -> Write[None]:
        """Upstream's referrers of `subject`."""

        def work(connection: Connection) -> None:
            key = _mirrored(connection, repository, upstream)
            of = {"of_repository": key, "of_subject": subject}
            known = {(row[0], row[1]) for row in connection.all(UPSTREAM_REFERRERS, of)}
            connection.run_many(
                SET_UPSTREAM_REFERRER,
                [
                    {"repository_id": key, "subject_digest": subject, "position": position, "descriptor": text}
                    for position, text in enumerate(orjson.dumps(item.to_json()).decode() for item in descriptors)
                    if (position, text) not in known
                ],
            )
            connection.run(CUT_UPSTREAM_REFERRERS, of | {"length": len(descriptors)})
            _check(connection, key, "referrers", subject, checked_at, found=True)

        return self._writer.submit(work, pages=2 + len(descriptors) // 8)


def _repository(connection: Connection, name: str, upstream: str | None) -> int:
    """The repository's number; its row is made if there is none."""
    row = connection.one(REPOSITORY, {"repository": name})
    if row is None:
        kind = "mirrored" if upstream else "hosted"
        connection.run(ADD_REPOSITORY, {"name": name, "kind": kind, "upstream": upstream or None})
        row = connection.one(REPOSITORY, {"repository": name})
        assert row is not None
    return int(row[0])


def _mirrored(connection: Connection, name: str, upstream: str | None) -> int:
    return _repository(connection, name, upstream or name.partition("/")[0])


def _references(manifest: Manifest) -> list[dict[str, object]]:
    named = chain(
        (("blob", item) for item in manifest.blobs),
        (("child", item) for item in manifest.children),
        (("subject", item) for item in (manifest.subject,) if item is not None),
    )
    return [
        {
            "manifest_digest": manifest.digest,
            "position": position,
            "kind": kind,
            "target_digest": item.digest,
            "media_type": item.media_type,
            "size": item.size,
        }
        for position, (kind, item) in enumerate(named)
    ]


def _vouch(
    connection: Connection, repository: str, digest: str, *, upstream: str | None, tag: str | None, at: float
) -> None:
    subject = connection.one(SUBJECT, {"digest": digest})
    if subject is None:
        raise Failure(Cause.STORAGE, f"manifest {digest} is not stored, so {repository} cannot answer for it")
    key = _repository(connection, repository, upstream)
    connection.run(
        VOUCH_MANIFEST,
        {
            "repository_id": key,
            "digest": digest,
            "subject_digest": subject[0],
            "origin": "upstream" if upstream else "pushed",
            "vouched_at": at,
        },
    )
    connection.run(VOUCH_DESCRIBED_BLOBS, {"of_repository": key, "of_manifest": digest, "at": at})
    if tag is not None:
        connection.run(SET_TAG, {"repository_id": key, "name": tag, "digest": digest, "updated_at": at})
        if upstream:
            _check(connection, key, "tag", tag, at, found=True)


def _check(connection: Connection, repository: int, kind: CheckKind, key: str, at: float, *, found: bool) -> None:
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


def _compare_tags(connection: Connection, repository: int, after: str, upto: str, names: set[str]) -> None:
    """Makes `names` the ones behind `after` up to `upto`; touches only what differs."""
    between = {"of_repository": repository, "after": after, "upto": upto}
    known = {row[0] for row in connection.all(UPSTREAM_TAGS_BETWEEN, between)}
    connection.run_many(REMOVE_UPSTREAM_TAG, [{"of_repository": repository, "of_name": name} for name in known - names])
    connection.run_many(ADD_UPSTREAM_TAG, [{"repository_id": repository, "name": name} for name in names - known])
