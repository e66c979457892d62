"""Blobs through the mirror: who may have them (I12), and who drives a fill."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.blame import concerns, marked, unmarked
from pyregistry.mirror.driver import Driver
from pyregistry.mirror.pass_through import PassThrough
from pyregistry.store.answers import Opened, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyregistry._native import Fill, Reader, Store
    from pyregistry.config import Config
    from pyregistry.mirror.body import Body
    from pyregistry.mirror.single_flight import SingleFlight
    from pyregistry.mirror.upstream import Upstream
    from pyregistry.oci.digests import Digest
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target
    from pyregistry.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

#: Causes after which another repository's upstream may still have the digest.
_OF_ONE_SOURCE = frozenset(
    {
        Cause.NOT_FOUND,
        Cause.DENIED,
        Cause.RATE_LIMITED,
        Cause.UPSTREAM,
        Cause.UNREACHABLE,
        Cause.TIMEOUT,
        Cause.PROTOCOL,
    }
)
#: Causes that `Fill.run` has put on record itself.
_RECORDED = frozenset({Cause.DIGEST_MISMATCH, Cause.STORAGE_FULL, Cause.STORAGE})
#: How often a running fill's bytes are added to the metrics, in seconds.
_REPORT_SECONDS = 2.0
#: How often, and after which pause in seconds (what a record lasts), a blob is asked for again whose fill has failed
#: for others.
_TURNS = 5
_RECORD_SECONDS = 1.0


class Fetcher:
    """Opens blobs for requests: committed, in flight or by a fill of its own."""

    def __init__(
        self,
        *,
        store: Store,
        metadata: Metadata,
        upstreams: Mapping[str, Upstream],
        flights: SingleFlight,
        config: Config,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._metadata = metadata
        self._upstreams = upstreams
        self._flights = flights
        self._attempts = config.mirror.abandon.attempts
        self._metrics = metrics
        self._drivers: dict[Digest, Driver] = {}
        self._passing = PassThrough(store, upstreams, metrics, config.storage.pass_through)

    async def open(
        self, target: Target, digest: Digest, first: tuple[int, int] | None = None, *, background: bool = False
    ) -> Opened:
        """A reader of `digest` whose size is known (or never will be), if `target` answers for it.

        `first`: the first of the ranges that are asked for; None: the whole blob is. `background`: for nobody yet.

        Raises Failure.
        """
        for turn in range(1, _TURNS + 1):
            try:
                return await self._open(target, digest, first, background=background)
            except Failure as failure:
                # What others' upstreams answered is not asked for here, nor told: our turn comes with the next fill.
                wait = max(failure.retry_after or 0.0, _RECORD_SECONDS) if failure.cause is Cause.RATE_LIMITED else 0.0
                if concerns(failure, target.repository) or turn == _TURNS or wait > _TURNS:
                    raise unmarked(failure) from None
            await asyncio.sleep(max(wait, _RECORD_SECONDS))
        raise AssertionError

    async def _open(self, target: Target, digest: Digest, first: tuple[int, int] | None, *, background: bool) -> Opened:
        fact = await self._metadata.blob(target.repository, digest)
        reader = self._store.committed(digest, fact.size)
        if reader is not None:
            if not fact.vouched:
                await self.vouch(target, digest)
            if fact.size is None:
                # The process that committed it died before it could write the row.
                self._metadata.later(self._metadata.record_blob(digest, reader.size or 0, time.time()))
            return Opened(Result.HIT, reader)
        joined = digest in self._drivers or self._store.in_flight(digest)
        if not fact.vouched and joined:
            await self.vouch(target, digest)
        reader = self._store.attach(digest, first, background=background)
        driver = self._drive(target, digest)
        own = False
        if not fact.vouched and not joined:
            # A size known before upstream could answer comes from a partial, which says nothing of this repository.
            partial = reader.size is not None
            own = await _began(driver, reader) == target.repository and not partial
            if not own:
                await self.vouch(target, digest)
        try:
            await reader.ready()
        except Failure as failure:
            if failure.cause is Cause.STORAGE_FULL:
                return await self._passing.open(target, digest)
            raise
        if own:
            if driver.source != target.repository:
                await self.vouch(target, digest)
            else:
                self._metadata.later(self._vouched(target, digest))
        return Opened(Result.JOINED if joined else Result.MISS, reader)

    async def bring(self, target: Target, digest: Digest) -> bool:
        """Sees to it that `digest` is on disk, whoever fetches it; whether it had to be fetched. Raises Failure."""
        opened = await self.open(target, digest, background=True)
        try:
            if opened.reader is None:
                raise Failure(Cause.STORAGE_FULL, f"no room for {digest}")
            if opened.reader.is_committed:
                return False
            # Not read, but held: somebody waits for the whole.
            plan = opened.reader.plan()
            driver = self._drivers.get(digest)
            if driver is not None and driver.task is not None:
                await asyncio.wait((driver.task,))
            if self._store.committed(digest) is None:
                failed = driver.failure if driver is not None else None
                raise unmarked(failed) if failed else Failure(Cause.INTERRUPTED, f"{digest} was not fetched to its end")
            del plan
            return True
        finally:
            opened.close()

    async def size(self, target: Target, digest: Digest) -> tuple[int | None, Result]:
        """Bytes of `digest` for a HEAD, which never fills: from the store, a descriptor, or upstream's word."""
        fact = await self._metadata.blob(target.repository, digest)
        if not fact.vouched:
            return await self.vouch(target, digest), Result.MISS
        if fact.size is not None:
            return fact.size, Result.HIT
        if fact.described is not None:
            return fact.described, Result.HIT
        return await self._upstreams[target.upstream].stat_blob(target.path, digest), Result.MISS

    async def vouch(self, target: Target, digest: Digest) -> int | None:
        """Asks the repository's upstream once whether it has `digest`, and keeps the word; answers the size it told."""

        async def ask() -> int | None:
            fact = await self._metadata.blob(target.repository, digest)
            if fact.vouched:
                return fact.size
            size = await self._upstreams[target.upstream].stat_blob(target.path, digest)
            await self._vouched(target, digest)
            return size

        return await self._flights.run(f"vouch {target.repository} {digest}", ask)

    async def close(self) -> None:
        """Stops driving; fills keep their partials."""
        tasks = [driver.task for driver in self._drivers.values() if driver.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drive(self, target: Target, digest: Digest) -> Driver:
        driver = self._drivers.get(digest)
        if driver is None:
            driver = self._drivers[digest] = Driver(digest)
            driver.task = asyncio.get_running_loop().create_task(self._see_through(driver))
        driver.targets.setdefault(target.repository, target)
        return driver

    async def _see_through(self, driver: Driver) -> None:
        digest = driver.digest
        try:
            while True:
                fill = await self._store.own_or_follow(digest)
                if fill is None:
                    driver.begin(None)
                else:
                    await self._fill(driver, fill)
                # No await between this look and the removal: a reader that attaches later starts a driver of its own.
                if not self._store.wanted(digest):
                    break
        except Failure as failure:
            driver.failure = failure
            # Its readers have it already; what is left is to tell the operator.
            level = logging.INFO if failure.cause is Cause.NOT_FOUND else logging.WARNING
            log.log(level, "fill of %s for %s failed: %s", digest, ", ".join(driver.targets), failure.message)
        finally:
            driver.begin(None)
            if self._drivers.get(digest) is driver:
                del self._drivers[digest]

    async def _fill(self, driver: Driver, fill: Fill) -> None:
        resumed = fill.had > 0
        last: Failure | None = None
        asked = 0
        self._metrics.fill_began()
        try:
            # Requests of other repositories add their upstreams while earlier ones are asked.
            while asked < len(driver.targets):
                target = list(driver.targets.values())[asked]
                asked += 1
                driver.begin(None if resumed else target.repository)
                try:
                    await self._run(driver, target, fill)
                except Failure as failure:
                    last = failure
                    if failure.cause not in _OF_ONE_SOURCE:
                        break
                else:
                    last = None
                    return
        finally:
            self._metrics.fill_ended(last.cause if last else None)
        outcome = last or Failure(Cause.INTERRUPTED, f"nobody to ask for {driver.digest}")
        if outcome.cause not in _RECORDED:
            fill.fail(marked(outcome, driver.targets))
        raise outcome

    async def _run(self, driver: Driver, target: Target, fill: Fill) -> None:
        """Runs the fill from one repository's upstream, over its URLs, with a better token where one is asked for."""
        upstream = self._upstreams[target.upstream]
        base = fruitless = 0
        failure: Failure | None = None
        while True:
            body = await upstream.blob_body(target.path, driver.digest, base_index=base, failure=failure)
            had = fill.had
            driver.source = target.repository
            try:
                outcome = await self._counted(fill, body, target.upstream)
            except Failure as error:
                failure = error
                if error.cause is Cause.DENIED:
                    continue  # the upstream raises it again if it knows nothing better to send
                fruitless = fruitless + 1 if fill.had == had else 0
                # A limit is for one URL: its breaker is open now.
                elsewhere = error.cause is Cause.RATE_LIMITED and upstream.bases.refusal() is None
                if not (error.retryable or elsewhere) or fruitless >= max(self._attempts, upstream.base_count):
                    raise
                base += 1
                continue
            if outcome == "idle" and await fill.rest():
                # Whoever waits wants another range: a request of its own, with a place of its own.
                failure, fruitless = None, 0
                continue
            if outcome == "committed":
                await self._committed(target, driver.digest)
            return

    async def _counted(self, fill: Fill, body: Body, upstream: str) -> str:
        await body.begin()
        source = body.source
        failure: Failure | None = None
        run = asyncio.ensure_future(fill.run(source))
        metrics = self._metrics.upstream(upstream)
        counted = 0
        try:
            while not run.done():
                await asyncio.wait((run,), timeout=_REPORT_SECONDS)
                received = source.received
                metrics.received(received - counted)
                counted = received
            return run.result()
        except Failure as error:
            failure = error
            raise
        finally:
            run.cancel()
            body.end(failure)
            metrics.received(source.received - counted)
            for status in source.statuses:
                metrics.asked("blob", status)

    async def _committed(self, target: Target, digest: Digest) -> None:
        reader = self._store.committed(digest)
        if reader is None or reader.size is None:
            return
        try:
            await self._metadata.record_blob(digest, reader.size, time.time())
        except Failure as failure:
            log.warning("committed %s, but its row was not written: %s", digest, failure.message)
        await self._vouched(target, digest)

    async def _vouched(self, target: Target, digest: Digest) -> None:
        try:
            await self._metadata.vouch_blob(
                target.repository, digest, origin="upstream", at=time.time(), upstream=target.upstream
            )
        except Failure as failure:
            # The word still holds for the request that asked; the next one asks again.
            log.warning(
                "%s answers for %s, but the row was not written: %s", target.repository, digest, failure.message
            )


async def _began(driver: Driver, reader: Reader) -> str | None:
    """The repository whose upstream began the fill here. None, too, once another process's fill has an answer for
    `reader`: its end, for which the driver waits, may never come while only ranges are asked for."""
    ready = asyncio.ensure_future(reader.ready())
    try:
        await asyncio.wait((driver.began, ready), return_when=asyncio.FIRST_COMPLETED)
    finally:
        # The request asks again whether it is ready, and hears why not.
        if not ready.cancel() and not ready.cancelled():
            ready.exception()
    return driver.began.result() if driver.began.done() else None
