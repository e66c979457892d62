"""Ranges of blobs that are not cached: at once, each block once, and no more than policy says."""

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from pyregistry._native import fills
from tests.support.blobs import Blob
from tests.support.clients import Connection, Reply, fetch, get
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import IgnoreRange, Match, Redirect, Tokens, Upstream

BLOCK = 32 << 10
MIB = 1 << 20


def blob_url(server: Serve, blob: Blob, name: str = "team/app") -> str:
    return f"{server.url}/v2/{name}/blobs/{blob.digest}"


def get_range(url: str, blob: Blob, first: int, last: int) -> Reply:
    return asyncio.run(fetch(url, headers={"range": f"bytes={first}-{last}"}, expect=blob, offset=first))


def wait_idle(server: Serve) -> None:
    """Returns when no process works on a fill: nothing more comes then, unless somebody asks."""
    deadline = time.monotonic() + 30
    while any(fill.owned for fill in fills(str(server.root))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rounded(spans: list[tuple[int, int]]) -> int:
    """Bytes of all blocks that have a byte of these spans."""
    blocks = {block for first, last in spans for block in range(first // BLOCK, last // BLOCK + 1)}
    return len(blocks) * BLOCK


def test_first_request_ever_is_a_range(upstream_process: Upstream, serve: Callable[..., Serve]) -> None:
    """No manifest was asked for: 206, its size from Content-Range, and upstream sends little more than the range."""
    layer = image([256 * MIB], seed="first range").layers[0]
    upstream_process.configure(latency=0.02, rate=50e6)
    upstream_process.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    reply = get_range(blob_url(server, layer), layer, 200_000_000, 200_050_000)
    assert (reply.status, reply.right) == (206, True)
    assert reply.headers["content-range"] == f"bytes 200000000-200050000/{layer.size}"
    assert upstream_process.body_bytes(layer.digest) < MIB
    assert upstream_process.heads() == 0


@pytest.mark.timeout(180)
def test_random_ranges_fetch_each_block_once_and_a_pull_the_rest(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    layer = image([256 * MIB], seed="random ranges").layers[0]
    upstream_process.configure(latency=0.005)
    upstream_process.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    numbers = random.Random(7)
    spans = [(first, first + 50_000 - 1) for first in (numbers.randrange(layer.size - 50_000) for _ in range(1000))]

    async def client(mine: list[tuple[int, int]]) -> list[Reply]:
        async with await Connection.open(server.url) as connection:
            return [
                await connection.request(
                    f"/v2/team/app/blobs/{layer.digest}",
                    headers={"range": f"bytes={first}-{last}"},
                    expect=layer,
                    offset=first,
                )
                for first, last in mine
            ]

    async def clients() -> list[Reply]:
        groups = await asyncio.gather(*(client(spans[start::16]) for start in range(16)))
        return [reply for group in groups for reply in group]

    replies = asyncio.run(clients())
    assert all(reply.status == 206 and reply.right and reply.received == 50_000 for reply in replies)
    assert upstream_process.body_bytes(layer.digest) <= 1.1 * rounded(spans)
    assert upstream_process.overlap(layer.digest) == 0
    assert get(blob_url(server, layer), expect=layer).right
    assert upstream_process.body_bytes(layer.digest) == layer.size


@pytest.mark.timeout(120)
def test_open_ended_ranges_closed_early(upstream_process: Upstream, serve: Callable[..., Serve]) -> None:
    """containerd's parallel fetch: each client leaves after its part."""
    layer = image([256 * MIB], seed="containerd").layers[0]
    upstream_process.configure(latency=0.01, rate=100e6)
    upstream_process.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    part = layer.size // 8

    async def client(index: int) -> Reply:
        start = index * part
        return await fetch(
            blob_url(server, layer),
            headers={"range": f"bytes={start}-"},
            expect=layer,
            offset=start,
            leave_after=part if index < 7 else None,
        )

    async def clients() -> list[Reply]:
        return await asyncio.gather(*(client(index) for index in range(8)))

    for index, reply in enumerate(asyncio.run(clients())):
        assert (reply.status, reply.same) == (206, True), index
        assert reply.received >= part
    assert upstream_process.body_bytes(layer.digest) <= 1.02 * layer.size


def test_an_open_range_that_is_left_costs_little(upstream_process: Upstream, serve: Callable[..., Serve]) -> None:
    layer = image([128 * MIB], seed="left early").layers[0]
    upstream_process.configure(latency=0.01)
    upstream_process.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    start = 50_000_000

    async def leave() -> Reply:
        return await fetch(
            blob_url(server, layer),
            headers={"range": f"bytes={start}-"},
            expect=layer,
            offset=start,
            leave_after=300_000,
            receive_buffer=64 << 10,
        )

    assert asyncio.run(leave()).same
    wait_idle(server)
    assert upstream_process.body_bytes(layer.digest) < 8 * MIB


def test_suffix_and_several_ranges_of_a_cold_blob(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    layer = image([16 * MIB], seed="footer").layers[0]
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    content = bytes(layer.data)
    reply = get(blob_url(server, layer), headers={"range": "bytes=-500"})
    assert (reply.status, reply.body) == (206, content[-500:])
    reply = get(blob_url(server, layer), headers={"range": "bytes=9000000-9049999,3000000-3000009,-7"})
    assert reply.status == 206
    parts = reply.body.split(b"\r\n\r\n")[1:]
    assert [len(parts), parts[0][:50_000], parts[1][:10], parts[2][:7]] == [
        3,
        content[9_000_000:9_050_000],
        content[3_000_000:3_000_010],
        content[-7:],
    ]
    assert upstream.body_bytes(layer.digest) <= 6 * BLOCK
    reply = get(blob_url(server, layer), headers={"range": f"bytes={layer.size}-"})
    assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{layer.size}")
    assert upstream.overlap(layer.digest) == 0


def test_a_lazy_start_costs_little_more_than_it_reads(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """As stargz and SOCI start a container: two bytes to find the place, the footer, the table of contents, then the
    files that are read, in chunks that several of a request ask for; 34 ranges, a fifteenth of the layer."""
    layer = image([82 * MIB], seed="lazy").layers[0]
    upstream.configure(latency=0.005)
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    table = layer.size - 51 - 900_000
    numbers = random.Random(34)
    files = [
        (numbers.randrange(table - 400_000), numbers.choice([50_000, 100_000, 150_000, 400_000])) for _ in range(31)
    ]
    read = 0

    async def start() -> None:
        nonlocal read
        async with await Connection.open(server.url) as connection:
            for first, last in [
                (0, 1),
                (layer.size - 51, layer.size - 1),
                (table, layer.size - 52),
                *((first, first + size - 1) for first, size in files),
            ]:
                reply = await connection.request(
                    f"/v2/team/app/blobs/{layer.digest}",
                    headers={"range": f"bytes={first}-{last}"},
                    expect=layer,
                    offset=first,
                )
                assert (reply.status, reply.right, reply.received) == (206, True, last - first + 1)
                read += reply.received

    asyncio.run(start())
    assert upstream.body_bytes(layer.digest) <= 1.3 * read
    assert upstream.overlap(layer.digest) == 0


def test_a_range_past_the_end_of_an_unknown_blob(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    layer = image([MIB], seed="past").layers[0]
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=1)
    reply = get(blob_url(server, layer), headers={"range": "bytes=99999999-"})
    assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{layer.size}")
    assert upstream.body_bytes(layer.digest) < 1000


def test_an_upstream_that_ignores_ranges(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    layer = image([8 * MIB], seed="deaf").layers[0]
    upstream.add_blob("team/app", layer)
    upstream.always(Match("GET", reference=layer.digest), IgnoreRange())
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    reply = get_range(blob_url(server, layer), layer, 5_000_000, 5_049_999)
    assert (reply.status, reply.right, reply.received) == (206, True, 50_000)
    assert get(blob_url(server, layer), expect=layer).right


def test_ranges_through_tokens_and_redirects(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """An address that expires is asked for anew; the blocks that are there are not."""
    layer = image([16 * MIB], seed="signed").layers[0]
    upstream.configure(auth=Tokens(), redirect=Redirect())
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    for first in (4_000_000, 12_000_000, 4_000_000):
        assert get_range(blob_url(server, layer), layer, first, first + 49_999).right
        upstream.expire_addresses()
    assert get(blob_url(server, layer), expect=layer).right
    assert upstream.body_bytes(layer.digest) - layer.size <= 2 * MIB
    assert upstream.overlap(layer.digest) == 0


def test_blocks_survive_kills(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    layer = image([32 * MIB], seed="killed").layers[0]
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    assert get_range(blob_url(server, layer), layer, 20_000_000, 20_999_999).right
    server.kill_all()
    server.start()
    assert get_range(blob_url(server, layer), layer, 20_000_000, 21_999_999).right
    assert get(blob_url(server, layer), expect=layer).right
    assert upstream.overlap(layer.digest) == 0


@pytest.mark.parametrize(("policy", "begins"), [("always", True), ("after_fraction", True), ("never", False)])
def test_policy_says_whether_a_range_begins_the_fill(
    upstream: Upstream, serve: Callable[..., Serve], policy: str, begins: bool
) -> None:
    layer = image([4 * MIB], seed=policy).layers[0]
    upstream.add_blob("team/app", layer)
    server = serve(
        upstreams={"docker.io": upstream.url}, workers=1, mirror={"fill_on_range": policy, "fill_fraction": 0.4}
    )
    assert get_range(blob_url(server, layer), layer, 100_000, 2_000_000).right
    if begins:
        upstream.wait_sent(layer.digest, layer.size)
    else:
        wait_idle(server)
        assert upstream.body_bytes(layer.digest) < 2_200_000
