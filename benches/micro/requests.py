"""Whole requests to the application of one worker, without a server: all that Python does for a pull that is cached."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from benches.micro.store import CONTENT, DIGEST
from pyregistry.app import create_app
from pyregistry.config import Config
from pyregistry.oci.manifests import parse_manifest
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.store.content import open_store
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benches.micro import Make, Work

#: Requests of one piece of work: the loop's own turns hardly count.
TOGETHER = 10
TIMES = 40
REPOSITORY = "docker.io/team/app"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/x", "digest": DIGEST, "size": len(CONTENT)},
        "layers": [],
    }
).encode()
MANIFEST_DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()


def _config(folder: Path) -> Config:
    # Nobody listens there: what asks upstream fails, and the work with it.
    mirror = {"upstreams": {"docker.io": {"url": "http://127.0.0.1:9"}}, "freshness": {"ttl": "1h"}}
    log = {"level": "error"}
    return Config.model_validate({"storage": {"root": str(folder / "root")}, "mirror": mirror, "log": log})


async def _fill(config: Config) -> None:
    store = open_store(config)
    metadata = Metadata.open(config.storage.root)
    upload = store.begin_upload("micro")
    if (room := upload.write(CONTENT)) is not None:
        await room
    await upload.commit(DIGEST)
    now = time.time()
    await metadata.record_blob(DIGEST, len(CONTENT), now)
    await metadata.store_manifest(
        REPOSITORY, parse_manifest(MANIFEST, None), upstream="docker.io", tag="v1", checked_at=now
    )
    metadata.close()
    await store.close()


def _scope(method: str, path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    fields = [(b"host", b"127.0.0.1:5000"), (b"user-agent", b"containerd/2.0.0"), (b"accept", b"*/*"), *headers]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": fields,
        "http_version": "1.1",
        "client": ("127.0.0.1", 40000),
    }


def _asked(status: int, length: int, method: str, path: str, *headers: tuple[bytes, bytes]) -> Make:
    """So many requests, each with that status and that many body bytes."""
    scope = _scope(method, path, *headers)

    @contextlib.contextmanager
    def make(folder: Path) -> Iterator[Work]:
        config = _config(folder)
        with asyncio.Runner() as runner:
            runner.run(_fill(config))
            app = create_app(config, 0)
            started, leave = asyncio.Event(), asyncio.Event()
            lifespan = runner.get_loop().create_task(_live(app, started, leave))
            runner.run(_until(started.wait(), lifespan))
            yield lambda: runner.run(_several(app, scope, status, length))
            leave.set()
            runner.run(_until(lifespan))

    return make


async def _until(*what: Any) -> None:
    done, _ = await asyncio.wait([asyncio.ensure_future(one) for one in what], return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


async def _live(app: Callable[..., Any], started: asyncio.Event, leave: asyncio.Event) -> None:
    asked = False

    async def receive() -> dict[str, str]:
        nonlocal asked
        if asked:
            await leave.wait()
            return {"type": "lifespan.shutdown"}
        asked = True
        return {"type": "lifespan.startup"}

    async def send(_: object) -> None:
        started.set()

    await app({"type": "lifespan"}, receive, send)


async def _several(app: Callable[..., Any], scope: dict[str, Any], status: int, length: int) -> None:
    for _ in range(TOGETHER):
        got: list[int] = []

        async def send(message: dict[str, Any], got: list[int] = got) -> None:
            got.append(message["status"] if message["type"] == "http.response.start" else len(message["body"]))

        await app(scope, _nothing, send)
        assert got[0] == status, got
        assert length in (-1, sum(got[1:])), got


async def _nothing() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


_BLOB = f"/v2/team/app/blobs/{DIGEST}"

WORKS = {
    "requests for 50 KiB": _asked(206, 51_200, "GET", _BLOB, (b"range", b"bytes=51200-102399")),
    "requests for a manifest by tag": _asked(200, len(MANIFEST), "GET", "/v2/team/app/manifests/v1"),
    "requests for a manifest by digest": _asked(200, len(MANIFEST), "GET", f"/v2/team/app/manifests/{MANIFEST_DIGEST}"),
    "HEAD requests for a blob": _asked(200, 0, "HEAD", _BLOB),
    "requests for nothing known": _asked(404, -1, "GET", "/v2/other.example/app/manifests/v1"),
}
