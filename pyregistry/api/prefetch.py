"""POST of a prefetch: an image is brought here in the background (an extension of ours, off by default)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from pyregistry.api.errors import ApiError, bad_request
from pyregistry.api.respond import JSON_TYPE, send_bytes
from pyregistry.mirror.prefetch import this_platform
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.oci.platforms import InvalidPlatform, parse_platform

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request
    from pyregistry.api.routes import PrefetchRoute
    from pyregistry.oci.descriptors import Platform


async def begin(api: Api, exchange: Exchange, request: Request, route: PrefetchRoute) -> None:
    """`/v2/<name>/_pyregistry/prefetch/<reference>?platform=<os>/<arch>[/<variant>]`, which may be repeated or `all`.

    Answered 202 as soon as upstream has said what the reference is. A request of some bytes brings gigabytes, so who
    may ask has to be decided first.
    """
    exchange.reference = route.reference.text
    if not api.config.mirror.prefetch_api:
        raise ApiError(
            ErrorCode.UNSUPPORTED, "prefetching by request is off; `mirror.prefetch_api` turns it on", status=404
        )
    target = api.target(exchange, route.name)
    if target.hosted:
        raise bad_request(f"{route.name} is hosted here; there is no upstream to fetch it from")
    platforms = _platforms(request)
    digest = await api.mirror.prefetch.begin(target, route.reference, platforms)
    body = orjson.dumps(
        {"repository": target.repository, "digest": digest, "platforms": [str(one) for one in platforms] or ["all"]}
    )
    await send_bytes(exchange.send, exchange.method, 202, [JSON_TYPE], body)


def _platforms(request: Request) -> tuple[Platform, ...]:
    """None for all."""
    texts = request.queries("platform")
    try:
        named = tuple(parse_platform(text) for text in texts if text != "all")
    except InvalidPlatform as error:
        raise bad_request(str(error)) from None
    return () if "all" in texts else named or (this_platform(),)
