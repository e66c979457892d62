"""Reading request bodies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyregistry.api.errors import ApiError
from pyregistry.api.pump import ClientGone
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyregistry.api.asgi import Receive
    from pyregistry.api.request import Request


async def pieces(receive: Receive, stall_timeout: float) -> AsyncIterator[bytes]:
    """The body piece by piece, as the server has it.

    Raises ClientGone for a body that ends early or brings nothing for `stall_timeout` seconds: a disconnect is a
    failure, even where an answer could still be sent.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(stall_timeout):
                message = await receive()
        except TimeoutError:
            raise ClientGone from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        body = message.get("body", b"")
        if body:
            yield body


async def whole(request: Request, receive: Receive, *, limit: int, stall_timeout: float, what: str) -> bytes:
    """A small body, held whole. Raises ApiError (413) over `limit` bytes, at once where the length is announced."""
    length = content_length(request)
    parts: list[bytes] = []
    size = 0
    if length is None or length <= limit:
        async for piece in pieces(receive, stall_timeout):
            size += len(piece)
            if size > limit:
                break
            parts.append(piece)
        else:
            return b"".join(parts)
    raise too_large(what, limit)


def content_length(request: Request) -> int | None:
    """The announced length; None if the body is chunked. The server has checked that it is a number."""
    value = request.header(b"content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def too_large(what: str, limit: int) -> ApiError:
    """413 (RFC 9110 section 15.5.14)."""
    return ApiError(ErrorCode.SIZE_INVALID, f"{what} is larger than the {limit} bytes allowed here", status=413)
