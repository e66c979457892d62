"""Content of hosted repositories, through the interface that the mirror has for mirrored ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.store.answers import Found, Opened, Result

if TYPE_CHECKING:
    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.digests import Digest
    from pyregistry.store.content import Reader, Store
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target


class HostedBlobs:
    """Blobs that were pushed. A row says whose they are (I12), the store has their bytes."""

    def __init__(self, store: Store, metadata: Metadata) -> None:
        self._store = store
        self._metadata = metadata

    async def open(self, target: Target, digest: Digest, _first: tuple[int, int] | None = None) -> Opened:
        """A reader of the blob. Raises Failure."""
        return Opened(Result.HIT, await self._reader(target, digest))

    async def size(self, target: Target, digest: Digest) -> tuple[int | None, Result]:
        """Its bytes. Raises Failure."""
        return (await self._reader(target, digest)).size, Result.HIT

    async def _reader(self, target: Target, digest: Digest) -> Reader:
        fact = await self._metadata.blob(target.repository, digest, hosted=True)
        if not fact.vouched or fact.size is None:
            raise _not_found(target, digest)
        reader = self._store.committed(digest, fact.size)
        if reader is None:
            raise Failure(Cause.STORAGE, f"{digest} was pushed to {target.repository}, but its file is gone")
        return reader


class HostedManifests:
    """Manifests and tags that were pushed."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def by_digest(self, target: Target, digest: str) -> Found:
        """The manifest of a digest. Raises Failure."""
        manifest = await self._metadata.manifest(target.repository, digest, hosted=True)
        if manifest is None:
            raise _not_found(target, digest)
        return Found(manifest, Result.HIT)

    async def by_tag(self, target: Target, tag: str) -> Found:
        """The manifest a tag names. Raises Failure."""
        manifest = await self._metadata.tagged_manifest(target.repository, tag)
        if manifest is None:
            raise _not_found(target, tag)
        return Found(manifest, Result.HIT)


class HostedListings:
    """What a hosted repository has, as lists."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def tags(self, target: Target, after: str | None, limit: int | None) -> tuple[list[str], Result]:
        """Tags in lexical order behind `after`. Raises Failure(NOT_FOUND) for a repository nobody pushed to."""
        tags = await self._metadata.hosted_tags(target.repository, after, limit)
        if not tags and await self._metadata.repository_kind(target.repository) != "hosted":
            raise Failure(Cause.NOT_FOUND, f"nothing was pushed to {target.repository}")
        return tags, Result.HIT

    async def referrers(
        self, target: Target, subject: Digest, artifact_type: str | None, after: str | None, limit: int
    ) -> tuple[list[Descriptor], Result]:
        """Descriptors of manifests with this subject (and artifact type), by digest, behind `after`."""
        found = await self._metadata.referrers(target.repository, subject, artifact_type, after, limit)
        return found, Result.HIT


class Hosted:
    """Hosted repositories, as `Mirror` is the mirrored ones."""

    def __init__(self, store: Store, metadata: Metadata) -> None:
        self.blobs = HostedBlobs(store, metadata)
        self.manifests = HostedManifests(metadata)
        self.listings = HostedListings(metadata)


def _not_found(target: Target, reference: str) -> Failure:
    return Failure(Cause.NOT_FOUND, f"{target.repository} has no {reference}")
