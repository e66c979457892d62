"""Manifests and tags through the mirror: which digest a tag is, and a manifest's bytes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.freshness import Age
from pyregistry.oci.digests import algorithm, parse_digest
from pyregistry.oci.manifests import PARSED_INLINE, ManifestError, UnsupportedManifest, parse_manifest
from pyregistry.store.answers import Found, Result
from pyregistry.store.metadata import ManifestFact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from pyregistry.mirror.freshness import Freshness, FreshnessRules
    from pyregistry.mirror.gaps import Gaps
    from pyregistry.mirror.single_flight import SingleFlight
    from pyregistry.mirror.upstream import FetchedManifest, Upstream
    from pyregistry.oci.digests import Digest
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata import Metadata, TagFact
    from pyregistry.store.target import Target

log = logging.getLogger(__name__)


class Manifests:
    """Manifests of mirrored repositories, by tag and by digest."""

    def __init__(
        self,
        metadata: Metadata,
        upstreams: Mapping[str, Upstream],
        flights: SingleFlight,
        rules: FreshnessRules,
        gaps: Gaps,
    ) -> None:
        self._metadata = metadata
        self._upstreams = upstreams
        self._flights = flights
        self._rules = rules
        self._gaps = gaps

    async def by_digest(self, target: Target, digest: Digest) -> Found:
        """The manifest of a digest, if the repository's upstream has it there. Raises Failure."""
        known = await self._metadata.manifest(target.repository, digest)
        if known is not None:
            await self._gaps.look(target, known)
            return Found(known, Result.HIT)
        missing = await self._metadata.checked(target.repository, "manifest", digest)
        if missing is not None and self._rules.of_list(target).of_missing(time.time() - missing) is Age.FRESH:
            raise _not_found(target, digest)
        brought = await self._flights.run(
            f"manifest {target.repository} {digest}", lambda: self._bring(target, digest, None, time.time())
        )
        return Found(brought, Result.MISS)

    async def by_tag(self, target: Target, tag: str) -> Found:
        """The manifest a tag names, as fresh as the configuration asks. Raises Failure."""
        rules = self._rules.of_tag(target, tag)
        fact = await self._metadata.tag(target.repository, tag)
        age = _age(fact, rules)
        known = None
        if fact is not None and fact.digest is not None and fact.stored:
            usable = age is not Age.EXPIRED if fact.found else rules.keep_missing
            known = await self._metadata.manifest(target.repository, fact.digest) if usable else None
        if fact is not None and not fact.found and age is Age.FRESH:
            if known is None:
                raise _not_found(target, tag)
            return Found(known, Result.STALE, _not_found(target, tag))
        if known is None:
            return Found(await self._ask(target, tag), Result.MISS)
        await self._gaps.look(target, known)
        if age is Age.FRESH:
            return Found(known, Result.HIT)
        return await self._revalidated(target, tag, known, age, rules)

    async def refresh(self, target: Target, tag: str) -> ManifestFact:
        """Asks upstream what `tag` is now, whatever its age. Raises Failure."""
        await self._metadata.expire(target.repository, "tag", tag)
        return await self._ask(target, tag, spare=False)

    async def _revalidated(self, target: Target, tag: str, known: ManifestFact, age: Age, rules: Freshness) -> Found:
        """A known tag past its freshness: upstream has its chance, in the background or for `answer_within`."""
        upstream = self._upstreams[target.upstream]
        refused = upstream.bases.refusal()
        if refused is not None:
            return Found(known, Result.STALE, refused)
        doubt = upstream.bases.doubt()
        question = asyncio.ensure_future(self._ask(target, tag))
        question.add_done_callback(_retrieve)
        if age is Age.REVALIDATE:
            return Found(known, Result.HIT)
        if doubt is not None:
            # The answer tells whether it has recovered; nobody waits for it who need not.
            return Found(known, Result.STALE, doubt)
        done, _ = await asyncio.wait((question,), timeout=rules.answer_within)
        if not done:
            failure = Failure(Cause.TIMEOUT, f"{target.upstream} has not answered within {rules.answer_within:g} s")
            upstream.bases.overdue(failure)
            return Found(known, Result.STALE, failure)
        error = question.exception()
        if error is None:
            answer = question.result()
            return Found(answer, Result.HIT if answer.digest == known.digest else Result.MISS)
        # A confirmed 404 takes the tag away, by policy; an outage, a limit or a refusal (401, 403) never does.
        if not isinstance(error, Failure) or (error.cause is Cause.NOT_FOUND and not rules.keep_missing):
            raise error
        return Found(known, Result.STALE, error)

    def _ask(self, target: Target, tag: str, *, spare: bool = True) -> Awaitable[ManifestFact]:
        return self._flights.run(f"tag {target.repository} {tag}", lambda: self._resolve(target, tag, spare))

    async def _resolve(self, target: Target, tag: str, spare: bool) -> ManifestFact:
        """One upstream HEAD, and a GET by digest where the tag moved. Another worker may have asked while we waited.

        `spare`: no GET for what can be served stale if few pulls are left.
        """
        rules = self._rules.of_tag(target, tag)
        fact = await self._metadata.tag(target.repository, tag)
        if fact is not None and _age(fact, rules) is Age.FRESH:
            if not fact.found:
                raise _not_found(target, tag)
            known = await self._metadata.manifest(target.repository, fact.digest or "")
            if known is not None:
                return known
        upstream = self._upstreams[target.upstream]
        spare = spare and fact is not None and fact.found and fact.stored and _age(fact, rules) is not Age.EXPIRED
        now = time.time()
        try:
            head = await upstream.head_manifest(target.path, tag)
            if head.digest is None:
                if spare and upstream.pulls.is_low:
                    raise upstream.pulls.low()
                return await self._keep(target, await upstream.get_manifest(target.path, tag), None, tag, now)
            digest = parse_digest(head.digest)
            known = await self._metadata.manifest(target.repository, digest)
            if known is None:
                if spare and upstream.pulls.is_low:
                    raise upstream.pulls.low()
                return await self._named(target, digest, tag, now)
            if fact is not None and fact.digest == digest:
                await self._kept(self._metadata.confirm_tag(target.repository, tag, now))
            else:
                await self._vouch(target, digest, tag, now)
            return known
        except Failure as failure:
            if failure.cause is Cause.NOT_FOUND:
                drop = not rules.keep_missing
                await self._kept(
                    self._metadata.tag_missing(target.repository, tag, now, drop=drop, upstream=target.upstream)
                )
            raise

    async def _named(self, target: Target, digest: Digest, tag: str, now: float) -> ManifestFact:
        """The manifest that upstream says the tag is. That it does not have it is no word against the tag."""
        try:
            return await self._bring(target, digest, tag, now)
        except Failure as failure:
            if failure.cause is not Cause.NOT_FOUND or failure.status is None:
                raise
            raise Failure(
                Cause.PROTOCOL, f"{target.upstream} says {target.path} {tag} is {digest}, which it does not have"
            ) from failure

    async def _bring(self, target: Target, digest: Digest, tag: str | None, now: float) -> ManifestFact:
        """A manifest this repository has no row for. Its bytes come from upstream once for all repositories."""
        upstream = self._upstreams[target.upstream]
        async with self._flights.exclusive(f"manifest {digest}"):
            known = await self._metadata.known_manifest(digest)
            try:
                if known is None:
                    return await self._keep(target, await upstream.get_manifest(target.path, digest), digest, tag, now)
                if tag is None:
                    # With a tag, upstream's HEAD has named this digest already.
                    await upstream.head_manifest(target.path, digest)
            except Failure as failure:
                if failure.cause is Cause.NOT_FOUND and tag is None:
                    await self._kept(
                        self._metadata.missing(target.repository, "manifest", digest, now, upstream=target.upstream)
                    )
                raise
            await self._vouch(target, digest, tag, now)
            return known

    async def _keep(
        self, target: Target, fetched: FetchedManifest, digest: Digest | None, tag: str | None, now: float
    ) -> ManifestFact:
        """Checks what upstream sent (I7), stores it, and answers it even where storing failed."""
        named = digest or (parse_digest(fetched.digest) if fetched.digest else None)
        try:
            manifest = await _parsed(fetched.content, fetched.media_type, algorithm(named) if named else "sha256")
        except UnsupportedManifest as error:
            raise Failure(Cause.NOT_FOUND, f"{target.path} at {target.upstream}: {error}") from error
        except ManifestError as error:
            raise Failure(
                Cause.PROTOCOL, f"{target.upstream} sent no valid manifest of {target.path}: {error}"
            ) from error
        if named is not None and manifest.digest != named:
            raise Failure(
                Cause.DIGEST_MISMATCH,
                f"{target.upstream} sent a manifest of {target.path} that hashes to {manifest.digest}, not {named}",
            )
        await self._kept(
            self._metadata.store_manifest(
                target.repository, manifest, upstream=target.upstream, tag=tag, checked_at=now
            )
        )
        return ManifestFact(manifest.digest, manifest.media_type, manifest.size, manifest.content)

    async def _vouch(self, target: Target, digest: Digest, tag: str | None, now: float) -> None:
        await self._kept(
            self._metadata.vouch_manifest(target.repository, digest, upstream=target.upstream, tag=tag, checked_at=now)
        )

    @staticmethod
    async def _kept(write: Awaitable[object]) -> None:
        """A failed SQL write never fails a pull: the answer is right, only the next request asks again."""
        try:
            await write
        except Failure as failure:
            log.warning("not written: %s", failure.message)


def _age(fact: TagFact | None, rules: Freshness) -> Age:
    if fact is None:
        return Age.EXPIRED
    age = time.time() - fact.checked_at
    if not fact.checked_at and not rules.immutable:
        # `refresh` wants upstream asked; what was confirmed before may still be served if upstream fails.
        return rules.of_stale(time.time() - fact.confirmed_at)
    return rules.of_found(age) if fact.found else rules.of_missing(age)


def _not_found(target: Target, reference: str) -> Failure:
    return Failure(Cause.NOT_FOUND, f"{target.upstream} has no {target.path} {reference}", status=404)


async def _parsed(content: bytes, media_type: str | None, algorithm: str) -> Manifest:
    """Usual manifests take microseconds; what takes longer must not hold up the loop."""
    if len(content) <= PARSED_INLINE:
        return parse_manifest(content, media_type, algorithm)
    return await asyncio.to_thread(parse_manifest, content, media_type, algorithm)


def _retrieve(task: asyncio.Future[ManifestFact]) -> None:
    """Nobody may be left to look at the outcome of a background question; its failure was counted where it happened."""
    if not task.cancelled():
        task.exception()
