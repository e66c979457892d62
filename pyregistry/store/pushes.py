"""Pushing: uploads become blobs of a repository, durable before they are acknowledged (I10)."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import xxhash

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyregistry.oci.digests import Digest
    from pyregistry.store.content import Store, Upload
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target


#: How often, and after how many seconds each, a held upload is tried again.
_TRIES, _PAUSE = 10, 0.01


class Busy(Exception):
    """Another request writes this upload."""


class Pushes:
    """Uploads of hosted repositories, over all workers."""

    def __init__(self, store: Store, metadata: Metadata) -> None:
        self._store = store
        self._metadata = metadata

    async def begin(self, repository: str, algorithm: str) -> Upload:
        """A new upload, held by the caller. Raises Failure."""
        session = uuid.uuid4().hex
        # The row first: a folder without a row would be nobody's to clean, a row without a folder goes by itself.
        await self._metadata.begin_upload(repository, session, time.time())
        return self._store.begin_upload(session, algorithm)

    async def resume(self, repository: str, session: str) -> Upload:
        """An upload begun before, held by the caller. Raises Failure(NOT_FOUND), Busy."""
        await self._known(repository, session)
        for _ in range(_TRIES):
            upload = self._store.open_upload(session)
            if upload is not None:
                break
            # A request that broke off a moment ago may still have bytes on their way to disk.
            await asyncio.sleep(_PAUSE)
        else:
            raise Busy
        await self._metadata.touch_upload(session, time.time())
        return upload

    async def offset(self, repository: str, session: str) -> int:
        """Bytes that can be gone on from. Raises Failure(NOT_FOUND)."""
        await self._known(repository, session)
        offset = self._store.upload_offset(session)
        if offset is None:
            raise _no_upload(session)
        return offset

    async def cancel(self, repository: str, session: str) -> None:
        """Removes an upload. Raises Failure(NOT_FOUND), Busy."""
        await self._known(repository, session)
        if not self._store.remove_upload(session) and self._store.upload_offset(session) is not None:
            raise Busy
        await self._metadata.end_upload(session)

    async def mount(self, repository: str, digest: Digest, source: Target | None) -> bool:
        """Makes a blob that another repository (or, without `source`, any hosted one) has a blob of this one too."""
        async with self.settling(digest):
            return await self._metadata.mount_blob(
                repository,
                digest,
                None if source is None else source.repository,
                time.time(),
                hosted_source=source is None or source.hosted,
            )

    async def commit(self, repository: str, upload: Upload, digest: Digest) -> int:
        """Makes an upload the blob `digest` of the repository and answers its size; nothing is lost after that.

        Raises Failure(DIGEST_MISMATCH): the upload can be gone on with.
        """
        async with self.settling(digest):
            size = await upload.commit(digest)
            await self._metadata.add_blob(repository, digest, size, time.time(), session=upload.session)
        return size

    @asynccontextmanager
    async def settling(self, digest: str) -> AsyncIterator[None]:
        """Held from before a blob's file is there until its row is; the cleaner takes it before it removes a file."""
        with await self._store.lock(xxhash.xxh3_64_intdigest(f"commit {digest}".encode()) >> 1):
            yield

    async def _known(self, repository: str, session: str) -> None:
        fact = await self._metadata.upload(session)
        if fact is None or fact.repository != repository:
            raise _no_upload(session)


def _no_upload(session: str) -> Failure:
    return Failure(Cause.NOT_FOUND, f"there is no upload {session[:64]}; begin a new one")
