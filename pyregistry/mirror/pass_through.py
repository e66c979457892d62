"""Bodies handed through unstored while storage is full: hashed, in one piece, and only so many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.store.answers import Opened, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyregistry._native import Plan, Store
    from pyregistry.mirror.body import Body
    from pyregistry.mirror.upstream import Upstream
    from pyregistry.oci.digests import Digest
    from pyregistry.store.target import Target
    from pyregistry.telemetry.metrics import Metrics

#: Seconds for Retry-After while all places are taken.
_RETRY_AFTER = 5.0


class PassThrough:
    """The one exception to one fetch per digest: each request has a fetch of its own."""

    def __init__(self, store: Store, upstreams: Mapping[str, Upstream], metrics: Metrics, places: int) -> None:
        self._store = store
        self._upstreams = upstreams
        self._metrics = metrics
        self._places = asyncio.Semaphore(places)

    async def open(self, target: Target, digest: Digest) -> Opened:
        """The body of `digest` from the upstream of `target`. Raises Failure."""
        if self._places.locked():
            raise Failure(
                Cause.STORAGE_FULL,
                f"storage is full and {digest} is not cached; free space or lower storage.reserve",
                retry_after=_RETRY_AFTER,
            )
        await self._places.acquire()
        try:
            body, plan = await self._begun(target, digest)
        except BaseException:
            self._places.release()
            raise

        def then() -> None:
            self._places.release()
            self._end(body, None, target.upstream)

        return Opened(Result.MISS, None, plan, then)

    async def _begun(self, target: Target, digest: Digest) -> tuple[Body, Plan]:
        """From the first of the upstream's URLs that gives it."""
        upstream = self._upstreams[target.upstream]
        base = 0
        failure: Failure | None = None
        while True:
            body = await upstream.blob_body(target.path, digest, base_index=base, failure=failure)
            plan = self._store.pass_through(body.source, digest)
            await body.begin()
            try:
                await plan.begin()
            except Failure as error:
                self._end(body, error, target.upstream)
                failure = error
                if error.cause is Cause.DENIED:
                    continue  # the upstream raises it again if it knows nothing better to send
                base += 1
                elsewhere = error.cause is Cause.RATE_LIMITED and upstream.bases.refusal() is None
                if not (error.retryable or elsewhere) or base >= upstream.base_count:
                    raise
            else:
                return body, plan

    def _end(self, body: Body, failure: Failure | None, upstream: str) -> None:
        body.end(failure)
        source = body.source
        metrics = self._metrics.upstream(upstream)
        metrics.received(source.received)
        for status in source.statuses:
            metrics.asked("blob", status)
