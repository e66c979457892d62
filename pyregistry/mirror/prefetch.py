"""Images brought here before somebody asks for them: the one named, for its platforms, or a manifest's layers.

Background work: clients go before it (`limits`), and it stops where pulls are few (`pulls`).
"""

from __future__ import annotations

import asyncio
import logging
import platform as machine
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.oci.descriptors import Platform
from pyregistry.oci.digests import EMPTY_BLOBS, Digest, algorithm
from pyregistry.oci.manifests import PARSED_INLINE, parse_manifest
from pyregistry.oci.media_types import is_index_type, is_manifest_type
from pyregistry.oci.platforms import is_wanted

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Mapping

    from pyregistry.mirror.fetcher import Fetcher
    from pyregistry.mirror.manifests import Manifests
    from pyregistry.mirror.upstream import Upstream
    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.manifests import Manifest
    from pyregistry.oci.references import Reference
    from pyregistry.store.layouts.report import Report
    from pyregistry.store.metadata import ManifestFact, Metadata
    from pyregistry.store.target import Target

log = logging.getLogger(__name__)

#: Blobs brought at once, as clients do it, and images begun that are not done: more are refused.
_AT_ONCE = 4
MOST_IMAGES = 64
#: Names of machines that images call otherwise.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def this_platform() -> Platform:
    """What images for this machine say they run on."""
    name = machine.machine()
    return Platform("linux", _ARCHITECTURES.get(name, name))


class Prefetch:
    """What this process brings in the background."""

    def __init__(
        self, manifests: Manifests, blobs: Fetcher, metadata: Metadata, upstreams: Mapping[str, Upstream]
    ) -> None:
        self._manifests = manifests
        self._blobs = blobs
        self._metadata = metadata
        self._upstreams = upstreams
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[tuple[str, ...], asyncio.Task[None]] = {}

    async def image(
        self, target: Target, reference: Reference, platforms: Collection[Platform], report: Report | None = None
    ) -> Digest:
        """Brings an image, of an index what is for `platforms` (none named: all); returns when all of it is on disk.

        Raises Failure: the first of those that left something out.
        """
        root = await self._root(target, reference)
        await self._below(target, root, platforms, report)
        return root.digest

    async def begin(self, target: Target, reference: Reference, platforms: Collection[Platform]) -> Digest:
        """Begins to bring an image and answers what it is. Raises Failure if upstream does not say, or too many are
        begun."""
        key = (target.repository, reference.text, *map(str, platforms))
        if len(self._tasks) >= MOST_IMAGES and key not in self._tasks:
            raise Failure(Cause.INTERRUPTED, f"{MOST_IMAGES} images are being prefetched; try again when some are done")
        root = await self._root(target, reference)
        self._work(key, self._below(target, root, platforms, None))
        return root.digest

    def served(self, target: Target, manifest: ManifestFact) -> None:
        """A client got a manifest: its blobs begin now, if the upstream's policy is so."""
        if self._upstreams[target.upstream].prefetches_layers and is_manifest_type(manifest.media_type):
            self._work((target.repository, manifest.digest), self._missing(target, manifest))

    async def close(self) -> None:
        """Stops; what has begun to come keeps its partials."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _work(self, key: tuple[str, ...], work: Coroutine[None, None, object]) -> None:
        """Begins `work` unless the same is under way."""
        if key in self._tasks or len(self._tasks) >= MOST_IMAGES:
            work.close()
            return
        task = self._tasks[key] = asyncio.get_running_loop().create_task(_told(key, work))
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _root(self, target: Target, reference: Reference) -> Manifest:
        upstream = self._upstreams[target.upstream]
        if upstream.pulls.is_unknown:
            # A HEAD is free, and says what is left.
            await upstream.head_manifest(target.path, reference.text)
        if reference.digest is not None:
            return await self._manifest(target, reference.digest)
        self._spare(target)
        async with upstream.limits.background():
            return await _parsed((await self._manifests.by_tag(target, reference.text)).manifest)

    async def _manifest(self, target: Target, digest: Digest) -> Manifest:
        known = await self._metadata.manifest(target.repository, digest)
        if known is not None:
            return await _parsed(known)
        self._spare(target)
        async with self._upstreams[target.upstream].limits.background():
            return await _parsed((await self._manifests.by_digest(target, digest)).manifest)

    def _spare(self, target: Target) -> None:
        """Raises Failure where the pulls left are for clients."""
        pulls = self._upstreams[target.upstream].pulls
        if pulls.is_low:
            raise pulls.low()

    async def _below(
        self, target: Target, root: Manifest, platforms: Collection[Platform], report: Report | None
    ) -> None:
        blobs: dict[Digest, Descriptor] = {}
        waiting, seen = [root], {root.digest}
        while waiting:
            manifest = waiting.pop()
            for one in manifest.blobs:
                if not one.is_external:
                    blobs.setdefault(one.digest, one)
            wanted = [child for child in manifest.children if is_wanted(child, platforms)]
            if manifest.children and not wanted:
                named = ", ".join(map(str, platforms))
                raise Failure(Cause.NOT_FOUND, f"{target.repository} {manifest.digest} has nothing for {named}")
            for child in wanted:
                if child.media_type and not (is_manifest_type(child.media_type) or is_index_type(child.media_type)):
                    # BuildKit's cache is an index of layers.
                    blobs.setdefault(child.digest, child)
                elif child.digest not in seen:
                    seen.add(child.digest)
                    waiting.append(await self._manifest(target, child.digest))
        await self._bring(target, {digest: one.size for digest, one in blobs.items()}, report)

    async def _missing(self, target: Target, manifest: ManifestFact) -> None:
        missing = await self._metadata.missing_blobs(manifest.digest)
        await self._bring(target, dict.fromkeys(map(Digest, missing), 0), None)

    async def _bring(self, target: Target, blobs: Mapping[Digest, int], report: Report | None) -> None:
        """Brings blobs; one that fails stops no other."""

        async def one(digest: Digest, size: int) -> None:
            async with self._places, self._upstreams[target.upstream].limits.background():
                if report is not None:
                    report.begin(digest, size)
                fetched = await self._blobs.bring(target, digest)
                if report is not None:
                    report.end(digest, size, "fetched" if fetched else "was here")

        blobs = {digest: size for digest, size in blobs.items() if digest not in EMPTY_BLOBS}
        if report is not None:
            report.expect(sum(blobs.values()))
        outcomes = await asyncio.gather(*(one(*item) for item in blobs.items()), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


async def _told(key: tuple[str, ...], work: Coroutine[None, None, object]) -> None:
    try:
        await work
    except Failure as failure:
        log.warning("prefetch of %s stopped: %s", " ".join(key), failure.message)


async def _parsed(fact: ManifestFact) -> Manifest:
    arguments = fact.content, fact.media_type, algorithm(Digest(fact.digest))
    if fact.size <= PARSED_INLINE:
        return parse_manifest(*arguments)
    return await asyncio.to_thread(parse_manifest, *arguments)
