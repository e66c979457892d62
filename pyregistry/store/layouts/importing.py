"""Importing: what a layout has becomes a hosted repository's, as if it had been pushed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.oci.digests import algorithm
from pyregistry.oci.layout import InvalidLayout
from pyregistry.store.layouts.errors import Refused
from pyregistry.store.pushes import Busy, Pushes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.digests import Digest
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.content import Store, Upload
    from pyregistry.store.layouts.plan import ImportPlan
    from pyregistry.store.layouts.reading import Layout, Part
    from pyregistry.store.layouts.report import Report
    from pyregistry.store.metadata import Metadata

#: Blobs brought at once: hashing is one processor's work each.
_AT_ONCE = 4
#: Bytes read at once, as many as an upload writes and hashes at once.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to: everything that the plan names is there now."""

    #: Manifests and blobs that were not there before.
    manifests: int
    blobs: int
    #: Bytes copied, and those of blobs that had not to be.
    copied: int
    spared: int
    #: Blobs that did not come along: neither the layout nor the store has them.
    left_out: tuple[Descriptor, ...]


class Importer:
    """Imports into one storage root, beside a running server or without one."""

    def __init__(
        self,
        store: Store,
        metadata: Metadata,
        *,
        immutable: Callable[[str, str], bool],
        sparse: bool,
        sparse_blobs: bool,
        report: Report,
    ) -> None:
        """`immutable`: whether a repository's tag may be set once only. `sparse`: take indexes without all children,
        `sparse_blobs`: and images without all blobs.
        """
        self._store = store
        self._metadata = metadata
        self._pushes = Pushes(store, metadata)
        self._immutable = immutable
        self._sparse = sparse
        self._sparse_blobs = sparse_blobs
        self._report = report

    async def check(self, layout: Layout, repository: str, plan: ImportPlan) -> tuple[Descriptor, ...]:
        """The blobs that are nowhere to be had. Raises Refused for what can be known before anything is copied."""
        if plan.left_out and not self._sparse:
            raise Refused(
                f"{repository} takes no index without its manifests (policy.sparse_indexes), "
                f"and these would not come along: {_named(list(plan.left_out))}"
            )
        for digest, tags in plan.tags.items():
            for tag in tags:
                fact = await self._metadata.tag(repository, tag, hosted=True)
                if fact is not None and fact.digest not in (None, digest) and self._immutable(repository, tag):
                    raise _immutable(repository, tag, fact.digest)
        missing = [
            blob
            for blob in plan.blobs.values()
            if not blob.is_external and layout.size(blob.digest) is None and not await self._is_stored(blob)
        ]
        if missing and not self._sparse_blobs:
            raise Refused(
                f"{layout.path} does not have blob {_named([blob.digest for blob in missing])}, "
                f"and {repository} takes no image without its blobs (policy.sparse_images)"
            )
        return tuple(missing)

    async def run(self, layout: Layout, repository: str, plan: ImportPlan) -> Imported:
        """Blobs first, then manifests, children before parents, with their tags.

        Whenever it is broken off, what is visible is whole; the next run goes on from there.
        Raises Refused, InvalidLayout, Failure.
        """
        left_out = await self.check(layout, repository, plan)
        blobs = [blob for blob in plan.blobs.values() if blob not in left_out]
        new = [blob for blob in blobs if not await self._has(repository, blob)]
        self._report.expect(sum(blob.size for blob in new))
        copied = await self._bring(layout, repository, new)
        manifests = 0
        for manifest in plan.manifests.values():
            manifests += await self._put(repository, manifest, plan.tags.get(manifest.digest, []))
        return Imported(manifests, len(new), copied, sum(blob.size for blob in blobs) - copied, left_out)

    async def _has(self, repository: str, blob: Descriptor) -> bool:
        """Whether the repository has a blob, or need not have it."""
        fact = await self._metadata.blob(repository, blob.digest, hosted=True)
        return fact.vouched and fact.size is not None and self._store.committed(blob.digest, fact.size) is not None

    async def _is_stored(self, blob: Descriptor) -> bool:
        """Whether the store has a blob, whoever it is of: who imports may read the storage root anyway (I12)."""
        return bool(await self._metadata.known_blobs([blob.digest])) and self._size_stored(blob.digest) is not None

    def _size_stored(self, digest: Digest) -> int | None:
        reader = self._store.committed(digest)
        return None if reader is None else reader.size

    async def _bring(self, layout: Layout, repository: str, blobs: list[Descriptor]) -> int:
        """Makes blobs the repository's; how many bytes had to be copied."""
        waiting = iter(blobs)
        copied = 0

        async def work() -> None:
            nonlocal copied
            for blob in waiting:
                # Not `+= await`, which adds to what was there before the wait.
                count = await self._bring_one(layout, repository, blob)
                copied += count

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(work())
        except ExceptionGroup as errors:
            # One is enough to tell.
            raise errors.exceptions[0] from None
        return copied

    async def _bring_one(self, layout: Layout, repository: str, blob: Descriptor) -> int:
        size = layout.size(blob.digest)
        self._report.begin(blob.digest, blob.size)
        if await self._link(repository, blob.digest):
            self._report.end(blob.digest, blob.size, "already in the store")
        elif size is not None:
            await self._upload(layout, repository, blob.digest)
            self._report.end(blob.digest, blob.size, "copied")
            return size
        elif blob.is_external:
            self._report.end(blob.digest, blob.size, "left to be fetched from elsewhere")
        else:
            raise InvalidLayout(f"{layout.path} does not have blob {blob.digest}")
        return 0

    async def _link(self, repository: str, digest: Digest) -> bool:
        """Makes a blob that the store has the repository's too."""
        async with self._pushes.settling(digest):
            size = self._size_stored(digest)
            if size is None or not await self._metadata.known_blobs([digest]):
                return False
            await self._metadata.add_blob(repository, digest, size, time.time())
            return True

    async def _upload(self, layout: Layout, repository: str, digest: Digest) -> None:
        upload = await self._pushes.begin(repository, algorithm(digest))
        try:
            with layout.open(digest) as part:
                await self._copy(part, upload, digest)
            try:
                await self._pushes.commit(repository, upload, digest)
            except Failure as failure:
                if failure.cause is not Cause.DIGEST_MISMATCH:
                    raise
                raise InvalidLayout(f"{layout.where(digest)} does not hash to its name: it is damaged") from None
        except BaseException:
            upload.release()
            # Where its last write still ends, it goes when it has been idle for too long.
            with suppress(Busy):
                await self._pushes.cancel(repository, upload.session)
            raise

    async def _copy(self, part: Part, upload: Upload, digest: Digest) -> None:
        while data := await asyncio.to_thread(part.read, _CHUNK):
            # Written and hashed while the next is read.
            waiting = upload.write(data)
            if waiting is not None:
                await waiting
            self._report.moved(digest, len(data))

    async def _put(self, repository: str, manifest: Manifest, tags: list[str]) -> bool:
        """Whether anything changed."""
        facts = [await self._metadata.tag(repository, tag, hosted=True) for tag in tags]
        named = all(fact is not None and fact.digest == manifest.digest for fact in facts)
        if named and await self._metadata.manifest(repository, manifest.digest, hosted=True) is not None:
            return False
        result = await self._metadata.put_manifest(
            repository,
            manifest,
            tags,
            at=time.time(),
            immutable=lambda tag: self._immutable(repository, tag),
            sparse=self._sparse,
            sparse_blobs=self._sparse_blobs,
        )
        if result.immutable is not None:
            raise _immutable(repository, result.immutable, None)
        if result.missing:
            missing = _named([one.digest for one in result.missing])
            raise Refused(f"{repository} no longer has {missing}: somebody deletes there; import again")
        return True


def _named(digests: list[Digest] | list[str]) -> str:
    shown = ", ".join(digests[:3])
    return shown if len(digests) <= 3 else f"{shown} and {len(digests) - 3} more"


def _immutable(repository: str, tag: str, digest: str | None) -> Refused:
    now = "" if digest is None else f" and names {digest}"
    return Refused(f"{repository}:{tag} is immutable (policy.immutable_tags){now}; import under another tag")
