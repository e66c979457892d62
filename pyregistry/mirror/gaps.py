"""Manifests that are served although blobs of them are missing, while their upstream is not asked: known and told.

Clients that choose a mirror when they ask for a manifest (podman, CRI-O) do not go elsewhere for its blobs.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from pyregistry.oci.digests import EMPTY_BLOBS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyregistry.mirror.upstream import Upstream
    from pyregistry.store.metadata import ManifestFact, Metadata
    from pyregistry.store.target import Target

log = logging.getLogger(__name__)

#: Seconds between two lines in the log about one manifest, and manifests remembered for it.
_LOG_SECONDS = 60.0
_MOST = 1024


class Gaps:
    """Looks at manifests as they are served."""

    def __init__(
        self, metadata: Metadata, upstreams: Mapping[str, Upstream], on_incomplete: Callable[[str], None]
    ) -> None:
        """`on_incomplete` is told the upstream's name."""
        self._metadata = metadata
        self._upstreams = upstreams
        self._on_incomplete = on_incomplete
        self._told: dict[str, float] = {}

    async def look(self, target: Target, manifest: ManifestFact) -> None:
        """Tells of `manifest`, about to be served, if blobs of it can neither be served nor fetched now."""
        bases = self._upstreams[target.upstream].bases
        if bases.shut < len(bases.endpoints):
            return
        missing = [d for d in await self._metadata.missing_blobs(manifest.digest) if d not in EMPTY_BLOBS]
        if not missing:
            return
        self._on_incomplete(target.upstream)
        now = time.monotonic()
        if self._told.get(manifest.digest, 0.0) > now:
            return
        self._told.pop(manifest.digest, None)
        self._told[manifest.digest] = now + _LOG_SECONDS
        if len(self._told) > _MOST:
            del self._told[next(iter(self._told))]
        log.warning(
            "manifest %s of %s is served, but %d of its blobs are missing and its upstream is not asked now: %s",
            manifest.digest,
            target.repository,
            len(missing),
            ", ".join(missing[:3]) + (", …" if len(missing) > 3 else ""),
        )
