"""The distribution API: every request goes through `Api.handle`, which alone turns errors into responses."""

from __future__ import annotations

import logging
import tempfile
import time
from typing import TYPE_CHECKING, Any

from pyregistry.api import blobs, catalog, health, manifests, prefetch, referrers, tags, uploads
from pyregistry.api.errors import ApiError, from_failure
from pyregistry.api.exchange import Exchange
from pyregistry.api.held import HeldBodies
from pyregistry.api.pump import ClientGone, Pumps
from pyregistry.api.request import Request
from pyregistry.api.respond import API_VERSION, send_error, send_json
from pyregistry.api.routes import Endpoint, match, method_not_allowed
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.namespaces import UnknownRegistry
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.policy.immutability import ImmutableTags
from pyregistry.store.answers import Result
from pyregistry.store.hosted import Hosted
from pyregistry.store.pushes import Pushes
from pyregistry.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pyregistry.api.asgi import Header, Receive, Scope, Send
    from pyregistry.config import Config
    from pyregistry.mirror.mirror import Mirror
    from pyregistry.store.content import Store
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target
    from pyregistry.telemetry.metrics import Kind, Metrics

log = logging.getLogger(__name__)

_UNKNOWN = {
    Endpoint.BLOB: ErrorCode.BLOB_UNKNOWN,
    Endpoint.TAGS: ErrorCode.NAME_UNKNOWN,
}
#: Routes whose answers are content of an upstream, which its metrics count.
_KINDS: dict[str, Kind] = {"manifest": "manifest", "blob": "blob", "tags": "tags", "referrers": "referrers"}


class Api:
    """Answers requests from one worker's store, database and mirror."""

    def __init__(self, config: Config, *, store: Store, metadata: Metadata, mirror: Mirror, metrics: Metrics) -> None:
        self.store = store
        self.metadata = metadata
        self.mirror = mirror
        self.config = config
        self.hosted = Hosted(store, metadata)
        self.pushes = Pushes(store, metadata)
        self.immutable = ImmutableTags(config.policy.immutable_tags)
        self.stall_timeout = config.http.stall_timeout.total_seconds()
        self.pumps = Pumps(self.stall_timeout)
        self.held = HeldBodies(self.pumps)
        self._metrics = metrics
        self._limit = config.http.max_requests
        self._root = config.storage.root
        self._in_progress = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Never raises: what goes wrong is answered, or the response ends short."""
        exchange = Exchange(scope["method"], receive, send)
        self._in_progress += 1
        self._metrics.request_began()
        try:
            await self._answer(exchange, scope)
        except ClientGone:
            pass
        except Exception as error:  # noqa: BLE001  the one place that answers every error
            await self._fail(exchange, error)
        finally:
            self._in_progress -= 1
            self._account(exchange)

    def target(self, exchange: Exchange, name: str) -> Target:
        """The repository that a request is about. Raises ApiError NAME_UNKNOWN."""
        request = exchange.request
        ns = request.query("ns") if request is not None else None
        try:
            exchange.target = self.mirror.namespaces.resolve(name, ns)
        except UnknownRegistry as error:
            raise ApiError(ErrorCode.NAME_UNKNOWN, str(error), detail={"name": name}) from None
        return exchange.target

    def hosted_target(self, exchange: Exchange, name: str) -> Target:
        """The hosted repository that a push or a deletion is about. Raises ApiError UNSUPPORTED (405) for a mirrored
        one.
        """
        target = self.target(exchange, name)
        if not target.hosted:
            raise method_not_allowed(
                exchange.method,
                Endpoint(exchange.route),
                f"{name} is mirrored; push to its upstream, or name it under `hosted` in the configuration",
            )
        return target

    def content(self, target: Target) -> Mirror | Hosted:
        """What answers for a repository."""
        return self.hosted if target.hosted else self.mirror

    def check_storage(self) -> None:
        """Writes and removes a file on the storage root. Blocks. Raises OSError."""
        with tempfile.TemporaryFile(dir=self._root / "tmp") as probe:
            probe.write(b"ready?")

    @staticmethod
    def namespace(exchange: Exchange) -> tuple[Header, ...]:
        """The answer to a client that named its registry by `?ns=` (distribution spec, section Registry Proxying)."""
        request, target = exchange.request, exchange.target
        if request is None or target is None or not request.query_string or request.query("ns") is None:
            return ()
        return ((b"oci-namespace", target.upstream.encode()),)

    async def _answer(self, exchange: Exchange, scope: Scope) -> None:
        exchange.request = request = Request(scope)
        route = match(exchange.method, request.raw_path)
        exchange.route = route.endpoint.value
        if self._in_progress > self._limit and route.endpoint not in (Endpoint.LIVEZ, Endpoint.READYZ):
            raise ApiError(
                ErrorCode.UNAVAILABLE,
                "too many requests at once (http.max_requests)",
                headers=((b"retry-after", b"1"),),
            )
        handler = _HANDLERS.get((route.endpoint, exchange.method)) or _READERS[route.endpoint]
        await handler(self, exchange, request, route)

    async def _fail(self, exchange: Exchange, error: Exception) -> None:
        exchange.error = str(error)
        if isinstance(error, Failure):
            exchange.cause = error.cause
            if error.cause in (Cause.STORAGE, Cause.STORAGE_FULL):
                # Clients are not told paths of ours.
                log.error("%s of %s: %s", exchange.route, self._what(exchange), error.message)
        elif not isinstance(error, ApiError):
            log.error("%s request failed", exchange.route, exc_info=error)
        if exchange.result is not Result.STALE:
            exchange.result = Result.ERROR
        if exchange.begun():
            # The response has begun: ending it without its final message is what tells the client (I4).
            log.warning("response of %s cut short after %d bytes: %s", self._what(exchange), exchange.sent, error)
            return
        await send_error(exchange.send, exchange.method, self._error(exchange, error))

    def _error(self, exchange: Exchange, error: Exception) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, Failure):
            target = exchange.target
            upstream = self.mirror.upstreams.get(target.upstream) if target is not None else None
            return from_failure(
                error,
                what=self._what(exchange),
                anonymous=upstream is None or upstream.anonymous,
                unknown=_UNKNOWN.get(Endpoint(exchange.route), ErrorCode.MANIFEST_UNKNOWN),
            )
        return ApiError(ErrorCode.UNKNOWN, "internal error; the server's log has the cause")

    @staticmethod
    def _what(exchange: Exchange) -> str:
        repository = exchange.target.repository if exchange.target else ""
        return f"{repository} {exchange.reference or ''}".strip() or exchange.route

    def _account(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        self._metrics.request_ended(
            exchange.route,
            exchange.method,
            exchange.status,
            seconds,
            first_byte=exchange.first_byte,
            sent=exchange.sent,
        )
        target, request, result = exchange.target, exchange.request, exchange.result
        if target is not None and not target.hosted and exchange.route in _KINDS:
            upstream = self._metrics.upstream(target.upstream)
            if result is not None:
                upstream.request(_KINDS[exchange.route], result.value)
            if exchange.status < 400:  # an error's body is no content that upstream was spared
                upstream.served(exchange.sent)
        logs.access(
            method=exchange.method,
            route=exchange.route,
            status=exchange.status,
            seconds=seconds,
            sent=exchange.sent,
            client=request.client if request else None,
            repository=target.repository if target else None,
            reference=exchange.reference,
            upstream=(target.upstream or None) if target else None,
            result=result.value if result else None,
            user_agent=request.header(b"user-agent") if request else None,
            cause=exchange.cause.name.lower() if exchange.cause else "client_gone" if not exchange.ended else None,
            error=exchange.error,
        )


async def _base(_: Api, exchange: Exchange, __: Request, ___: Any) -> None:
    await send_json(exchange.send, exchange.method, 200, (API_VERSION,), {})


if TYPE_CHECKING:
    Handler = Callable[[Api, Exchange, Request, Any], Awaitable[None]]

#: Methods that change something; the routes have let no other method pass.
_HANDLERS: Mapping[tuple[Endpoint, str], Handler] = {
    (Endpoint.MANIFEST, "PUT"): manifests.put,
    (Endpoint.MANIFEST, "DELETE"): manifests.delete,
    (Endpoint.BLOB, "DELETE"): blobs.delete,
    (Endpoint.UPLOADS, "POST"): uploads.begin,
    (Endpoint.PREFETCH, "POST"): prefetch.begin,
    (Endpoint.UPLOAD, "GET"): uploads.go_on,
    (Endpoint.UPLOAD, "PATCH"): uploads.go_on,
    (Endpoint.UPLOAD, "PUT"): uploads.go_on,
    (Endpoint.UPLOAD, "DELETE"): uploads.go_on,
}
#: GET and HEAD.
_READERS: Mapping[Endpoint, Handler] = {
    Endpoint.BASE: _base,
    Endpoint.MANIFEST: manifests.get,
    Endpoint.BLOB: blobs.get,
    Endpoint.CATALOG: catalog.answer,
    Endpoint.TAGS: tags.answer,
    Endpoint.REFERRERS: referrers.answer,
    Endpoint.LIVEZ: health.live,
    Endpoint.READYZ: health.ready,
}
