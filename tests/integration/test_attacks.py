"""What hostile clients and upstreams try, seen from outside."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.blobs import random_blob
from tests.support.clients import fetch, get
from tests.support.serve import Serve
from tests.support.upstream import LocalUpstream, Upstream


@pytest.mark.parametrize("workers", [1, 2])
def test_a_digest_asked_where_it_is_not_stays_available_elsewhere(
    workers: int, upstream: Upstream, serve: Callable[..., Serve]
) -> None:
    """I12: what one repository's upstream has not says nothing of another's, however often it is asked."""
    layer = random_blob(300_000, "coveted")
    upstream.add_blob("team/app", layer)
    with LocalUpstream() as other:
        server = serve(upstreams={"docker.io": upstream.url, "other.example": other.url}, workers=workers)
        evil = f"{server.url}/v2/other.example/any/thing/blobs/{layer.digest}"
        good = f"{server.url}/v2/team/app/blobs/{layer.digest}"

        async def scenario() -> None:
            assert (await fetch(evil)).status == 404
            replies = await asyncio.gather(*(fetch(good, expect=layer) for _ in range(4)))
            assert [reply.status for reply in replies] == [200] * 4
            assert all(reply.right for reply in replies)

        asyncio.run(scenario())
        assert upstream.gets(layer.digest) == 1
        again = get(evil)
        assert (again.status, b"[" in again.body.partition(b"message")[2]) == (404, False)


def test_ranges_that_overlap_bring_no_more_than_the_blob(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """A thousand times the whole blob for one request of 8 KB would be an amplifier."""
    layer = random_blob(300_000, "amplified")
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=1)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
    everything = get(url, headers={"Range": "bytes=" + ",".join(["0-"] * 1000)}, expect=layer)
    assert (everything.status, everything.right) == (200, True)
    twice = get(url, headers={"Range": "bytes=0-99,50-149"})
    assert (twice.status, twice.headers["content-type"].partition(";")[0]) == (206, "multipart/byteranges")
