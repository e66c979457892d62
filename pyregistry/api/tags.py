"""Tag lists (distribution spec, section Listing Tags)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.api.paging import parse_page
from pyregistry.api.respond import JSON_TYPE

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import TagsRoute

#: Tags of a page at most: an upstream's list may be of any length, and clients follow the Link.
PAGE = 10_000


async def answer(api: Api, exchange: Exchange, request: Request, route: TagsRoute) -> None:
    """`/v2/<name>/tags/list`"""
    target = api.target(exchange, route.name)
    page = parse_page(request, PAGE)
    found, exchange.result = await api.content(target).listings.tags(target, page.last, page.wanted)
    tags, links = page.cut(found, request, str)
    headers = [JSON_TYPE, *api.namespace(exchange), *links]
    await api.held.send(exchange, 200, headers, orjson.dumps({"name": route.name, "tags": tags}))
