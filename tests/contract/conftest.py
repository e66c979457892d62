"""Fixtures of the contract tests of `Upstream`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pyregistry._native import Store
from pyregistry.config import UpstreamConfig
from pyregistry.mirror.upstream import Upstream
from tests.support.upstream import Upstream as Scripted


@pytest.fixture
async def make(tmp_path: Path, upstream: Scripted) -> AsyncIterator[Callable[..., Upstream]]:
    """Makes the scripted upstream's counterpart: `make(*urls, **config)`.

    Each has a store of its own on one root: several of them are several workers.
    """
    root = tmp_path / "root"
    async with AsyncExitStack() as stack:

        def build(*urls: str, **config: Any) -> Upstream:
            store = Store(str(root))
            stack.push_async_callback(store.close)
            settings = UpstreamConfig.model_validate({"urls": urls or (upstream.url,), **config})
            made = Upstream("up.example", settings, store=store, run_dir=root / "run")
            stack.push_async_callback(made.close)
            return made

        yield build
