"""The list of repositories (not in the OCI spec: distribution's `_catalog`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.api.paging import parse_page
from pyregistry.api.respond import JSON_TYPE

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import CatalogRoute

#: Entries of a page when the client names no number, and at most.
PAGE = 1000


async def answer(api: Api, exchange: Exchange, request: Request, _: CatalogRoute) -> None:
    """`/v2/_catalog`: names in lexical order, hosted and mirrored, as they are pulled by."""
    page = parse_page(request, PAGE)
    names, links = page.cut(await api.metadata.catalog(page.last, page.wanted), request, str)
    await api.held.send(exchange, 200, [JSON_TYPE, *links], orjson.dumps({"repositories": names}))
