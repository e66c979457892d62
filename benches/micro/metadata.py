"""Facts looked up in the database, among 200 tags."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import cycle
from typing import TYPE_CHECKING, Any

from benches.micro.manifests import parsed
from benches.micro.ready import inline
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from benches.micro import Make, Work

REPOSITORY = "docker.io/library/nginx"
TAGS = 200


async def _fill(metadata: Metadata) -> None:
    for number in range(TAGS):
        write = metadata.store_manifest(
            REPOSITORY, parsed(number), upstream="docker.io", tag=f"v{number}", checked_at=1.0
        )
    await write


def _read(ask: Callable[[Metadata, int], Coroutine[Any, Any, object]]) -> Make:
    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Work]:
        metadata = Metadata.open(folder)
        asyncio.run(_fill(metadata))
        # Opened anew, so that its writer has nothing left to do beside what is counted.
        metadata.close()
        metadata = Metadata.open(folder)
        numbers = cycle([(index * 7919) % TAGS for index in range(100)])
        yield lambda: inline(ask(metadata, next(numbers)))
        metadata.close()

    return make


_IMAGES = [parsed(number) for number in range(TAGS)]

WORKS = {
    "tag to digest": _read(lambda at, number: at.tag(REPOSITORY, f"v{number}")),
    "manifest by digest": _read(lambda at, number: at.manifest(REPOSITORY, _IMAGES[number].digest)),
    "fact of a blob": _read(lambda at, number: at.blob(REPOSITORY, _IMAGES[number].blobs[1].digest)),
}
