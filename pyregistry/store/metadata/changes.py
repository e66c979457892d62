"""What writes do to the tables: statements, and the functions that several writes share. On the writer's connection."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

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
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata.facts import CheckKind
    from pyregistry.store.metadata.sqlite import Connection

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


def repository_id(connection: Connection, name: str, upstream: str | None) -> int:
    """The repository's number; its row is made if there is none."""
    row = connection.one(REPOSITORY, {"repository": name})
    if row is None:
        kind = "mirrored" if upstream else "hosted"
        connection.run(ADD_REPOSITORY, {"name": name, "kind": kind, "upstream": upstream or None})
        row = connection.one(REPOSITORY, {"repository": name})
        assert row is not None
    return int(row[0])


def mirrored_id(connection: Connection, name: str, upstream: str | None) -> int:
    return repository_id(connection, name, upstream or name.partition("/")[0])


def references(manifest: Manifest) -> list[dict[str, object]]:
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


def vouch(
    connection: Connection, repository: str, digest: str, *, upstream: str | None, tag: str | None, at: float
) -> None:
    subject = connection.one(SUBJECT, {"digest": digest})
    if subject is None:
        raise Failure(Cause.STORAGE, f"manifest {digest} is not stored, so {repository} cannot answer for it")
    key = repository_id(connection, repository, upstream)
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
            check(connection, key, "tag", tag, at, found=True)


def check(connection: Connection, repository: int, kind: CheckKind, key: str, at: float, *, found: bool) -> None:
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


def compare_tags(connection: Connection, repository: int, after: str, upto: str, names: set[str]) -> None:
    """Makes `names` the ones behind `after` up to `upto`; touches only what differs."""
    between = {"of_repository": repository, "after": after, "upto": upto}
    known = {row[0] for row in connection.all(UPSTREAM_TAGS_BETWEEN, between)}
    connection.run_many(REMOVE_UPSTREAM_TAG, [{"of_repository": repository, "of_name": name} for name in known - names])
    connection.run_many(ADD_UPSTREAM_TAG, [{"repository_id": repository, "name": name} for name in names - known])
