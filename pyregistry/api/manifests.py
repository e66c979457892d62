"""GET and HEAD of manifests (distribution spec, section Pulling manifests)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry.api.headers import etag_of, if_none_match
from pyregistry.api.respond import content_type, digest_headers, send_bytes
from pyregistry.oci.digests import Digest

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import ManifestRoute


async def answer(api: Api, exchange: Exchange, request: Request, route: ManifestRoute) -> None:
    """`/v2/<name>/manifests/<reference>`

    Accept is not looked at: clients handle types themselves, and the bytes behind a digest are of one type only.
    """
    reference = route.reference
    exchange.reference = reference.text
    target = api.target(exchange, route.name)
    if reference.digest is not None:
        found = await api.mirror.manifests.by_digest(target, reference.digest)
    else:
        found = await api.mirror.manifests.by_tag(target, reference.text)
    exchange.result = found.result
    manifest = found.manifest
    digest = Digest(manifest.digest)
    headers = [*digest_headers(digest), content_type(manifest.media_type), *api.namespace(exchange)]
    if found.failure is not None:
        exchange.cause = found.failure.cause
        # The spec's way to tell a person (section Warnings); oras and regctl show it.
        headers.append((b"warning", f'299 - "stale: {target.upstream} could not be asked"'.encode()))
    if if_none_match(request.header(b"if-none-match"), etag_of(digest)):
        await send_bytes(exchange.send, exchange.method, 304, headers)
        return
    await send_bytes(exchange.send, exchange.method, 200, headers, manifest.content)
