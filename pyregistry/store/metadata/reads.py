"""Reads: each one statement that finds its rows by an index, executed inline on the event loop (3 to 7 µs).

The methods are async, because another database will not be inline; here they never suspend.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import and_, bindparam, case, false, select, union

from pyregistry.oci.descriptors import Descriptor, parse_descriptor
from pyregistry.store.metadata.facts import BlobFact, ManifestFact, TagFact
from pyregistry.store.metadata.sqlite import Statement, failure
from pyregistry.store.metadata.tables import (
    blob,
    freshness,
    manifest,
    repository,
    repository_blob,
    repository_manifest,
    tag,
    upstream_referrer,
    upstream_tag,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyregistry.oci.digests import Digest
    from pyregistry.store.metadata.facts import CheckKind
    from pyregistry.store.metadata.sqlite import Connection

#: More rows than any answer has: the value of `limit` for "all", which every database understands.
_ALL = 2**31 - 1

_NAMED = repository.c.name == bindparam("repository")

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
    .where(_NAMED)
)

MANIFEST = Statement(
    select(manifest.c.media_type, manifest.c.size, manifest.c.content)
    .select_from(repository)
    .join(
        repository_manifest,
        and_(
            repository_manifest.c.repository_id == repository.c.id, repository_manifest.c.digest == bindparam("digest")
        ),
    )
    .join(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(_NAMED)
)

KNOWN_MANIFEST = Statement(
    select(manifest.c.media_type, manifest.c.size, manifest.c.content).where(manifest.c.digest == bindparam("digest"))
)

BLOB = Statement(
    select(repository_blob.c.digest, repository_blob.c.size, blob.c.size)
    .select_from(select(bindparam("digest").label("digest")).subquery("asked"))
    .outerjoin(repository, _NAMED)
    .outerjoin(
        repository_blob,
        and_(repository_blob.c.repository_id == repository.c.id, repository_blob.c.digest == bindparam("digest")),
    )
    .outerjoin(blob, blob.c.digest == bindparam("digest"))
)

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
    .where(_NAMED)
)

_STORED_TAGS = (
    select(tag.c.name.label("name"))
    .select_from(repository)
    .join(tag, tag.c.repository_id == repository.c.id)
    .where(_NAMED, tag.c.name > bindparam("after"))
)
_UPSTREAM_TAGS = (
    select(upstream_tag.c.name.label("name"))
    .select_from(repository)
    .join(upstream_tag, upstream_tag.c.repository_id == repository.c.id)
    .where(_NAMED, upstream_tag.c.name > bindparam("after"))
)
TAGS = Statement(_STORED_TAGS.order_by(tag.c.name).limit(bindparam("limit")))
UPSTREAM_TAGS = Statement(_UPSTREAM_TAGS.order_by(upstream_tag.c.name).limit(bindparam("limit")))
TAG_PAGE = Statement(union(_STORED_TAGS, _UPSTREAM_TAGS).order_by("name").limit(bindparam("limit")))

UPSTREAM_REFERRERS = Statement(
    select(upstream_referrer.c.descriptor)
    .select_from(repository)
    .join(
        upstream_referrer,
        and_(
            upstream_referrer.c.repository_id == repository.c.id,
            upstream_referrer.c.subject_digest == bindparam("subject"),
        ),
    )
    .where(_NAMED)
    .order_by(upstream_referrer.c.position)
)

LOCAL_REFERRERS = Statement(
    select(manifest.c.media_type, manifest.c.digest, manifest.c.size, manifest.c.artifact_type, manifest.c.annotations)
    .select_from(repository)
    .join(
        repository_manifest,
        and_(
            repository_manifest.c.repository_id == repository.c.id,
            repository_manifest.c.subject_digest == bindparam("subject"),
        ),
    )
    .join(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(_NAMED, repository_manifest.c.digest > bindparam("after"))
    .order_by(repository_manifest.c.digest)
    .limit(bindparam("limit"))
)


class Reads:
    """The questions the request path asks."""

    _reader: Connection
    _path: Path

    async def tag(self, repository: str, tag: str) -> TagFact | None:
        """What is known of a tag, None if nothing is."""
        row = self._one(TAG, {"repository": repository, "tag": tag})
        if row is None or (row[0] is None and row[1] is None):
            return None
        digest, checked_at, found, expired, stored = row
        if checked_at is None:
            return TagFact(digest, 0.0, True, bool(stored))
        return TagFact(digest, 0.0 if expired else checked_at, bool(found), bool(stored), checked_at)

    async def manifest(self, repository: str, digest: str) -> ManifestFact | None:
        """A manifest that `repository` answers for."""
        row = self._one(MANIFEST, {"repository": repository, "digest": digest})
        return None if row is None else ManifestFact(digest, *row)

    async def known_manifest(self, digest: str) -> ManifestFact | None:
        """A manifest of any repository: not for answering, but for not fetching again what upstream vouches for."""
        row = self._one(KNOWN_MANIFEST, {"digest": digest})
        return None if row is None else ManifestFact(digest, *row)

    async def blob(self, repository: str, digest: str) -> BlobFact:
        """Whether `repository` answers for a blob (I12), and its size as far as it is known."""
        row = self._one(BLOB, {"repository": repository, "digest": digest})
        assert row is not None
        return BlobFact(row[0] is not None, row[2], row[1])

    async def checked(self, repository: str, kind: CheckKind, key: str) -> float | None:
        """When upstream last answered a question; 0 if `expire` wants it asked again, None if it never was asked."""
        row = self._one(CHECKED, {"repository": repository, "kind": kind, "key": key})
        return None if row is None else row[0]

    async def tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """Stored tags behind `after`, in lexical order."""
        return self._names(TAGS, repository, after, limit)

    async def upstream_tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """Upstream's tags as last listed, behind `after`, in lexical order."""
        return self._names(UPSTREAM_TAGS, repository, after, limit)

    async def tag_page(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        """Upstream's tags and the stored ones, each once, behind `after`, in lexical order."""
        return self._names(TAG_PAGE, repository, after, limit)

    async def upstream_referrers(self, repository: str, subject: str) -> list[Descriptor]:
        """Upstream's referrers of `subject` as last listed, in its order."""
        rows = self._all(UPSTREAM_REFERRERS, {"repository": repository, "subject": subject})
        return [parse_descriptor(orjson.loads(row[0])) for row in rows]

    async def local_referrers(
        self, repository: str, subject: str, after: str | None = None, limit: int | None = None
    ) -> list[Descriptor]:
        """Descriptors of the manifests here whose subject is `subject`, by digest, behind `after`."""
        rows = self._all(
            LOCAL_REFERRERS,
            {
                "repository": repository,
                "subject": subject,
                "after": after or "",
                "limit": _ALL if limit is None else limit,
            },
        )
        return [_descriptor(*row) for row in rows]

    def _names(self, statement: Statement, repository: str, after: str | None, limit: int | None) -> list[str]:
        rows = self._all(
            statement,
            {"repository": repository, "after": after or "", "limit": _ALL if limit is None else limit},
        )
        return [row[0] for row in rows]

    def _one(self, statement: Statement, parameters: Mapping[str, object]) -> tuple[Any, ...] | None:
        try:
            return self._reader.one(statement, parameters)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error

    def _all(self, statement: Statement, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        try:
            return self._reader.all(statement, parameters)
        except sqlite3.Error as error:
            raise failure(self._path, error) from error


def _descriptor(
    media_type: str, digest: Digest, size: int, artifact_type: str | None, annotations: str | None
) -> Descriptor:
    if annotations is None:
        return Descriptor(media_type, digest, size, artifact_type)
    return Descriptor(media_type, digest, size, artifact_type, orjson.loads(annotations))
