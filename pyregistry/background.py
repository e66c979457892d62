"""Work beside the requests, in one worker at a time: the store's lock elects it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import xxhash

from pyregistry.errors import Failure

if TYPE_CHECKING:
    from pyregistry.config import Config
    from pyregistry.store.content import Store
    from pyregistry.store.metadata import Metadata

log = logging.getLogger(__name__)

#: Between two rounds of cleaning, in seconds.
INTERVAL = 60.0
#: `not found` answers are worth keeping for their TTL alone; a day covers every sane one.
_MISSING_SECONDS = 86_400
#: Rows removed in one transaction.
_ROWS = 500
_LOCK = xxhash.xxh3_64_intdigest(b"background") >> 1


class Background:
    """Cleaning, until cancelled."""

    def __init__(self, config: Config, *, store: Store, metadata: Metadata) -> None:
        self._expiry = config.storage.partial_expiry.total_seconds()
        self._store = store
        self._metadata = metadata

    async def run(self) -> None:
        """Works whenever this process is the elected one; waits for its turn while another is."""
        with await self._store.lock(_LOCK):
            while True:
                await self.clean()
                await asyncio.sleep(INTERVAL)

    async def clean(self) -> None:
        """Removes what nobody owns or asked for."""
        try:
            removed = await self._store.clean(self._expiry)
            while await self._metadata.forget_missing(time.time() - _MISSING_SECONDS, _ROWS) == _ROWS:
                pass
        except Failure as failure:
            log.warning("cleaning stopped: %s", failure.message)
            return
        for digest in removed:
            log.info("partial of %s removed: nobody asked for it lately", digest)
