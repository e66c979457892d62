"""Tag lists and referrers through the mirror: upstream's within the TTL, what is cached when upstream is down."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.freshness import Age
from pyregistry.store.answers import Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pyregistry.mirror.freshness import FreshnessRules
    from pyregistry.mirror.single_flight import SingleFlight
    from pyregistry.mirror.upstream import Upstream
    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.digests import Digest
    from pyregistry.store.metadata import CheckKind, Metadata
    from pyregistry.store.target import Target

log = logging.getLogger(__name__)


class Listings:
    """What a mirrored repository has, as lists."""

    def __init__(
        self, metadata: Metadata, upstreams: Mapping[str, Upstream], flights: SingleFlight, rules: FreshnessRules
    ) -> None:
        self._metadata = metadata
        self._upstreams = upstreams
        self._flights = flights
        self._rules = rules

    async def tags(self, target: Target, after: str | None, limit: int | None) -> tuple[list[str], Result]:
        """Tags in lexical order behind `after`. Raises Failure(NOT_FOUND) for a repository nobody knows."""

        async def ask() -> None:
            now = time.time()
            tags = await self._upstreams[target.upstream].tags(target.path)
            await self._metadata.replace_upstream_tags(
                target.repository, sorted(set(tags)), upstream=target.upstream, checked_at=now
            )

        result = await self._refreshed(target, "tags", "", ask)
        tags = await self._metadata.tag_page(target.repository, after, limit)
        return tags, result

    async def referrers(
        self, target: Target, subject: Digest, artifact_type: str | None, after: str | None, limit: int
    ) -> tuple[list[Descriptor], Result]:
        """Descriptors of the manifests with this subject: upstream's and what we know besides, each once, by digest."""

        async def ask() -> None:
            now = time.time()
            found = await self._upstreams[target.upstream].referrers(target.path, subject)
            if not found and not await self._metadata.upstream_referrers(target.repository, subject):
                # Anybody can make up a subject, or a repository: as `missing` it is forgotten again.
                await self._metadata.missing(target.repository, "referrers", subject, now, upstream=target.upstream)
                return
            await self._metadata.replace_upstream_referrers(
                target.repository, subject, found, upstream=target.upstream, checked_at=now
            )

        try:
            result = await self._refreshed(target, "referrers", subject, ask)
        except Failure as failure:
            # An unknown repository has no referrers: the spec wants an empty list, not an error.
            if failure.cause not in (Cause.NOT_FOUND, Cause.DENIED):
                raise
            result = Result.MISS
        merged: dict[str, Descriptor] = {}
        for descriptor in (
            *await self._metadata.upstream_referrers(target.repository, subject),
            *await self._metadata.local_referrers(target.repository, subject),
        ):
            if artifact_type in (None, descriptor.artifact_type) and descriptor.digest > (after or ""):
                merged.setdefault(descriptor.digest, descriptor)
        return [merged[digest] for digest in sorted(merged)[:limit]], result

    async def _refreshed(self, target: Target, kind: CheckKind, key: str, ask: Callable[[], Awaitable[None]]) -> Result:
        """Sees to it that the cached list is as fresh as it can be had, and says how fresh."""
        rules = self._rules.of_list(target)
        checked = await self._metadata.checked(target.repository, kind, key)
        age = Age.EXPIRED if checked is None else rules.of_found(time.time() - checked)
        if age is Age.FRESH:
            return Result.HIT

        async def once() -> None:
            latest = await self._metadata.checked(target.repository, kind, key)
            if latest is None or rules.of_found(time.time() - latest) is not Age.FRESH:
                await ask()

        upstream = self._upstreams[target.upstream]
        if age is not Age.EXPIRED and upstream.bases.refusal() is not None:
            return Result.STALE
        doubt = upstream.bases.doubt()
        task = self._flights.task(f"{kind} {target.repository} {key}", once)
        if age is Age.REVALIDATE:
            return Result.HIT
        if age is Age.STALE and doubt is not None:
            return Result.STALE
        bound = rules.answer_within if age is Age.STALE else None
        done, _ = await asyncio.wait((task,), timeout=bound)
        if not done:
            upstream.bases.overdue(Failure(Cause.TIMEOUT, f"{target.upstream} has not answered within {bound:g} s"))
            return Result.STALE
        try:
            task.result()
        except Failure as failure:
            if age is Age.EXPIRED or failure.cause is Cause.NOT_FOUND:
                raise
            log.info("stale %s of %s served: %s", kind, target.repository, failure.message)
            return Result.STALE
        return Result.MISS
