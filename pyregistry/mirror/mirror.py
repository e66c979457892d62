"""The mirror: every upstream, and what is asked of them, put together for one process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyregistry.mirror.fetcher import Fetcher
from pyregistry.mirror.freshness import FreshnessRules
from pyregistry.mirror.gaps import Gaps
from pyregistry.mirror.listings import Listings
from pyregistry.mirror.manifests import Manifests
from pyregistry.mirror.namespaces import Namespaces
from pyregistry.mirror.prefetch import Prefetch
from pyregistry.mirror.secret import shared_secret
from pyregistry.mirror.single_flight import SingleFlight
from pyregistry.mirror.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyregistry._native import Store
    from pyregistry.config import Config
    from pyregistry.store.metadata import Metadata
    from pyregistry.telemetry.metrics import Metrics


class Mirror:
    """What requests use: names, manifests, blobs, lists."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        metadata: Metadata,
        metrics: Metrics,
        run_dir: Path,
        immutable: Callable[[str, str], bool],
    ) -> None:
        """`immutable`: whether policy lets a tag of a repository be set once only."""
        self.namespaces = Namespaces(config)
        self.upstreams = {
            name: Upstream(
                name,
                upstream,
                store=store,
                run_dir=run_dir,
                on_request=metrics.upstream(name).asked,
                breaker=config.mirror.breaker,
                on_quota=metrics.upstream(name).quota,
                on_breakers=metrics.upstream(name).breakers,
            )
            for name, upstream in self.namespaces.upstreams.items()
        }
        self._flights = SingleFlight(store, shared_secret(run_dir))
        rules = FreshnessRules(config.mirror.freshness, self.namespaces.upstreams, immutable)
        gaps = Gaps(metadata, self.upstreams, lambda name: metrics.upstream(name).incomplete())
        self.manifests = Manifests(metadata, self.upstreams, self._flights, rules, gaps)
        self.listings = Listings(metadata, self.upstreams, self._flights, rules)
        self.blobs = Fetcher(
            store=store,
            metadata=metadata,
            upstreams=self.upstreams,
            flights=self._flights,
            config=config,
            metrics=metrics,
        )

        self.prefetch = Prefetch(self.manifests, self.blobs, metadata, self.upstreams)

    async def close(self) -> None:
        """Stops everything that is asked or driven; partials stay."""
        await self.prefetch.close()
        await self.blobs.close()
        await self._flights.close()
        await asyncio.gather(*(upstream.close() for upstream in self.upstreams.values()))
