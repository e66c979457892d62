"""Manifests: pulled, pushed, deleted (distribution spec, sections Pulling, Pushing and Deleting manifests)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyregistry.api import body
from pyregistry.api.errors import ApiError
from pyregistry.api.headers import etag_of, if_none_match
from pyregistry.api.respond import content_type, digest_headers, send_bytes
from pyregistry.api.routes import checked_digest
from pyregistry.oci.digests import Digest, algorithm
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.oci.manifests import MAX_MANIFEST_SIZE, PARSED_INLINE, ManifestError, parse_manifest
from pyregistry.oci.references import is_tag

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.asgi import Header
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import ManifestRoute
    from pyregistry.oci.manifests import Manifest


async def get(api: Api, exchange: Exchange, request: Request, route: ManifestRoute) -> None:
    """`/v2/<name>/manifests/<reference>`

    Accept is not looked at: clients handle types themselves, and the bytes behind a digest are of one type only.
    """
    reference = route.reference
    exchange.reference = reference.text
    target = api.target(exchange, route.name)
    manifests = api.content(target).manifests
    if reference.digest is not None:
        found = await manifests.by_digest(target, reference.digest)
    else:
        found = await manifests.by_tag(target, reference.text)
    exchange.result = found.result
    manifest = found.manifest
    digest = Digest(manifest.digest)
    headers = [*digest_headers(digest), content_type(manifest.media_type), *api.namespace(exchange)]
    if found.failure is not None:
        exchange.cause, exchange.error = found.failure.cause, found.failure.message
        # The spec's way to tell a person (section Warnings); oras and regctl show it.
        headers.append((b"warning", f'299 - "stale: {target.upstream} could not be asked"'.encode()))
    if if_none_match(request.header(b"if-none-match"), etag_of(digest)):
        await send_bytes(exchange.send, exchange.method, 304, headers)
        return
    if not (target.hosted or request.is_head):
        api.mirror.prefetch.served(target, manifest)
    await api.held.send(exchange, 200, headers, manifest.content)


async def put(api: Api, exchange: Exchange, request: Request, route: ManifestRoute) -> None:
    """PUT by tag, or by digest with any number of `?tag=`."""
    reference = route.reference
    exchange.reference = reference.text
    target = api.hosted_target(exchange, route.name)
    named = reference.digest
    if reference.digest is None and (stated := request.query("digest")) is not None:
        named = checked_digest(stated)
    tags = [reference.text] if reference.digest is None else _tags(request)
    content = await body.whole(
        request, exchange.receive, limit=MAX_MANIFEST_SIZE, stall_timeout=api.stall_timeout, what="the manifest"
    )
    manifest = await _parsed(content, request.header(b"content-type"), algorithm(named) if named else "sha256")
    if named is not None and manifest.digest != named:
        raise ApiError(
            ErrorCode.DIGEST_INVALID, f"the manifest hashes to {manifest.digest}, not {named}", detail={"digest": named}
        )
    result = await api.metadata.put_manifest(
        target.repository,
        manifest,
        tags,
        at=time.time(),
        immutable=lambda tag: api.immutable.binds(target.repository, tag),
        sparse=api.config.policy.sparse_indexes,
        sparse_blobs=api.config.policy.sparse_images,
    )
    if result.missing:
        missing = [{"kind": one.kind, "digest": one.digest} for one in result.missing]
        names = ", ".join(f"{one.kind} {one.digest}" for one in result.missing[:5])
        raise ApiError(
            ErrorCode.MANIFEST_BLOB_UNKNOWN, f"{route.name} does not have {names}; push it first", detail=missing
        )
    if result.immutable is not None:
        raise _immutable(route.name, result.immutable)
    headers: list[Header] = [
        (b"location", f"/v2/{route.name}/manifests/{manifest.digest}".encode()),
        (b"docker-content-digest", manifest.digest.encode()),
    ]
    if manifest.subject is not None:
        headers.append((b"oci-subject", manifest.subject.digest.encode()))
    if reference.digest is not None:
        headers += [(b"oci-tag", tag.encode()) for tag in tags]
    await send_bytes(exchange.send, exchange.method, 201, headers)


async def delete(api: Api, exchange: Exchange, _: Request, route: ManifestRoute) -> None:
    """DELETE of a tag, or of a manifest with all its tags."""
    reference = route.reference
    exchange.reference = reference.text
    target = api.hosted_target(exchange, route.name)

    def immutable(tag: str) -> bool:
        return api.immutable.binds(target.repository, tag)

    if reference.digest is not None:
        result = await api.metadata.delete_manifest(target.repository, reference.digest, immutable=immutable)
        found, bound = result.found, result.immutable
    elif immutable(reference.text):
        found, bound = True, reference.text
    else:
        found, bound = await api.metadata.delete_tag(target.repository, reference.text), None
    if bound is not None:
        raise _immutable(route.name, bound)
    if not found:
        raise ApiError(ErrorCode.MANIFEST_UNKNOWN, f"{route.name} has no {reference.text}")
    await send_bytes(exchange.send, exchange.method, 202, [])


async def _parsed(content: bytes, media_type: str | None, algorithm: str) -> Manifest:
    try:
        if len(content) <= PARSED_INLINE:
            return parse_manifest(content, media_type, algorithm)
        return await asyncio.to_thread(parse_manifest, content, media_type, algorithm)
    except ManifestError as error:
        raise ApiError(ErrorCode.MANIFEST_INVALID, str(error)) from None


def _tags(request: Request) -> list[str]:
    """Every `?tag=`, once."""
    tags = list(dict.fromkeys(request.queries("tag")))
    for tag in tags:
        if not is_tag(tag):
            raise ApiError(ErrorCode.TAG_INVALID, f"{tag[:150]!r} is not a tag", detail={"tag": tag[:150]})
    return tags


def _immutable(name: str, tag: str) -> ApiError:
    return ApiError(
        ErrorCode.DENIED, f"tag {tag} of {name} is immutable (policy.immutable_tags); push under another tag"
    )
