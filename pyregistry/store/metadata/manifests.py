"""Manifests: their bytes, what they refer to, and which repositories answer for them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import BigInteger, Double, and_, bindparam, func, literal, select

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.checks import check
from pyregistry.store.metadata.facts import ManifestFact
from pyregistry.store.metadata.repositories import LIST, kind_of, mirrored_id, named
from pyregistry.store.metadata.sqlite import Statement, insert_new, insert_new_from, upsert
from pyregistry.store.metadata.tables import (
    manifest,
    manifest_reference,
    repository,
    repository_blob,
    repository_manifest,
    tag,
)
from pyregistry.store.metadata.tags import named_by, set_tag

if TYPE_CHECKING:
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

MANIFEST = Statement(
    select(func.coalesce(repository_manifest.c.media_type, manifest.c.media_type), manifest.c.size, manifest.c.content)
    .select_from(repository)
    .join(
        repository_manifest,
        and_(
            repository_manifest.c.repository_id == repository.c.id, repository_manifest.c.digest == bindparam("digest")
        ),
    )
    .join(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(named())
)
TAGGED_MANIFEST = Statement(
    select(
        manifest.c.digest,
        func.coalesce(repository_manifest.c.media_type, manifest.c.media_type),
        manifest.c.size,
        manifest.c.content,
    )
    .select_from(repository)
    .join(tag, and_(tag.c.repository_id == repository.c.id, tag.c.name == bindparam("tag")))
    .join(
        repository_manifest,
        and_(repository_manifest.c.repository_id == repository.c.id, repository_manifest.c.digest == tag.c.digest),
    )
    .join(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(named("hosted"))
)
KNOWN_MANIFEST = Statement(
    select(manifest.c.media_type, manifest.c.size, manifest.c.content).where(manifest.c.digest == bindparam("digest"))
)

ADD_MANIFEST = Statement(insert_new(manifest))
ADD_REFERENCE = Statement(insert_new(manifest_reference))
REPEATED = Statement(
    select(manifest.c.subject_digest, manifest.c.artifact_type, manifest.c.media_type).where(
        manifest.c.digest == bindparam("digest")
    )
)
VOUCH_MANIFEST = Statement(insert_new(repository_manifest))
PUSH_MANIFEST = Statement(upsert(repository_manifest, ["origin", "vouched_at", "artifact_type", "media_type"]))
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


def pages_of(manifest: Manifest) -> int:
    """About how many pages storing it changes."""
    return 6 + manifest.size // 2048


def add_manifest(connection: Connection, manifest: Manifest, at: float) -> None:
    """Its bytes and what it refers to, unless they are there."""
    row = {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "size": manifest.size,
        "content": manifest.content,
        "artifact_type": manifest.artifact_type,
        "subject_digest": None if manifest.subject is None else manifest.subject.digest,
        "annotations": orjson.dumps(dict(manifest.annotations)).decode() if manifest.annotations else None,
        "created_at": at,
    }
    if connection.run(ADD_MANIFEST, row):
        connection.run_many(ADD_REFERENCE, _references(manifest))


def answer_for(
    connection: Connection, repository: int, digest: str, at: float, *, of: Manifest | None = None, pushed: bool = False
) -> None:
    """A repository answers for a stored manifest. `of`: as it came here, its type with it if its bytes say none."""
    stored = connection.one(REPEATED, {"digest": digest})
    if stored is None:
        raise Failure(Cause.STORAGE, f"manifest {digest} is not stored, so no repository can answer for it")
    subject, artifact_type, media_type = stored
    row = {
        "repository_id": repository,
        "digest": digest,
        "subject_digest": subject,
        "origin": "pushed" if pushed else "upstream",
        "vouched_at": at,
        "artifact_type": artifact_type if of is None else of.artifact_type,
        "media_type": None if of is None or of.media_type == media_type else of.media_type,
    }
    connection.run(PUSH_MANIFEST if pushed else VOUCH_MANIFEST, row)
    connection.run(LIST, {"of_repository": repository})


def _references(manifest: Manifest) -> list[dict[str, object]]:
    named = chain(
        (("external" if item.is_external else "blob", item) for item in manifest.blobs),
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


class Manifests(Facts):
    """Manifests of mirrored and of hosted repositories; what mirrors write. What pushes write is in `pushes`."""

    async def manifest(self, repository: str, digest: str, *, hosted: bool = False) -> ManifestFact | None:
        """A manifest that `repository` answers for."""
        row = self._one(MANIFEST, {"repository": repository, "repository_kind": kind_of(hosted), "digest": digest})
        return None if row is None else ManifestFact(digest, *row)

    async def tagged_manifest(self, repository: str, tag: str) -> ManifestFact | None:
        """The manifest that a hosted repository's tag names: one look, so that nothing can come between the two."""
        row = self._one(TAGGED_MANIFEST, {"repository": repository, "tag": tag})
        return None if row is None else ManifestFact(*row)

    async def known_manifest(self, digest: str) -> ManifestFact | None:
        """A manifest of any repository: not for answering, but for not fetching again what upstream vouches for."""
        row = self._one(KNOWN_MANIFEST, {"digest": digest})
        return None if row is None else ManifestFact(digest, *row)

    def store_manifest(
        self,
        repository: str,
        manifest: Manifest,
        *,
        upstream: str,
        tag: str | None = None,
        checked_at: float,
        immutable: bool = False,
        durable: bool = False,
    ) -> Write[bool]:
        """A manifest, what it refers to, that a mirrored `repository` answers for it and its blobs, and the tag.

        All or nothing. Not vouched for: the children of an index, which are asked for one by one and stored when they
        come; and layers that are fetched from elsewhere, which anyone may list (I12). `immutable`: the tag is; if it
        names another manifest it goes on doing so, as if upstream had confirmed it, and the answer is False.
        """

        def work(connection: Connection) -> bool:
            add_manifest(connection, manifest, checked_at)
            key = mirrored_id(connection, repository, upstream)
            return _vouch(connection, key, manifest.digest, checked_at, tag=tag, immutable=immutable, of=manifest)

        return self._writer.submit(work, durable=durable, pages=pages_of(manifest))

    def vouch_manifest(
        self,
        repository: str,
        digest: str,
        *,
        upstream: str,
        tag: str | None = None,
        checked_at: float,
        immutable: bool = False,
        durable: bool = False,
    ) -> Write[bool]:
        """The same for a manifest that is stored already; fails with Cause.STORAGE if it is not."""

        def work(connection: Connection) -> bool:
            key = mirrored_id(connection, repository, upstream)
            return _vouch(connection, key, digest, checked_at, tag=tag, immutable=immutable)

        return self._writer.submit(work, durable=durable, pages=6)


def _vouch(
    connection: Connection,
    repository: int,
    digest: str,
    at: float,
    *,
    tag: str | None,
    immutable: bool,
    of: Manifest | None = None,
) -> bool:
    answer_for(connection, repository, digest, at, of=of)
    connection.run(VOUCH_DESCRIBED_BLOBS, {"of_repository": repository, "of_manifest": digest, "at": at})
    if tag is None:
        return True
    kept = immutable and named_by(connection, repository, tag) not in (None, digest)
    if not kept:
        set_tag(connection, repository, tag, digest, at)
    check(connection, repository, "tag", tag, at, found=True)
    return not kept
