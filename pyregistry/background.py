"""Work beside the requests, in one worker at a time: the store's lock elects it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import xxhash

from pyregistry.errors import Failure
from pyregistry.store.pushes import Pushes

if TYPE_CHECKING:
    from pyregistry.config import Config
    from pyregistry.store.content import Store
    from pyregistry.store.metadata import Metadata

log = logging.getLogger(__name__)

#: Between two rounds of cleaning, in seconds.
INTERVAL = 60.0
#: Rounds between two walks over all blobs.
WALK_EVERY = 60
#: Rows or files looked at in one step.
_STEP = 500
_LOCK = xxhash.xxh3_64_intdigest(b"background") >> 1


class Background:
    """Cleaning, until cancelled."""

    def __init__(self, config: Config, *, store: Store, metadata: Metadata) -> None:
        self._partial_expiry = config.storage.partial_expiry.total_seconds()
        self._upload_expiry = config.storage.upload_expiry.total_seconds()
        # `not found` answers are worth keeping for their TTL alone.
        rules = [config.mirror.freshness, *(one.freshness for one in (config.mirror.upstreams or {}).values())]
        self._missing_expiry = max(rule.negative_ttl.total_seconds() for rule in rules if rule is not None)
        self._store = store
        self._metadata = metadata
        self._pushes = Pushes(store, metadata)

    async def run(self) -> None:
        """Works whenever this process is the elected one; waits for its turn while another is."""
        with await self._store.lock(_LOCK):
            rounds = 0
            while True:
                await self.clean(walk=rounds % WALK_EVERY == 0)
                rounds += 1
                await asyncio.sleep(INTERVAL)

    async def clean(self, *, walk: bool) -> None:
        """Removes what nobody owns, asked for or goes on with; with `walk`, also blobs that no row knows."""
        try:
            for digest in await self._store.clean(self._partial_expiry):
                log.info("partial of %s removed: nobody asked for it lately", digest)
            while await self._metadata.forget_missing(time.time() - self._missing_expiry, _STEP) == _STEP:
                pass
            await self._clean_uploads()
            if walk:
                await self._clean_blobs()
        except Failure as failure:
            log.warning("cleaning stopped: %s", failure.message)

    async def _clean_uploads(self) -> None:
        before = time.time() - self._upload_expiry
        for fact in await self._metadata.idle_uploads(before, _STEP):
            latest = await self._metadata.upload(fact.session)
            if latest is None or latest.touched_at > before:
                continue  # somebody went on with it while others were removed
            if self._store.remove_upload(fact.session) or self._store.upload_offset(fact.session) is None:
                await self._metadata.end_upload(fact.session)
                log.info("upload %s to %s removed: nobody went on with it", fact.session, fact.repository)
        for session, age in await asyncio.to_thread(self._store.uploads):
            if age >= self._upload_expiry and await self._metadata.upload(session) is None:
                self._store.remove_upload(session)

    async def _clean_blobs(self) -> None:
        """A kill between a commit and its row leaves a file that nothing refers to."""
        after = ""
        while page := await asyncio.to_thread(self._store.blobs, after, _STEP):
            after = page[-1][0]
            old = [digest for digest, age in page if age >= self._upload_expiry]
            for digest in sorted(set(old) - await self._metadata.known_blobs(old)):
                async with self._pushes.settling(digest):
                    if not await self._metadata.known_blobs([digest]) and self._store.remove(digest):
                        log.info("blob %s removed: no row knows it", digest)
