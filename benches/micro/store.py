"""A committed blob: opened, planned and read."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

from pyregistry._native import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.micro import Make, Work

#: The end of an idle thread of the store's must not show.
TIMES = 1000
CONTENT = bytes(1 << 20)
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
ONE = [(51_200, 102_400)]
PARTS = [(first, first + 4096) for first in range(0, len(CONTENT), 1 << 14)]


async def _commit(store: Store) -> None:
    upload = store.begin_upload("micro")
    if (room := upload.write(CONTENT)) is not None:
        await room
    await upload.commit(DIGEST)


async def _close(store: Store) -> None:
    await store.close()


def _on_a_blob(work: Callable[[Store], object]) -> Make:
    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Work]:
        store = Store(str(folder / "root"), reserve=0)
        asyncio.run(_commit(store))
        yield lambda: work(store)
        asyncio.run(_close(store))

    return make


def _take(store: Store, ranges: list[tuple[int, int]]) -> bytes | None:
    reader = store.committed(DIGEST, len(CONTENT))
    assert reader is not None
    return reader.plan(ranges, "boundary" if len(ranges) > 1 else None).take(1 << 20)


WORKS = {
    "committed blob opened": _on_a_blob(lambda store: store.committed(DIGEST, len(CONTENT))),
    "50 KiB of a committed blob": _on_a_blob(lambda store: _take(store, ONE)),
    "64 parts of a committed blob": _on_a_blob(lambda store: _take(store, PARTS)),
    "blob that is not there": _on_a_blob(lambda store: store.committed("sha256:" + "0" * 64)),
}
