"""Writes: each one transaction's part, executed by the writer's thread. All can be repeated; the last word counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.store.metadata import changes

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
            if connection.run(changes.ADD_MANIFEST, row):
                connection.run_many(changes.ADD_REFERENCE, changes.references(manifest))
            changes.vouch(connection, repository, manifest.digest, upstream=upstream, tag=tag, at=checked_at)

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
            changes.vouch(connection, repository, digest, upstream=upstream, tag=tag, at=checked_at)

        return self._writer.submit(work, durable=durable, pages=6)

    def confirm_tag(self, repository: str, tag: str, checked_at: float) -> Write[None]:
        """Upstream says that a tag is what it was: one row, unsynced."""

        def work(connection: Connection) -> None:
            row = connection.one(changes.REPOSITORY, {"repository": repository})
            if row is not None:
                changes.check(connection, row[0], "tag", tag, checked_at, found=True)

        return self._writer.submit(work, pages=1)

    def tag_missing(
        self, repository: str, tag: str, checked_at: float, *, drop: bool, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that there is no such tag; `drop`: so there is none here either."""

        def work(connection: Connection) -> None:
            key = changes.mirrored_id(connection, repository, upstream)
            changes.check(connection, key, "tag", tag, checked_at, found=False)
            if drop:
                connection.run(changes.DROP_TAG, {"of_repository": key, "of_name": tag})

        return self._writer.submit(work)

    def missing(
        self, repository: str, kind: CheckKind, key: str, checked_at: float, *, upstream: str | None = None
    ) -> Write[None]:
        """Upstream says that it does not have what it was asked for."""

        def work(connection: Connection) -> None:
            changes.check(
                connection, changes.mirrored_id(connection, repository, upstream), kind, key, checked_at, found=False
            )

        return self._writer.submit(work)

    def expire(self, repository: str, kind: CheckKind, key: str) -> Write[None]:
        """The next question is asked upstream whatever the answer's age."""

        def work(connection: Connection) -> None:
            connection.run(changes.EXPIRE, {"repository": repository, "of_kind": kind, "of_key": key})

        return self._writer.submit(work, pages=1)

    def forget_missing(self, before: float, limit: int = 500) -> Write[int]:
        """Forgets `limit` answers `not found` older than `before`, and repositories of which nothing else is known.

        For background work: who asks for names at random must not fill the database. Answers how many there were.
        """

        def work(connection: Connection) -> int:
            rows = connection.all(changes.MISSING_BEFORE, {"before": before, "limit": limit})
            connection.run_many(
                changes.FORGET_CHECK, [{"of_repository": row[0], "of_kind": row[1], "of_key": row[2]} for row in rows]
            )
            connection.run_many(
                changes.REMOVE_EMPTY_REPOSITORY, [{"of_repository": key} for key in {row[0] for row in rows}]
            )
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
                changes.VOUCH_BLOB,
                {
                    "repository_id": changes.repository_id(connection, repository, upstream),
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
            connection.run(changes.RECORD_BLOB, {"digest": digest, "size": size, "committed_at": at})

        return self._writer.submit(work, durable=durable, pages=1)

    def forget_blob(self, digest: str, *, durable: bool = False) -> Write[None]:
        """A blob is no longer there; who answered for it still does, and fetches it again."""

        def work(connection: Connection) -> None:
            connection.run(changes.FORGET_BLOB, {"of_digest": digest})

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
                key = changes.mirrored_id(connection, repository, upstream)
                changes.compare_tags(connection, key, after, upto, set(chunk))
                after = upto
                yield
            key = changes.mirrored_id(connection, repository, upstream)
            changes.compare_tags(connection, key, after, _LAST, set())
            changes.check(connection, key, "tags", "", checked_at, found=True)

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
            key = changes.mirrored_id(connection, repository, upstream)
            of = {"of_repository": key, "of_subject": subject}
            known = {(row[0], row[1]) for row in connection.all(changes.UPSTREAM_REFERRERS, of)}
            connection.run_many(
                changes.SET_UPSTREAM_REFERRER,
                [
                    {"repository_id": key, "subject_digest": subject, "position": position, "descriptor": text}
                    for position, text in enumerate(orjson.dumps(item.to_json()).decode() for item in descriptors)
                    if (position, text) not in known
                ],
            )
            connection.run(changes.CUT_UPSTREAM_REFERRERS, of | {"length": len(descriptors)})
            changes.check(connection, key, "referrers", subject, checked_at, found=True)

        return self._writer.submit(work, pages=2 + len(descriptors) // 8)
