"""The ASGI application of one worker: opens storage, database and mirror, and hands requests to the API."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pyregistry.api.api import Api
from pyregistry.background import Background
from pyregistry.mirror.mirror import Mirror
from pyregistry.policy.immutability import ImmutableTags
from pyregistry.store.content import open_store
from pyregistry.store.metadata import Metadata
from pyregistry.telemetry import metrics as telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyregistry.api.asgi import Receive, Scope, Send
    from pyregistry.config import Config


@contextlib.asynccontextmanager
async def open_mirror(config: Config) -> AsyncIterator[Mirror]:
    """The mirror on the configured storage root, for as long as the context lasts; also beside a running server.

    Raises Failure(STORAGE) where the root or its database cannot be opened.
    """
    async with _opened(config) as (_, _, mirror):
        yield mirror


@contextlib.asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[tuple[Any, Metadata, Mirror]]:
    root = config.storage.root
    store = open_store(config)
    metadata = Metadata.open(root)
    mirror = Mirror(
        config,
        store=store,
        metadata=metadata,
        metrics=telemetry.current(),
        run_dir=root / "run",
        immutable=ImmutableTags(config.policy.immutable_tags).binds,
    )
    try:
        yield store, metadata, mirror
    finally:
        await mirror.close()
        await store.close()
        metadata.close()


class App:
    """The application of the worker in `slot`."""

    def __init__(self, config: Config, slot: int) -> None:
        self._config = config
        self._slot = slot
        self._api: Api | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._api is not None:
            await self._api.handle(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await receive()
            # What goes wrong here leaves by itself: the worker tells main, and main tells people.
            await stack.enter_async_context(self._serving())
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        async with _opened(self._config) as (store, metadata, mirror):
            self._api = Api(self._config, store=store, metadata=metadata, mirror=mirror, metrics=telemetry.current())
            background = Background(self._config, store=store, metadata=metadata)
            tasks = [asyncio.ensure_future(work) for work in (self._api.pumps.watch(), background.run())]
            try:
                yield
            finally:
                self._api = None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def create_app(config: Config, slot: int) -> App:
    """The application for the worker in `slot`."""
    return App(config, slot)
