"""Referrers of a manifest (distribution spec, section Listing Referrers)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.api.paging import next_link, parse_page
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
    page = parse_page(request).at_most(PAGE)
    limit = page.n if page.n is not None else PAGE
    listings = api.content(target).listings
    found, exchange.result = await listings.referrers(target, route.digest, wanted, page.last, limit + 1)
    # Exactly this type: ggcr takes any other for a server without the API.
    headers = [content_type(OCI_INDEX), *api.namespace(exchange)]
    if wanted:
        headers.append((b"oci-filters-applied", b"artifactType"))
    if len(found) > limit:
        found = found[:limit]
        if found:
            headers.append(next_link(request, found[-1].digest, limit))
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.to_json() for descriptor in found],
    }
    await api.held.send(exchange, 200, headers, orjson.dumps(document))
