"""Referrers of a manifest (distribution spec, section Listing Referrers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry.api.respond import content_type, send_json
from pyregistry.oci.media_types import OCI_INDEX

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import ReferrersRoute


async def answer(api: Api, exchange: Exchange, request: Request, route: ReferrersRoute) -> None:
    """`/v2/<name>/referrers/<digest>`; an unknown subject has none."""
    exchange.reference = route.digest
    target = api.target(exchange, route.name)
    found, exchange.result = await api.mirror.listings.referrers(target, route.digest)
    # Exactly this type: ggcr takes any other for a server without the API.
    headers = [content_type(OCI_INDEX), *api.namespace(exchange)]
    wanted = request.query("artifactType")
    if wanted:
        found = [descriptor for descriptor in found if descriptor.artifact_type == wanted]
        headers.append((b"oci-filters-applied", b"artifactType"))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.to_json() for descriptor in found],
    }
    await send_json(exchange.send, exchange.method, 200, headers, document)
