"""What there is, in lists for people: `ls` and `rm`. A connection of its own, so that no server is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sqlalchemy import and_, bindparam, func, select, true

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.repositories import kind_of, named
from pyregistry.store.metadata.sqlite import DATABASE, Connection, Statement
from pyregistry.store.metadata.tables import (
    manifest,
    manifest_reference,
    repository,
    repository_blob,
    repository_manifest,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyregistry.oci.digests import Digest
    from pyregistry.store.metadata.facts import RepositoryKind

#: Rows of one question: a snapshot is not held longer.
_PAGE = 500

REPOSITORIES = Statement(
    select(repository.c.id, repository.c.name, repository.c.kind, repository.c.upstream)
    .where(repository.c.listed == true(), repository.c.name > bindparam("after"))
    .order_by(repository.c.name)
    .limit(bindparam("limit"))
)
TAG_COUNT = Statement(
    select(func.count(), func.max(tag.c.updated_at)).where(tag.c.repository_id == bindparam("of_repository"))
)
TAGS = Statement(
    select(
        tag.c.name,
        tag.c.digest,
        tag.c.updated_at,
        func.coalesce(repository_manifest.c.media_type, manifest.c.media_type),
        manifest.c.size,
        repository.c.id,
    )
    .select_from(repository)
    .join(tag, tag.c.repository_id == repository.c.id)
    .join(
        repository_manifest,
        and_(repository_manifest.c.repository_id == repository.c.id, repository_manifest.c.digest == tag.c.digest),
    )
    .join(manifest, manifest.c.digest == tag.c.digest)
    .where(named(), tag.c.name > bindparam("after"))
    .order_by(tag.c.name)
    .limit(bindparam("limit"))
)
MANIFESTS = Statement(
    select(repository_manifest.c.digest)
    .select_from(repository)
    .join(repository_manifest, repository_manifest.c.repository_id == repository.c.id)
    .where(named(), repository_manifest.c.digest > bindparam("after"))
    .order_by(repository_manifest.c.digest)
    .limit(bindparam("limit"))
)
BLOBS = Statement(
    select(repository_blob.c.digest)
    .select_from(repository)
    .join(repository_blob, repository_blob.c.repository_id == repository.c.id)
    .where(named(), repository_blob.c.digest > bindparam("after"))
    .order_by(repository_blob.c.digest)
    .limit(bindparam("limit"))
)
PARTS = Statement(
    select(
        manifest_reference.c.target_digest,
        manifest_reference.c.kind,
        manifest_reference.c.size,
        repository_manifest.c.digest.is_not(None),
    )
    .select_from(manifest_reference)
    .outerjoin(
        repository_manifest,
        and_(
            repository_manifest.c.repository_id == bindparam("of_repository"),
            repository_manifest.c.digest == manifest_reference.c.target_digest,
        ),
    )
    .where(manifest_reference.c.manifest_digest == bindparam("of_manifest"))
)


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository that has manifests."""

    name: str
    kind: RepositoryKind
    upstream: str | None
    tags: int
    #: When a tag last came to name another digest; None without tags.
    updated_at: float | None


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag and what it names here."""

    name: str
    digest: Digest
    media_type: str
    #: Bytes of its manifests that are here and of their blobs, as manifests say; each once.
    size: int
    #: When it was pushed, or fetched: came to name this digest.
    updated_at: float


class Inventory(Facts):
    """Lists of one storage root. Blocking."""

    def __init__(self, root: Path) -> None:
        """Raises Failure."""
        self._path = root / DATABASE
        self._reader = Connection(self._path, read_only=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def repositories(self) -> Iterator[RepositoryRow]:
        """Those that have manifests, by name."""
        after = ""
        while rows := self._page(REPOSITORIES, {}, after, _PAGE):
            if len(rows) == _PAGE:
                # The last name may have a second kind, behind this page.
                rows = [row for row in rows if row[1] != rows[-1][1]]
            after = rows[-1][1]
            for key, name, kind, upstream in rows:
                row = self._one(TAG_COUNT, {"of_repository": key})
                count, updated_at = row or (0, None)
                yield RepositoryRow(name, kind, upstream, count, updated_at)

    def tags(self, repository: str, *, hosted: bool) -> Iterator[TagRow]:
        """A repository's tags in lexical order."""
        after = ""
        of = {"repository": repository, "repository_kind": kind_of(hosted)}
        while rows := self._page(TAGS, of, after, _PAGE):
            after = rows[-1][0]
            for name, digest, updated_at, media_type, size, key in rows:
                yield TagRow(name, digest, media_type, size + self._parts(key, digest), updated_at)

    def manifests(self, repository: str, *, hosted: bool) -> list[Digest]:
        """Digests of all manifests of a repository."""
        return self._digests(MANIFESTS, repository, hosted=hosted)

    def blobs(self, repository: str, *, hosted: bool) -> list[Digest]:
        """Digests of all blobs that a repository answers for."""
        return self._digests(BLOBS, repository, hosted=hosted)

    def _digests(self, statement: Statement, repository: str, *, hosted: bool) -> list[Digest]:
        of = {"repository": repository, "repository_kind": kind_of(hosted)}
        found: list[Digest] = []
        while rows := self._page(statement, of, found[-1] if found else "", _PAGE):
            found += [row[0] for row in rows]
        return found

    def _parts(self, repository: int, digest: Digest) -> int:
        """Bytes of what a manifest refers to."""
        sizes: dict[str, int] = {}
        waiting: list[str] = [digest]
        while waiting:
            of = {"of_repository": repository, "of_manifest": waiting.pop()}
            for target, kind, size, stored in self._all(PARTS, of):
                if target in sizes or (kind == "child" and not stored) or kind in ("external", "subject"):
                    continue
                sizes[target] = size
                if kind == "child":
                    waiting.append(target)
        return sum(sizes.values())
