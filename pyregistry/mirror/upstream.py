"""One registry we mirror, as the rest of pyregistry sees it: manifests, blobs, tags and referrers by repository path.

Where to send (the `urls` in order), who we are (`authorization`, `tokens`, `credentials`) and what an answer means are
kept apart; this file joins them. Every method raises `pyregistry.errors.Failure` and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time
from typing import TYPE_CHECKING

from pyregistry.config import BreakerConfig
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.answers import parse_size, parse_total, refusal
from pyregistry.mirror.authorization import Authorization
from pyregistry.mirror.bases import Bases
from pyregistry.mirror.breaker import Breaker, BreakerRules
from pyregistry.mirror.clients import client_of
from pyregistry.mirror.credentials import Credentials
from pyregistry.mirror.endpoint import Endpoint
from pyregistry.mirror.limits import Limits
from pyregistry.mirror.pages import list_referrers, list_tags
from pyregistry.mirror.pulls import Pulls
from pyregistry.mirror.secret import shared_secret
from pyregistry.mirror.single_flight import SingleFlight
from pyregistry.mirror.token_files import TokenFiles
from pyregistry.mirror.token_realm import TokenRealm
from pyregistry.mirror.tokens import Tokens
from pyregistry.mirror.trouble import TroubleFile
from pyregistry.oci.digests import InvalidDigest, parse_digest
from pyregistry.oci.media_types import MANIFEST_ACCEPT, essence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyregistry._native import Answer, Store
    from pyregistry.config import UpstreamConfig
    from pyregistry.mirror.body import Body
    from pyregistry.mirror.endpoint import OnRequest
    from pyregistry.mirror.quota import Quota
    from pyregistry.oci.descriptors import Descriptor

_ACCEPT = tuple(("accept", media_type) for media_type in MANIFEST_ACCEPT)
#: Bodies under way whose authorization is remembered; above it the oldest are forgotten.
_MOST_BODIES = 4096
#: Largest answer to a one-byte range that is read: room for an error's body.
_PROBE_LIMIT = 64 << 10


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What HEAD tells of a manifest; None where upstream does not tell, or does not answer HEAD: then GET it."""

    digest: str | None
    media_type: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest's bytes as received, unchecked, with what upstream's headers say of them (without parameters)."""

    content: bytes = field(repr=False)
    media_type: str | None
    digest: str | None


class Upstream:
    """One configured upstream. Made once a process; safe for any number of tasks of its loop."""

    def __init__(
        self,
        name: str,
        config: UpstreamConfig,
        *,
        store: Store,
        run_dir: Path,
        on_request: OnRequest | None = None,
        breaker: BreakerConfig | None = None,
        on_quota: Callable[[int], None] | None = None,
        on_breakers: Callable[[int], None] | None = None,
    ) -> None:
        """`store` gives the locks that make a token's fetch one over all workers, `run_dir` (`<root>/run`) the place to
        share it; `on_quota` is told of the pulls left, `on_breakers` of the base URLs that are not asked. Nothing is
        sent yet. ValueError names an unreadable `ca_file` or client certificate."""
        self.name = name
        self.prefetches_layers = config.prefetch == "layers"
        self.pulls = Pulls(name, config.quota_reserve, on_quota)
        self._on_breakers = on_breakers
        self._credentials = Credentials(config)
        self._flights = SingleFlight(store, shared_secret(run_dir))
        client = client_of(config)
        count = on_request or _uncounted
        tokens = Tokens(TokenRealm(client, on_request=count), TokenFiles(run_dir / "tokens"), self._flights)
        self.limits = limits = Limits(name, config, flights=self._flights, run_dir=run_dir)
        rules = BreakerRules.of(breaker or BreakerConfig())

        def endpoint(base: str) -> Endpoint:
            authorization = Authorization(
                name, base, realms=config.realms, credentials=self._credentials, tokens=tokens
            )
            made = Endpoint(name, base, client, authorization, limits=limits, on_request=count)
            made.breaker = Breaker(
                name,
                base,
                rules,
                file=TroubleFile(run_dir, name, base),
                lock=lambda: self._flights.try_exclusive(f"breaker {name} {base}"),
                probe=made.probe,
                on_change=self._changed,
            )
            return made

        self.bases = Bases([endpoint(base) for base in config.bases])
        self._changed()
        self._sent: dict[tuple[int, str, str], tuple[str | None, float]] = {}

    @property
    def anonymous(self) -> bool:
        """Whether we have no credentials to send: clients are then told 404 for a 401 or 403."""
        return self._credentials.anonymous

    @property
    def quota(self) -> Quota | None:
        """The last pull quota upstream told (Docker Hub's `ratelimit-*` headers)."""
        return self.pulls.quota

    @property
    def base_count(self) -> int:
        """Number of base URLs; `blob_body` takes an index below it (higher ones wrap around)."""
        return len(self.bases.endpoints)

    async def head_manifest(self, path: str, reference: str) -> ManifestHead:
        """What upstream says of a manifest without sending it (Docker Hub does not count it as a pull)."""

        async def ask(endpoint: Endpoint) -> ManifestHead:
            answer = await self._manifest(endpoint, "HEAD", path, reference)
            if answer.status in {405, 501}:
                return ManifestHead(None, None, None)
            if answer.status != 200:
                raise refusal(answer, _manifest_at(path, reference, endpoint))
            return ManifestHead(_digest(answer), _media_type(answer), parse_size(answer.header("content-length")))

        return await self.bases.ask(ask)

    async def get_manifest(self, path: str, reference: str) -> FetchedManifest:
        """A manifest, 8 MiB at most."""

        async def ask(endpoint: Endpoint) -> FetchedManifest:
            answer = await self._manifest(endpoint, "GET", path, reference)
            if answer.status != 200:
                raise refusal(answer, _manifest_at(path, reference, endpoint))
            return FetchedManifest(answer.body, _media_type(answer), _digest(answer))

        return await self.bases.ask(ask)

    async def stat_blob(self, path: str, digest: str) -> int | None:
        """The size of a blob that is there, None if upstream has it but tells no size.

        By HEAD, or by a one-byte range where HEAD is refused: ECR Public answers 401 to it, Harbor's proxy 404 to what
        it would give to a GET, and an object store 403 if a redirect's address was signed for GET alone.
        """

        async def ask(endpoint: Endpoint) -> int | None:
            url = endpoint.url(path, f"blobs/{digest}")
            if endpoint.blob_head:
                answer = await endpoint.request("blob", "HEAD", url, path)
                if answer.status == 200 and (size := parse_size(answer.header("content-length"))) is not None:
                    return size
                if answer.status == 429 or (answer.status >= 500 and answer.status != 501):
                    raise endpoint.refusal(answer, f"blob {digest} of {path} at {endpoint.where}")
                refused = answer.status not in {200, 404}
            else:
                refused = False
            size = await self._probe(endpoint, url, path, digest)
            if refused:
                # It has just answered a GET for what it refused to a HEAD.
                endpoint.blob_head = False
            return size

        return await self.bases.ask(ask)

    async def blob_body(self, path: str, digest: str, *, base_index: int = 0, failure: Failure | None = None) -> Body:
        """The blob's body at one base URL, with the authorization known so far; nothing is asked yet.

        After a run that ended with DENIED call it again with that `failure`: if its challenge can be met with something
        better than what was sent, the new body carries it; else the failure is raised again. So a driver needs no
        count of its own for denials. After UNREACHABLE, TIMEOUT or UPSTREAM call it with the next `base_index`. Base
        URLs whose breaker is open are passed over; raises Failure if all are.
        """
        if failure is not None and failure.cause is Cause.DENIED and failure.challenge is None:
            raise failure
        index = self.bases.index(base_index)
        endpoint = self.bases.endpoints[index]
        body = (index, path, digest)
        asked = time()
        if failure is not None and failure.cause is Cause.DENIED:
            authorization = await endpoint.authorize(path, failure, *self._sent.get(body, (None, 0.0)))
        else:
            authorization = await endpoint.authorize(path)
        self._sent.pop(body, None)
        self._sent[body] = (authorization, asked)
        if len(self._sent) > _MOST_BODIES:
            del self._sent[next(iter(self._sent))]
        return endpoint.body(endpoint.url(path, f"blobs/{digest}"), authorization)

    async def tags(self, path: str) -> list[str]:
        """All tags, over all pages, in the order upstream tells them."""
        return await self.bases.ask(lambda endpoint: list_tags(endpoint, path))

    async def referrers(self, path: str, digest: str) -> list[Descriptor]:
        """Descriptors of the manifests whose subject is `digest`: by the API, else by the tag schema; [] if none."""
        return await self.bases.ask(lambda endpoint: list_referrers(endpoint, path, digest))

    async def close(self) -> None:
        """Ends background work (token renewals, probes)."""
        await self._flights.close()
        await self.bases.close()

    def _changed(self) -> None:
        if self._on_breakers is not None:
            self._on_breakers(self.bases.shut)

    async def _manifest(self, endpoint: Endpoint, method: str, path: str, reference: str) -> Answer:
        self.pulls.check()
        answer = await endpoint.request("manifest", method, endpoint.url(path, f"manifests/{reference}"), path, _ACCEPT)
        self.pulls.heard(answer)
        return answer

    async def _probe(self, endpoint: Endpoint, url: str, path: str, digest: str) -> int | None:
        try:
            answer = await endpoint.request("blob", "GET", url, path, [("range", "bytes=0-0")], limit=_PROBE_LIMIT)
        except Failure as failure:
            if failure.cause is Cause.TOO_LARGE:
                # No range, but a body: it is there.
                return None
            raise
        if answer.status in {206, 416}:
            # 416: it has no first byte.
            return parse_total(answer.header("content-range"))
        if answer.status == 200:
            return len(answer.body)
        raise endpoint.refusal(answer, f"blob {digest} of {path} at {endpoint.where}")


def _manifest_at(path: str, reference: str, endpoint: Endpoint) -> str:
    return f"manifest {reference} of {path} at {endpoint.where}"


def _digest(answer: Answer) -> str | None:
    try:
        return parse_digest((answer.header("docker-content-digest") or "").strip())
    except InvalidDigest:
        return None


def _media_type(answer: Answer) -> str | None:
    return essence(answer.header("content-type") or "") or None


def _uncounted(kind: str, status: int) -> None:
    """For those who do not count."""
