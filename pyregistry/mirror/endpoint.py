"""One base URL of an upstream: requests with the right authorization, counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.answers import refusal
from pyregistry.mirror.body import Body
from pyregistry.mirror.pulls import is_spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyregistry._native import Answer, Client
    from pyregistry.mirror.authorization import Authorization
    from pyregistry.mirror.breaker import Breaker
    from pyregistry.mirror.limits import Limits

RequestKind = Literal["manifest", "blob", "tags", "referrers", "token", "base"]

#: Told of every answer's kind and status, 0 if none came. Bodies fetched through a `Source` are not among them: see
#: `Source.statuses`.
OnRequest = Callable[[RequestKind, int], None]

#: A request is sent at most so often: as we know best, with a token that another worker has, with a new one.
_MOST_SENT = 3
#: What object stores answer to an address that has expired or was signed for another method.
_ADDRESS_REFUSED = frozenset({400, 401, 403, 410})
#: Largest answer that is no blob.
LIMIT = 8 << 20
#: Seconds for an answer that is no blob, redirects and all. A question is asked once at a time, over all repositories
#: and workers: an upstream that sends a byte now and then would hold up everybody who has the same one.
DEADLINE = 120.0
#: The same for the question whether it is up.
PROBE_DEADLINE = 30.0


class Endpoint:
    """A base URL and how to be let in there."""

    #: Set by whoever puts the two together, since a breaker probes through `probe`.
    breaker: Breaker

    def __init__(
        self,
        upstream: str,
        base: str,
        client: Client,
        authorization: Authorization,
        *,
        limits: Limits,
        on_request: OnRequest,
    ) -> None:
        self.base = base
        #: For messages: which upstream, and where.
        self.where = f"upstream {upstream} ({base})"
        self.blob_head = True
        self._client = client
        self._authorization = authorization
        self._limits = limits
        self._on_request = on_request

    def url(self, path: str, what: str) -> str:
        """The URL of something (`manifests/latest`) of the repository `path`."""
        return f"{self.base}/v2/{quote(path)}/{quote(what, safe=':/')}"

    async def request(
        self,
        kind: RequestKind,
        method: str,
        url: str,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        *,
        limit: int = LIMIT,
    ) -> Answer:
        """The answer for `url` (of this base), about the repository `path`, whatever its status.

        Raises Failure if there is none, or no token, and at once while the breaker is open.
        """
        self.breaker.check()
        async with self._limits.place():
            self.breaker.check()  # it may have opened while we waited
            try:
                answer = await self._request(kind, method, url, path, headers, limit=limit)
            except Failure as failure:
                self.breaker.failed(failure, url)
                raise
        if (answer.status == 429 and not is_spent(answer)) or answer.status >= 500:
            self.breaker.failed(refusal(answer, f"{method} {url}"), url)
        else:
            self.breaker.answered()
        return answer

    def refusal(self, answer: Answer, what: str) -> Failure:
        """The failure that an answer without success is. Where a redirect led, a refusal is about the address we were
        given: it says nothing of what this upstream lets us have."""
        if answer.status in _ADDRESS_REFUSED and not self._is_ours(answer.url):
            return Failure(Cause.UPSTREAM, f"{what} sent us where the answer was {answer.status}", status=answer.status)
        return refusal(answer, what)

    async def probe(self) -> Failure | None:
        """Asks whether the host is up at all: how it failed, None if it answers."""
        try:
            answer = await self._send("base", "GET", f"{self.base}/v2/", (), None, limit=LIMIT, deadline=PROBE_DEADLINE)
        except Failure as failure:
            return failure
        if answer.status == 429 or (answer.status >= 500 and answer.status != 501):
            return refusal(answer, self.where)
        return None

    async def _request(
        self, kind: RequestKind, method: str, url: str, path: str, headers: Sequence[tuple[str, str]], *, limit: int
    ) -> Answer:
        asked = time.time()
        authorization = await self._authorization.header(path)
        for _ in range(_MOST_SENT - 1):
            answer = await self._send(kind, method, url, headers, authorization, limit=limit)
            if answer.status != 401 or not self._is_ours(answer.url):
                return answer
            challenge = ", ".join(value for name, value in answer.headers if name == "www-authenticate")
            better = await self._authorization.better(challenge, path, authorization, asked)
            if better is None:
                return answer
            authorization = better
        return await self._send(kind, method, url, headers, authorization, limit=limit)

    async def authorize(
        self, path: str, failure: Failure | None = None, sent: str | None = None, asked: float = 0.0
    ) -> str | None:
        """The Authorization for a body asked elsewhere; after a denial, what may do for `sent`. Raises Failure."""
        if failure is None or failure.challenge is None:
            return await self._authorization.header(path)
        better = await self._authorization.better(failure.challenge, path, sent, asked)
        if better is None:
            raise failure
        return better

    def body(self, url: str, authorization: str | None) -> Body:
        """A body at `url`, in its own encoding; nothing is sent yet."""
        limits = self._limits
        source = self._client.source(
            url,
            _headers((), authorization),
            places=limits.places,
            requests=limits.requests,
            bandwidth=limits.bandwidth,
            background_bandwidth=limits.background_bandwidth,
        )
        return Body(source, url, self.breaker, self._limits)

    async def _send(
        self,
        kind: RequestKind,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        authorization: str | None,
        *,
        limit: int,
        deadline: float | None = None,
    ) -> Answer:
        deadline = deadline or DEADLINE
        try:
            async with asyncio.timeout(deadline):
                answer = await self._client.request(method, url, _headers(headers, authorization), limit=limit)
        except TimeoutError:
            self._on_request(kind, 0)
            raise Failure(Cause.TIMEOUT, f"{self.where} has not sent the whole answer within {deadline:g} s") from None
        except Failure as failure:
            self._on_request(kind, failure.status or 0)
            raise
        except ValueError as error:
            raise Failure(Cause.PROTOCOL, f"{self.where} cannot be asked for {url}: {error}") from None
        self._on_request(kind, answer.status)
        return answer

    def _is_ours(self, url: str) -> bool:
        """Whether an answer is this base's own: a challenge from where a redirect led is not for us to meet (I11)."""
        return _origin(url) == _origin(self.base)


def _headers(headers: Sequence[tuple[str, str]], authorization: str | None) -> list[tuple[str, str]]:
    complete = [*headers, ("accept-encoding", "identity")]
    if authorization is not None:
        complete.append(("authorization", authorization))
    return complete


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
