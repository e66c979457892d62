"""One blob, and the few steps that every test takes with it."""

import hashlib
import random

from pyregistry._native import Client, Fill, Plan, Store
from tests.contract.native.blob_server import BlobServer

BLOB = random.Random(1).randbytes(3_000_000)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


DIGEST = digest_of(BLOB)


async def own(store: Store, digest: str = DIGEST) -> Fill:
    fill = await store.own_or_follow(digest)
    assert fill is not None
    return fill


async def read(plan: Plan, limit: int = 100_000) -> bytes:
    body = b""
    while piece := await plan.next(limit):
        assert len(piece) <= limit
        body += piece
    assert plan.take(limit) == b""
    return body


async def fetched(store: Store, client: Client, content: bytes = BLOB) -> str:
    digest = digest_of(content)
    async with BlobServer(content) as server:
        assert await (await own(store, digest)).run(client.source(server.url, [])) == "committed"
    return digest
