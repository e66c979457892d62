"""I10 from outside: what was acknowledged to a pusher is there after `kill -9` of everything; nothing half is seen."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from pyregistry.background import Background
from pyregistry.config import Config, MirrorConfig, StorageConfig
from pyregistry.store.content import open_store
from pyregistry.store.metadata import Metadata
from tests.support.blobs import Blob, random_blob
from tests.support.clients import Connection, fetch
from tests.support.images import Image, image
from tests.support.serve import Serve

ROUNDS = 10
PUSHES = 200
AT_ONCE = 16


class Pusher:
    """Pushes small images until the server is killed; knows what was acknowledged."""

    def __init__(self, server: Serve, first: int) -> None:
        self._server = server
        self._left = iter(range(first, first + PUSHES))
        self.blobs: dict[str, Blob] = {}
        self.images: dict[str, Image] = {}
        self.tried: dict[str, Image] = {}
        self.half_way = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(*(self._worker() for _ in range(AT_ONCE)), return_exceptions=True)

    async def _worker(self) -> None:
        for number in self._left:
            async with await Connection.open(self._server.url) as connection:
                await self._push(connection, number)
            if len(self.images) >= PUSHES // 2:
                self.half_way.set()

    async def _push(self, connection: Connection, number: int) -> None:
        layer = random_blob(random.Random(number).randrange(1, 200_000), f"killed {number}")
        made = image(layers=[layer], seed=f"killed {number}")
        tag = f"t{number}"
        self.tried[tag] = made
        for blob in made.blobs:
            begun = await connection.request(
                "/v2/killed/blobs/uploads/", method="POST", headers={"Content-Length": "0"}
            )
            data = bytes(blob.data)
            where = begun.headers["location"]
            if number % 3 == 0:
                half = len(data) // 2
                part = await connection.request(where, method="PATCH", body=data[:half] or b"", headers=_length(half))
                where, data = part.headers["location"], data[half:]
            done = await connection.request(f"{where}?digest={blob.digest}", method="PUT", body=data)
            if done.status == 201:
                self.blobs[blob.digest] = blob
        target = f"/v2/killed/manifests/{tag}"
        done = await connection.request(
            target, method="PUT", body=made.manifest, headers={"Content-Type": made.media_type}
        )
        if done.status == 201:
            self.images[tag] = made


def _length(count: int) -> dict[str, str]:
    return {} if count else {"Content-Length": "0"}


@pytest.mark.timeout(600)
def test_everything_acknowledged_survives_ten_kills(serve: Callable[..., Serve]) -> None:
    server = serve(workers=2)
    blobs: dict[str, Blob] = {}
    images: dict[str, Image] = {}
    tried: dict[str, Image] = {}

    async def round_of(number: int) -> None:
        pusher = Pusher(server, number * PUSHES)
        running = asyncio.create_task(pusher.run())
        await asyncio.wait_for(pusher.half_way.wait(), 60)
        await asyncio.to_thread(server.kill_all)
        await running
        blobs.update(pusher.blobs)
        images.update(pusher.images)
        tried.update(pusher.tried)

    async def check() -> None:
        url = f"{server.url}/v2/killed"
        for tag, made in tried.items():
            reply = await fetch(f"{url}/manifests/{tag}")
            # A push whose answer was lost may have been taken; then it is there whole.
            assert reply.status == 200 if tag in images else reply.status in (200, 404)
            if reply.status == 200:
                assert reply.body == made.manifest
                for blob in made.blobs:
                    assert (await fetch(f"{url}/blobs/{blob.digest}", expect=blob)).right
        for blob in blobs.values():
            assert (await fetch(f"{url}/blobs/{blob.digest}", expect=blob)).right

    for number in range(ROUNDS):
        asyncio.run(round_of(number))
        server.start()
    asyncio.run(check())
    assert server.terminate() == 0
    asyncio.run(_cleaned(server))
    with closing(sqlite3.connect(server.root / "metadata.sqlite")) as database:
        rows = {digest for (digest,) in database.execute("SELECT digest FROM blob")}
        uploads = database.execute("SELECT count(*) FROM upload").fetchone()[0]
    files = {f"sha256:{path.name}" for path in (server.root / "blobs").rglob("*") if path.is_file()}
    assert files == rows
    assert uploads == 0
    assert list((server.root / "uploads").iterdir()) == []


async def _cleaned(server: Serve) -> None:
    """One round of cleaning with nothing kept."""
    storage = StorageConfig(root=server.root, partial_expiry="0s", upload_expiry="0s")  # type: ignore[arg-type]
    config = Config(storage=storage, mirror=MirrorConfig(upstreams={}))
    store, metadata = open_store(config), Metadata.open(server.root)
    try:
        await Background(config, store=store, metadata=metadata).clean(walk=True)
    finally:
        await store.close()
        metadata.close()
