"""Fixtures of the binding's tests. Two stores on one root stand for two processes."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pyregistry._native import Client, Store


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], Store]:
    return lambda: Store(str(tmp_path / "root"), reserve=0, failure_seconds=0.2)


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    opened = open_store()
    yield opened
    await opened.close()


@pytest.fixture
async def other(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """Another process's view of the same root."""
    opened = open_store()
    yield opened
    await opened.close()


@pytest.fixture
def client() -> Client:
    return Client(user_agent="pyregistry-test", progress_timeout=5)
