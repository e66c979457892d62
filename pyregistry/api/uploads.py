"""Uploads of blobs (distribution spec, section Pushing blobs): monolithic, chunked, streamed, mounted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyregistry.api import body
from pyregistry.api.errors import ApiError
from pyregistry.api.pump import ClientGone
from pyregistry.api.respond import send_bytes
from pyregistry.api.routes import checked_digest
from pyregistry.errors import Cause, Failure
from pyregistry.oci.digests import ALGORITHMS, algorithm
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.store.pushes import Busy

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.asgi import Header
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import UploadRoute, UploadsRoute
    from pyregistry.oci.digests import Digest
    from pyregistry.store.content import Upload
    from pyregistry.store.target import Target

#: `0-1023` as the spec has it, `bytes 0-1023/*` as HTTP has it.
_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?")


async def begin(api: Api, exchange: Exchange, request: Request, route: UploadsRoute) -> None:
    """POST `/v2/<name>/blobs/uploads/`: mount, the whole blob, or a new upload."""
    target = api.hosted_target(exchange, route.name)
    mount = request.query("mount")
    if mount is not None:
        wanted = checked_digest(mount)
        if await _mounted(api, target, wanted, request.query("from")):
            await _created(exchange, route.name, wanted)
            return
    announced = request.query("digest")
    digest = checked_digest(announced) if announced is not None else None
    chosen = algorithm(digest) if digest is not None else request.query("digest-algorithm") or "sha256"
    if chosen not in ALGORITHMS:
        raise ApiError(ErrorCode.UNSUPPORTED, f"digest algorithm {chosen[:40]!r} is not supported", status=400)
    upload = await api.pushes.begin(target.repository, chosen)
    try:
        if digest is not None:
            await _take(api, exchange, request, upload)
            await _commit(api, target, upload, digest)
            await _created(exchange, route.name, digest)
            return
        await upload.flush()
    finally:
        upload.release()
    headers = _progress(route.name, upload.session, 0)
    if api.config.storage.chunk_min:
        headers.append((b"oci-chunk-min-length", b"%d" % api.config.storage.chunk_min))
    await send_bytes(exchange.send, exchange.method, 202, headers)


async def go_on(api: Api, exchange: Exchange, request: Request, route: UploadRoute) -> None:
    """`/v2/<name>/blobs/uploads/<session>`: PATCH a chunk, PUT the last one with the digest, GET and DELETE."""
    target = api.hosted_target(exchange, route.name)
    exchange.reference = route.session
    try:
        if exchange.method == "GET":
            offset = await api.pushes.offset(target.repository, route.session)
            await send_bytes(exchange.send, exchange.method, 204, _progress(route.name, route.session, offset))
        elif exchange.method == "DELETE":
            await api.pushes.cancel(target.repository, route.session)
            await send_bytes(exchange.send, exchange.method, 204, [])
        else:
            digest = _final(request) if exchange.method == "PUT" else None
            upload = await api.pushes.resume(target.repository, route.session)
            try:
                _in_order(request, route, upload)
                await _take(api, exchange, request, upload)
                if digest is not None:
                    await _commit(api, target, upload, digest)
                    await _created(exchange, route.name, digest)
                    return
                offset = await upload.flush()
            finally:
                upload.release()
            await send_bytes(exchange.send, exchange.method, 202, _progress(route.name, route.session, offset))
    except Busy:
        raise ApiError(
            ErrorCode.BLOB_UPLOAD_INVALID,
            "another request is writing this upload; ask for its Range and go on",
            status=409,
        ) from None
    except Failure as failure:
        if failure.cause is Cause.NOT_FOUND:
            raise ApiError(ErrorCode.BLOB_UPLOAD_UNKNOWN, failure.message) from None
        raise


async def _mounted(api: Api, target: Target, digest: Digest, source: str | None) -> bool:
    """Whether the repository has the blob now because another one has it (section Mounting a blob)."""
    if source is None:
        return await api.pushes.mount(target.repository, digest, None)
    try:
        known = api.mirror.namespaces.resolve(source, None)
    except LookupError:
        return False
    return await api.pushes.mount(target.repository, digest, known)


async def _take(api: Api, exchange: Exchange, request: Request, upload: Upload) -> None:
    """Takes the body. What came before the client broke off is kept for it to go on from."""
    limit = api.config.storage.blob_limit
    length = body.content_length(request)
    if limit is not None and length is not None and upload.offset + length > limit:
        raise body.too_large("the blob", limit)
    try:
        async for piece in body.pieces(exchange.receive, api.stall_timeout):
            if limit is not None and upload.offset + len(piece) > limit:
                raise body.too_large("the blob", limit)
            waiting = upload.write(piece)
            if waiting is not None:
                await waiting
    except ClientGone:
        await upload.flush()
        raise


async def _commit(api: Api, target: Target, upload: Upload, digest: Digest) -> None:
    try:
        await api.pushes.commit(target.repository, upload, digest)
    except Failure as failure:
        if failure.cause is not Cause.DIGEST_MISMATCH:
            raise
        raise ApiError(ErrorCode.DIGEST_INVALID, failure.message, detail={"digest": digest}) from None


async def _created(exchange: Exchange, name: str, digest: Digest) -> None:
    headers = [(b"location", f"/v2/{name}/blobs/{digest}".encode()), (b"docker-content-digest", digest.encode())]
    await send_bytes(exchange.send, exchange.method, 201, headers)


def _progress(name: str, session: str, offset: int) -> list[Header]:
    """Where to go on, and from which byte. An empty upload says `0-0`, as distribution does and clients expect."""
    return [
        (b"location", f"/v2/{name}/blobs/uploads/{session}".encode()),
        (b"range", b"0-%d" % max(0, offset - 1)),
        (b"docker-upload-uuid", session.encode()),
    ]


def _in_order(request: Request, route: UploadRoute, upload: Upload) -> None:
    """Raises ApiError: 416 for a chunk that does not begin where the upload ends, 400 for a range that cannot be."""
    value = request.header(b"content-range")
    if value is None:
        return
    found = _RANGE.fullmatch(value.strip())
    first, last = (int(found[1]), int(found[2])) if found is not None else (1, 0)
    length = body.content_length(request)
    # docker sends `0-0` before an empty PUT.
    sized = length is None or length in (last - first + 1, 0)
    if last < first or not sized:
        raise ApiError(ErrorCode.SIZE_INVALID, f"Content-Range {value[:60]!r} does not fit the body")
    if first != upload.offset and length != 0:
        raise ApiError(
            ErrorCode.RANGE_INVALID,
            f"the chunk begins at {first}, the upload goes on at {upload.offset}",
            headers=tuple(_progress(route.name, route.session, upload.offset)),
        )


def _final(request: Request) -> Digest:
    digest = request.query("digest")
    if digest is None:
        raise ApiError(ErrorCode.DIGEST_INVALID, "PUT wants the blob's digest: ?digest=sha256:…")
    return checked_digest(digest)
