"""Blobs: pulled whole or in part, conditionally (distribution spec, Pulling blobs; RFC 9110 section 14), deleted."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from pyregistry.api.errors import ApiError
from pyregistry.api.headers import content_range, etag_of, if_none_match, if_range, unsatisfied_range
from pyregistry.api.pump import ONE_MESSAGE
from pyregistry.api.respond import (
    ACCEPT_RANGES,
    blob_headers,
    content_length,
    digest_headers,
    finish,
    send_bytes,
    start,
)
from pyregistry.oci.digests import EMPTY_BLOBS
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.store.answers import Result
from pyregistry.store.content import parse_range

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.asgi import Header
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import BlobRoute
    from pyregistry.oci.digests import Digest
    from pyregistry.store.answers import Opened
    from pyregistry.store.content import Plan


#: The size of a blob, while it is not known.
_ENDLESS = 1 << 62


async def get(api: Api, exchange: Exchange, request: Request, route: BlobRoute) -> None:
    """`/v2/<name>/blobs/<digest>`"""
    digest = route.digest
    exchange.reference = digest
    target = api.target(exchange, route.name)
    namespace = api.namespace(exchange)
    unchanged = if_none_match(request.header(b"if-none-match"), etag_of(digest))
    if digest in EMPTY_BLOBS and not target.hosted:
        # Known without asking anybody, and no secret: it has no bytes.
        exchange.result = Result.HIT
        await send_bytes(
            exchange.send, exchange.method, 304 if unchanged else 200, [*blob_headers(digest, None), *namespace]
        )
        return
    if request.is_head or unchanged:
        size, exchange.result = await api.content(target).blobs.size(target, digest)
        if unchanged:
            await send_bytes(exchange.send, exchange.method, 304, [*digest_headers(digest), *namespace])
            return
        await start(exchange.send, 200, [*blob_headers(digest, size), *namespace])
        await finish(exchange.send)
        return
    opened = await api.content(target).blobs.open(target, digest, _first(request, digest))
    try:
        exchange.result = opened.result
        status, headers, plan = _plan(request, digest, opened)
        await start(exchange.send, status, [*headers, *namespace])
        await _send(api, exchange, request, plan)
    finally:
        opened.close()


async def delete(api: Api, exchange: Exchange, _: Request, route: BlobRoute) -> None:
    """DELETE: the repository no longer answers for the blob; its bytes stay."""
    exchange.reference = route.digest
    target = api.hosted_target(exchange, route.name)
    if not await api.metadata.delete_blob(target.repository, route.digest):
        raise ApiError(ErrorCode.BLOB_UNKNOWN, f"{route.name} has no blob {route.digest}")
    await send_bytes(exchange.send, exchange.method, 202, [])


def _first(request: Request, digest: Digest) -> tuple[int, int] | None:
    """The first range that is asked for, as far as it can be told without the size; None: everything is asked for."""
    asked = request.header(b"range")
    if asked is None or not if_range(request.header(b"if-range"), etag_of(digest)):
        return None
    ranges = parse_range(asked, _ENDLESS)
    if not ranges or ranges == [(0, _ENDLESS)]:
        return None
    start, end = ranges[0]
    # The last bytes are somewhere; and where an open range ends, nobody knows.
    return (0, 1) if start > _ENDLESS // 2 else (start, start + 1 if end == _ENDLESS else end)


async def _send(api: Api, exchange: Exchange, request: Request, plan: Plan) -> None:
    if plan.length is not None and plan.length <= ONE_MESSAGE:
        body = plan.take(ONE_MESSAGE)
        if body is not None and len(body) == plan.length:
            await finish(exchange.send, body)
            return
        if body:
            await exchange.send({"type": "http.response.body", "body": body, "more_body": True})
    await api.pumps.send(plan, exchange.send, exchange.receive, request.connection)


def _plan(request: Request, digest: Digest, opened: Opened) -> tuple[int, list[Header], Plan]:
    """Status, headers and body of the answer. Raises ApiError RANGE_INVALID (416)."""
    reader = opened.reader
    if reader is None:
        # Passed through, since storage is full: a body that comes once, in order; Range may be ignored (RFC 9110 14.2).
        plan = opened.plan
        assert plan is not None
        return 200, blob_headers(digest, plan.length), plan
    size = reader.size
    asked = request.header(b"range")
    ranges = None
    if asked is not None and size is not None and if_range(request.header(b"if-range"), etag_of(digest)):
        ranges = parse_range(asked, size)
        if ranges and sum(end - first for first, end in ranges) > size:
            # They overlap. A request of some bytes must not bring the blob a thousand times (RFC 9110 section 14.2).
            ranges = None
    if ranges is None:
        plan = reader.plan()
        return 200, blob_headers(digest, plan.length), plan
    if not ranges:
        raise ApiError(
            ErrorCode.RANGE_INVALID,
            f"{(asked or '')[:100]} is beyond the {size} bytes of {digest}",
            headers=((b"content-range", unsatisfied_range(size or 0)),),
        )
    if len(ranges) == 1:
        ((first, end),) = ranges
        plan = reader.plan(ranges)
        return 206, [*blob_headers(digest, plan.length), (b"content-range", content_range(first, end, size or 0))], plan
    boundary = secrets.token_hex(16)
    plan = reader.plan(ranges, boundary)
    headers: list[Header] = [
        *digest_headers(digest),
        ACCEPT_RANGES,
        (b"content-type", b"multipart/byteranges; boundary=" + boundary.encode()),
        content_length(plan.length or 0),
    ]
    return 206, headers, plan
