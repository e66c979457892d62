"""Probes of one worker. The whole server's are on the metrics address."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pyregistry.api.errors import ApiError
from pyregistry.api.respond import NO_STORE, send_json
from pyregistry.errors import Failure
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from pyregistry.api.api import Api
    from pyregistry.api.exchange import Exchange
    from pyregistry.api.request import Request

log = logging.getLogger(__name__)


async def live(_: Api, exchange: Exchange, __: Request, ___: Any) -> None:
    """`/livez`: the worker answers."""
    await send_json(exchange.send, exchange.method, 200, (NO_STORE,), {"status": "ok"})


async def ready(api: Api, exchange: Exchange, _: Request, __: Any) -> None:
    """`/readyz`: storage can be written and the database answers. Upstreams do not count: what is cached is served."""
    try:
        await asyncio.to_thread(api.check_storage)
        await api.metadata.check()
    except (Failure, OSError) as error:
        # Clients are not told paths of ours.
        log.error("not ready: %s", error)
        raise ApiError(ErrorCode.UNAVAILABLE, "not ready: the registry's storage failed; its log says how") from error
    await send_json(exchange.send, exchange.method, 200, (NO_STORE,), {"status": "ok"})
