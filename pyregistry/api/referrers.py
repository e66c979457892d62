"""Referrers of a manifest (distribution spec, section Listing Referrers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.api.paging import parse_page
from pyregistry.api.respond import content_type
from pyregistry.oci.media_types import OCI_INDEX

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import ReferrersRoute


#: Descriptors of one page at most: what a 4 MiB index can hold, as clients read no larger one.
PAGE = 5000


async def answer(api: Api, exchange: Exchange, request: Request, route: ReferrersRoute) -> None:
    """`/v2/<name>/referrers/<digest>`; an unknown subject has none."""
    exchange.reference = route.digest
    target = api.target(exchange, route.name)
    wanted = request.query("artifactType") or None
    page = parse_page(request, PAGE)
    listings = api.content(target).listings
    found, exchange.result = await listings.referrers(target, route.digest, wanted, page.last, page.wanted)
    referrers, links = page.cut(found, request, lambda descriptor: descriptor.digest)
    # Exactly this type: ggcr takes any other for a server without the API.
    headers = [content_type(OCI_INDEX), *api.namespace(exchange), *links]
    if wanted:
        headers.append((b"oci-filters-applied", b"artifactType"))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.to_json() for descriptor in referrers],
    }
    await api.held.send(exchange, 200, headers, orjson.dumps(document))
