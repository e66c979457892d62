"""Referrers: the manifests whose subject another is, as stored here and as upstream lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import and_, bindparam, delete, func, select

from pyregistry.oci.descriptors import Descriptor, parse_descriptor
from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.checks import check
from pyregistry.store.metadata.repositories import kind_of, mirrored_id, named
from pyregistry.store.metadata.sqlite import Statement, upsert
from pyregistry.store.metadata.tables import manifest, repository, repository_manifest, upstream_referrer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyregistry.oci.digests import Digest
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

_STORED = (
    select(
        func.coalesce(repository_manifest.c.media_type, manifest.c.media_type),
        manifest.c.digest,
        manifest.c.size,
        repository_manifest.c.artifact_type,
        manifest.c.annotations,
    )
    .select_from(repository)
    .join(
        repository_manifest,
        and_(
            repository_manifest.c.repository_id == repository.c.id,
            repository_manifest.c.subject_digest == bindparam("subject"),
        ),
    )
    .join(manifest, manifest.c.digest == repository_manifest.c.digest)
    .where(named(), repository_manifest.c.digest > bindparam("after"))
    .order_by(repository_manifest.c.digest)
    .limit(bindparam("limit"))
)
REFERRERS = Statement(_STORED)
REFERRERS_OF_TYPE = Statement(_STORED.where(repository_manifest.c.artifact_type == bindparam("artifact_type")))

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
    .where(named("mirrored"))
    .order_by(upstream_referrer.c.position)
)
KNOWN_UPSTREAM_REFERRERS = Statement(
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


class Referrers(Facts):
    """Referrers of mirrored and of hosted repositories."""

    async def referrers(
        self,
        repository: str,
        subject: str,
        artifact_type: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Descriptor]:
        """Descriptors of a hosted repository's referrers of `subject`, by digest, behind `after`; all types or one."""
        return self._stored(repository, subject, artifact_type, after, limit, hosted=True)

    async def local_referrers(
        self, repository: str, subject: str, after: str | None = None, limit: int | None = None
    ) -> list[Descriptor]:
        """Descriptors of a mirrored repository's stored referrers of `subject`, by digest, behind `after`."""
        return self._stored(repository, subject, None, after, limit, hosted=False)

    async def upstream_referrers(self, repository: str, subject: str) -> list[Descriptor]:
        """Upstream's referrers of `subject` as last listed, in its order."""
        rows = self._all(UPSTREAM_REFERRERS, {"repository": repository, "subject": subject})
        return [parse_descriptor(orjson.loads(row[0])) for row in rows]

    def _stored(
        self,
        repository: str,
        subject: str,
        artifact_type: str | None,
        after: str | None,
        limit: int | None,
        *,
        hosted: bool,
    ) -> list[Descriptor]:
        of = {"repository": repository, "repository_kind": kind_of(hosted), "subject": subject}
        if artifact_type is None:
            rows = self._page(REFERRERS, of, after, limit)
        else:
            rows = self._page(REFERRERS_OF_TYPE, of | {"artifact_type": artifact_type}, after, limit)
        return [_descriptor(*row) for row in rows]

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
            key = mirrored_id(connection, repository, upstream)
            of = {"of_repository": key, "of_subject": subject}
            known = {(row[0], row[1]) for row in connection.all(KNOWN_UPSTREAM_REFERRERS, of)}
            connection.run_many(
                SET_UPSTREAM_REFERRER,
                [
                    {"repository_id": key, "subject_digest": subject, "position": position, "descriptor": text}
                    for position, text in enumerate(orjson.dumps(item.to_json()).decode() for item in descriptors)
                    if (position, text) not in known
                ],
            )
            connection.run(CUT_UPSTREAM_REFERRERS, of | {"length": len(descriptors)})
            check(connection, key, "referrers", subject, checked_at, found=True)

        return self._writer.submit(work, pages=2 + len(descriptors) // 8)


def _descriptor(
    media_type: str, digest: Digest, size: int, artifact_type: str | None, annotations: str | None
) -> Descriptor:
    if annotations is None:
        return Descriptor(media_type, digest, size, artifact_type)
    return Descriptor(media_type, digest, size, artifact_type, orjson.loads(annotations))
