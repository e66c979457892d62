"""Pushes: a manifest with its tags comes into a hosted repository, or goes; each in one durable transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select

from pyregistry.store.metadata.base import Facts
from pyregistry.store.metadata.blobs import has_blob
from pyregistry.store.metadata.facts import DeleteResult, Missing, PutResult
from pyregistry.store.metadata.manifests import add_manifest, answer_for, pages_of
from pyregistry.store.metadata.repositories import UNLIST_EMPTY, hosted_id, known_id
from pyregistry.store.metadata.sqlite import Statement
from pyregistry.store.metadata.tables import repository_manifest, tag
from pyregistry.store.metadata.tags import named_by, set_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata.sqlite import Connection
    from pyregistry.store.metadata.writer import Write

HAS_MANIFEST = Statement(
    select(repository_manifest.c.digest).where(
        repository_manifest.c.repository_id == bindparam("of_repository"),
        repository_manifest.c.digest == bindparam("digest"),
    )
)
DELETE_MANIFEST = Statement(
    delete(repository_manifest).where(
        repository_manifest.c.repository_id == bindparam("of_repository"),
        repository_manifest.c.digest == bindparam("of_digest"),
    )
)
TAGS_OF_MANIFEST = Statement(
    select(tag.c.name).where(tag.c.repository_id == bindparam("of_repository"), tag.c.digest == bindparam("digest"))
)
DELETE_TAGS_OF_MANIFEST = Statement(
    delete(tag).where(tag.c.repository_id == bindparam("of_repository"), tag.c.digest == bindparam("of_digest"))
)


class Pushes(Facts):
    """What pushing does to hosted repositories."""

    def put_manifest(
        self,
        repository: str,
        manifest: Manifest,
        tags: Sequence[str],
        *,
        at: float,
        immutable: Callable[[str], bool],
        sparse: bool,
        sparse_blobs: bool = False,
    ) -> Write[PutResult]:
        """A pushed manifest and the tags that are to name it: all or nothing.

        Every blob must be committed and the repository answer for it, but for layers that are fetched from elsewhere;
        and it must have every child, unless `sparse` (children) or `sparse_blobs` lets them be missing, which gives no
        right to read them (I12). A subject need not be there. `immutable` says of a tag whether it
        may be set once only; it is asked on the writer's thread, so it must be quick and pure.
        """
        named = tuple(dict.fromkeys(tags))

        def work(connection: Connection) -> PutResult:
            key = known_id(connection, repository, "hosted")
            previous = {name: None if key is None else named_by(connection, key, name) for name in named}
            for name, digest in previous.items():
                if digest not in (None, manifest.digest) and immutable(name):
                    return PutResult(immutable=name)
            missing = tuple(_missing(connection, key, manifest, sparse=sparse, sparse_blobs=sparse_blobs))
            if missing:
                return PutResult(missing)
            if key is None:
                key = hosted_id(connection, repository)
            add_manifest(connection, manifest, at)
            answer_for(connection, key, manifest.digest, at, of=manifest, pushed=True)
            for name in named:
                set_tag(connection, key, name, manifest.digest, at)
            return PutResult(previous=previous)

        return self._writer.submit(work, durable=True, pages=pages_of(manifest) + 2 * len(named))

    def delete_manifest(self, repository: str, digest: str, *, immutable: Callable[[str], bool]) -> Write[DeleteResult]:
        """A hosted `repository` no longer answers for a manifest, and its tags go; not if one of them is immutable.

        What refers to it stays, and so do the rows of its blobs: they were pushed by themselves.
        """

        def work(connection: Connection) -> DeleteResult:
            key = known_id(connection, repository, "hosted")
            if key is None or not _has_manifest(connection, key, digest):
                return DeleteResult(found=False)
            for (name,) in connection.all(TAGS_OF_MANIFEST, {"of_repository": key, "digest": digest}):
                if immutable(name):
                    return DeleteResult(found=True, immutable=name)
            of = {"of_repository": key, "of_digest": digest}
            connection.run(DELETE_TAGS_OF_MANIFEST, of)
            connection.run(DELETE_MANIFEST, of)
            connection.run(UNLIST_EMPTY, {"of_repository": key})
            return DeleteResult(found=True)

        return self._writer.submit(work, durable=True, pages=6)


def _has_manifest(connection: Connection, repository: int, digest: str) -> bool:
    return connection.one(HAS_MANIFEST, {"of_repository": repository, "digest": digest}) is not None


def _missing(
    connection: Connection, repository: int | None, manifest: Manifest, *, sparse: bool, sparse_blobs: bool
) -> Iterator[Missing]:
    """What the repository does not have of what `manifest` refers to, each once."""
    wanted = () if sparse_blobs else dict.fromkeys(item.digest for item in manifest.blobs if not item.is_external)
    for digest in wanted:
        if repository is None or not has_blob(connection, repository, digest):
            yield Missing("blob", digest)
    for digest in () if sparse else dict.fromkeys(item.digest for item in manifest.children):
        if repository is None or not (
            _has_manifest(connection, repository, digest)
            # BuildKit's cache is an index of layers.
            or has_blob(connection, repository, digest)
        ):
            yield Missing("manifest", digest)
