"""Responses: the start of every one, whole small bodies, and the only writer of error bodies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import orjson

from pyregistry.api.headers import etag_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyregistry.api.asgi import Header, Send
    from pyregistry.api.errors import ApiError
    from pyregistry.oci.digests import Digest

ACCEPT_RANGES: Final[Header] = (b"accept-ranges", b"bytes")
#: Old clients take a server without it for no registry of version 2.
API_VERSION: Final[Header] = (b"docker-distribution-api-version", b"registry/2.0")
JSON_TYPE: Final[Header] = (b"content-type", b"application/json")
OCTET_STREAM_TYPE: Final[Header] = (b"content-type", b"application/octet-stream")
#: Content is whatever somebody pushed; no browser shall run it.
NO_SNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")
_EMPTY_LENGTH: Final[Header] = (b"content-length", b"0")

#: Statuses whose responses have neither body nor Content-Length (RFC 9110 sections 15.3.5 and 15.4.5; granian sends on
#: whatever length a 204 is given).
_BODILESS = frozenset({204, 304})


def content_type(media_type: str) -> Header:
    """Content-Type."""
    return b"content-type", media_type.encode("latin-1", "replace")


def content_length(length: int) -> Header:
    """Content-Length."""
    return b"content-length", b"%d" % length


def digest_headers(digest: Digest) -> list[Header]:
    """What every answer for content has: its digest and its ETag."""
    return [(b"docker-content-digest", digest.encode()), (b"etag", etag_of(digest).encode()), NO_SNIFF]


def blob_headers(digest: Digest, length: int | None) -> list[Header]:
    """Headers of a whole blob (or of its HEAD), for ranges to be added to. `length` None: upstream told none."""
    headers = [*digest_headers(digest), OCTET_STREAM_TYPE, ACCEPT_RANGES]
    if length is not None:
        headers.append(content_length(length))
    return headers


async def start(send: Send, status: int, headers: Iterable[Header]) -> None:
    """Sends status and headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def finish(send: Send, body: bytes = b"") -> None:
    """Sends the last (or only) piece of a body. A response that must be seen to fail ends without it."""
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_bytes(send: Send, method: str, status: int, headers: Iterable[Header], body: bytes = b"") -> None:
    """A whole response. Adds Content-Length, but for statuses without a body; HEAD gets the headers alone."""
    fields = list(headers)
    if status in _BODILESS:
        body = b""
    else:
        fields.append(content_length(len(body)) if body else _EMPTY_LENGTH)
    await start(send, status, fields)
    await finish(send, b"" if method == "HEAD" else body)


async def send_json(send: Send, method: str, status: int, headers: Iterable[Header], document: object) -> None:
    """A whole response of JSON. Its Content-Type is application/json unless `headers` has one."""
    fields = list(headers)
    if not any(name == b"content-type" for name, _ in fields):
        fields.append(JSON_TYPE)
    await send_bytes(send, method, status, fields, orjson.dumps(document))


async def send_error(send: Send, method: str, error: ApiError) -> None:
    """The error as the spec's JSON (section Error Codes)."""
    # No cache on the way may keep an error: RFC 9111 lets it keep a 404 or 405 that says nothing of caching.
    headers = [JSON_TYPE, API_VERSION, NO_STORE, *error.headers]
    await send_bytes(send, method, error.status, headers, error_body(error))


def error_body(error: ApiError) -> bytes:
    """The body of an error: code, message, and detail where there is one."""
    entry: dict[str, object] = {"code": error.code.code, "message": error.message}
    if error.detail is not None:
        entry["detail"] = error.detail
    try:
        return orjson.dumps({"errors": [entry]}, default=str)
    except TypeError:
        # A lone surrogate, as Python has in file names that are not UTF-8. This is the last place that may fail.
        return json.dumps({"errors": [entry]}, default=str).encode()
