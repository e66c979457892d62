"""Tag lists (distribution spec, section Listing Tags)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry.api.paging import next_link, parse_page
from pyregistry.api.respond import send_json

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import TagsRoute


async def answer(api: Api, exchange: Exchange, request: Request, route: TagsRoute) -> None:
    """`/v2/<name>/tags/list`"""
    target = api.target(exchange, route.name)
    page = parse_page(request)
    # One more than asked for tells whether there is a next page.
    limit = None if page.n is None else page.n + 1
    tags, exchange.result = await api.content(target).listings.tags(target, page.last, limit)
    headers = [*api.namespace(exchange)]
    if page.n is not None and len(tags) > page.n:
        tags = tags[: page.n]
        if tags:
            headers.append(next_link(request, tags[-1], page.n))
    await send_json(exchange.send, exchange.method, 200, headers, {"name": route.name, "tags": tags})
