"""I5 from outside: killed workers and servers cost time, not bytes."""

import asyncio
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.support.clients import Connection, Reply, fetch
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import Upstream

LAYER = 64 << 20
#: What an upstream may have sent that the killed worker never read, plus what it had read and not yet put on record.
OVERLAP = 16 << 20


def owner_of(server: Serve) -> int:
    """The worker that writes the fill: the only one with a descriptor to write its data by."""
    for pid in server.workers():
        for file in psutil.Process(pid).open_files():
            if "/fills/" in file.path and "/data" in file.path and file.mode != "r":
                return pid
    raise AssertionError("no worker writes a fill")


async def through_every_worker(server: Serve, path: str, expect: Any, count: int = 16) -> list[asyncio.Task[Reply]]:
    """So many requests for one blob on connections of their own, which the kernel deals to the workers."""
    return [asyncio.create_task(fetch(server.url + path, expect=expect)) for _ in range(count)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("percent", [50, 90])
def test_killed_owner_is_succeeded(percent: int, upstream_process: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([LAYER], seed=f"kill {percent}")
    layer = made.layers[0]
    upstream_process.configure(send_buffer=256 << 10)
    upstream_process.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    at = LAYER * percent // 100
    upstream_process.hold(layer.digest, at)

    async def scenario() -> None:
        tasks = await through_every_worker(server, f"/v2/team/app/blobs/{layer.digest}", layer)
        await asyncio.to_thread(upstream_process.wait_held, "hold", 1)
        victim = await asyncio.to_thread(owner_of, server)
        await asyncio.to_thread(server.kill_worker, victim)
        upstream_process.release("hold")
        replies = await asyncio.gather(*tasks)
        whole = [reply for reply in replies if reply.complete]
        cut = [reply for reply in replies if not reply.complete]
        assert whole, "every client was on the killed worker"
        assert all(reply.right for reply in whole)
        # The killed worker's clients notice: their bodies end short, and what came was right.
        assert all(reply.same is not False for reply in cut)
        # It is there, whole, for the next.
        assert (await fetch(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer)).right

    asyncio.run(scenario())
    assert upstream_process.overlap(layer.digest) <= OVERLAP
    assert upstream_process.gets(layer.digest) == 2


@pytest.mark.timeout(120)
def test_everything_killed_at_90_percent_goes_on_after_a_restart(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    made = image([LAYER], seed="restart")
    layer = made.layers[0]
    upstream_process.configure(send_buffer=256 << 10)
    upstream_process.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    upstream_process.hold(layer.digest, LAYER * 9 // 10)

    async def scenario() -> None:
        (task,) = await through_every_worker(server, f"/v2/team/app/blobs/{layer.digest}", layer, 1)
        await asyncio.to_thread(upstream_process.wait_held, "hold", 1)
        await asyncio.to_thread(server.kill_all)
        assert not (await task).complete

    asyncio.run(scenario())
    upstream_process.release("hold")
    server.start()
    assert asyncio.run(fetch(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer)).right
    assert upstream_process.overlap(layer.digest) <= OVERLAP


def test_other_workers_pulls_go_on_and_the_worker_comes_back(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    made = image([4 << 20], seed="respawn")
    upstream_process.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    before = server.workers()
    server.kill_worker(before[0])

    async def scenario() -> None:
        # Every connection is answered: those dealt to the dead slot wait for its successor.
        async with await Connection.open(server.url) as first:
            assert (await first.request("/v2/")).status == 200
        replies = await asyncio.gather(*(fetch(f"{server.url}/v2/") for _ in range(32)))
        assert {reply.status for reply in replies} == {200}

    asyncio.run(scenario())
    assert before[1] in server.workers()
    assert len(server.workers()) == 2
