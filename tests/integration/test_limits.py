"""Limits of our own for an upstream, and those that it sets for one connection more."""

import asyncio
import time
from collections.abc import Callable

from tests.support.clients import Pace, fetch, get
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import Hold, Kind, Match, Upstream, too_many

MIB = 1 << 20
Start = Callable[..., Serve]


def test_a_slow_reader_of_a_range_keeps_no_place(upstream: Upstream, serve: Start) -> None:
    """What it waits for is there: others may ask upstream meanwhile, and it goes on when it reads on."""
    made = image([64 * MIB, MIB], seed="slow reader")
    large, small = made.layers
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream.url, "max_requests": 1}})

    async def scenario() -> None:
        pace = Pace(stall_after=MIB)
        url = f"{server.url}/v2/team/app/blobs"
        stalled = asyncio.ensure_future(
            fetch(
                f"{url}/{large.digest}",
                headers={"range": f"bytes={MIB}-{50 * MIB}"},
                expect=large,
                offset=MIB,
                pace=pace,
                receive_buffer=65536,
            )
        )
        await pace.stalled.wait()
        assert (await fetch(f"{url}/{small.digest}", expect=small)).right
        pace.resume.set()
        assert (await stalled).right

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert upstream.overlap(large.digest) == 0


def test_bytes_per_second_hold_over_workers(upstream: Upstream, serve: Start) -> None:
    """Two blobs from two workers take as long as both together need."""
    made = image([2 * MIB, 2 * MIB], seed="bandwidth")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream.url, "bytes_per_second": "2MiB"}}, workers=2)

    async def scenario() -> float:
        began = time.monotonic()
        replies = await asyncio.gather(
            *(fetch(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer) for layer in made.layers)
        )
        assert all(reply.right for reply in replies)
        return time.monotonic() - began

    # At least: the first and the last piece of a connection cost no wait.
    assert asyncio.run(scenario()) > 1


def test_every_request_for_a_blob_waits_its_turn(upstream: Upstream, serve: Start) -> None:
    """Ranges as well, which come over connections of their own."""
    layer = image([8 * MIB], seed="spaced").layers[0]
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": {"url": upstream.url, "requests_per_second": 20}}, workers=2)
    starts = range(0, 8 * MIB, MIB)

    async def scenario() -> None:
        url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
        ranges = (
            fetch(url, headers={"range": f"bytes={start}-{start + 99}"}, expect=layer, offset=start) for start in starts
        )
        assert all(reply.right for reply in await asyncio.gather(*ranges))

    asyncio.run(scenario())
    times = sorted(record.started for record in upstream.records())
    assert len(times) >= 8
    assert times[-1] - times[0] > 0.5 * (len(times) - 1) / 20


def test_a_limit_that_one_more_connection_meets_holds_for_all_requests(upstream: Upstream, serve: Start) -> None:
    """And costs the fill that met it that connection alone."""
    made = image([8 * MIB], seed="one more")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
    upstream.always(Match("GET", Kind.BLOB), Hold(1000))
    upstream.always(Match("GET", Kind.BLOB, ranged=True), too_many(120))

    async def scenario() -> None:
        whole = asyncio.ensure_future(fetch(url, expect=layer))
        await asyncio.to_thread(upstream.wait_held, "hold", 1)
        far = asyncio.ensure_future(
            fetch(url, headers={"range": "bytes=7000000-7000099"}, expect=layer, offset=7_000_000)
        )
        await asyncio.to_thread(upstream.wait_requests, Match("GET", ranged=True), 1, ended=True)
        asked = time.monotonic()
        while (limited := await fetch(f"{server.url}/v2/team/app/manifests/v{time.monotonic()}")).status != 429:
            assert time.monotonic() < asked + 20
        assert int(limited.headers["retry-after"]) > 100
        upstream.release("hold")
        assert (await whole).right
        assert (await far).right

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 429
