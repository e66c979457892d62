"""I3 from outside: slow, stalled and gone clients neither slow nor end a fill."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.clients import Pace, fetch
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import Match, Upstream

LAYER = 64 << 20


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["slow", "stalled", "leaving"])
def test_fill_goes_on(kind: str, upstream_process: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([LAYER], seed=kind)
    layer = made.layers[0]
    upstream_process.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
    await_fill = Match("GET", reference=layer.digest)

    async def scenario() -> None:
        pace = {
            "slow": Pace(rate=10_000),
            "stalled": Pace(stall_after=1 << 20),
            "leaving": Pace(),
        }[kind]
        bad = asyncio.create_task(
            fetch(
                url,
                expect=layer,
                pace=pace,
                leave_after=LAYER // 2 if kind == "leaving" else None,
                receive_buffer=64 << 10,
            )
        )
        # Whole body taken from upstream although nobody else reads.
        await asyncio.to_thread(upstream_process.wait_requests, await_fill, 1, ended=True)
        assert upstream_process.body_bytes(layer.digest) == LAYER
        good = await fetch(url, expect=layer)
        assert good.right
        assert upstream_process.gets(layer.digest) == 1
        if kind == "leaving":
            left = await bad
            assert left.left
            assert left.same
        else:
            assert not bad.done()
            bad.cancel()
            await asyncio.gather(bad, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.timeout(120)
def test_fill_nobody_waits_for_stops_early_and_keeps_its_partial(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    """All clients leave a blob of which little came: no more of it is taken; the next client goes on from there."""
    made = image([256 << 20], seed="abandoned")
    layer = made.layers[0]
    upstream_process.add("team/app", made, "v1")
    upstream_process.hold(layer.digest, 8 << 20)
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"

    left = asyncio.run(fetch(url, expect=layer, leave_after=4 << 20))
    assert left.left
    upstream_process.wait_requests(Match("GET", reference=layer.digest), 1, ended=True)
    upstream_process.release("hold")
    assert asyncio.run(fetch(url, expect=layer)).right
    begin, _ = upstream_process.ranges(layer.digest)[-1]
    assert begin > 4 << 20
    assert upstream_process.overlap(layer.digest) <= 4 << 20
