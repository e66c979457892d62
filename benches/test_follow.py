"""How long bytes of a fill take to a reader of another worker, beside a reader of the worker that owns the fill.

A source in this process sends one block after the other; every time is of the machine's one monotonic clock. Latencies
are from the send of a block to its last byte in the reader.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyregistry._native import Client, Store

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from pyregistry._native import Reader

BLOCK = 64 << 10
BLOCKS = 200
PAUSE = 0.005
CONTENT = hashlib.shake_128(b"follow").digest(BLOCK * BLOCKS)
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


async def arrivals(reader: Reader) -> list[float]:
    """When each block was there whole; the last one waits for the digest, and is left out."""
    await reader.ready()
    plan, count = reader.plan(), 0
    times: list[float] = []
    while piece := await plan.next(BLOCK):
        count += len(piece)
        times += [time.monotonic()] * (count // BLOCK - len(times))
    return times[:-1]


class Source:
    """Answers one request with the content, a block at a time, and notes when it sent each."""

    def __init__(self) -> None:
        self.sent: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT))
        for start in range(0, len(CONTENT), BLOCK):
            self.sent.append(time.monotonic())
            writer.write(CONTENT[start : start + BLOCK])
            await writer.drain()
            await asyncio.sleep(PAUSE)
        writer.close()
        await writer.wait_closed()


async def follow(root: str) -> None:
    """The other worker: says when it has its reader, and at the end when each block came."""
    store = Store(root, reserve=0)
    reader = store.attach(DIGEST)
    following = asyncio.ensure_future(store.own_or_follow(DIGEST))
    print("following", flush=True)
    times = await arrivals(reader)
    assert await following is None
    await store.close()
    print(json.dumps(times))


async def lead(root: Path) -> tuple[list[float], list[float]]:
    """Latencies in seconds: of the owner's reader, and of the follower's."""
    source = Source()
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/a/blobs/{DIGEST}"
    store = Store(str(root), reserve=0)
    fill = await store.own_or_follow(DIGEST)
    assert fill is not None
    follower = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benches.test_follow", str(root)),
        cwd=Path(__file__).parents[1],
        stdout=asyncio.subprocess.PIPE,
    )
    assert follower.stdout is not None
    assert await follower.stdout.readline() == b"following\n"
    _, own = await asyncio.gather(fill.run(Client(user_agent="bench").source(url, [])), arrivals(store.attach(DIGEST)))
    there = json.loads(await follower.stdout.read())
    assert await follower.wait() == 0
    server.close()
    await server.wait_closed()
    await store.close()
    return _latencies(source.sent, own), _latencies(source.sent, there)


def _latencies(sent: list[float], came: list[float]) -> list[float]:
    assert len(came) == BLOCKS - 1
    return [after - before for before, after in zip(sent, came, strict=False)]


@pytest.mark.timeout(120)
def test_another_worker_follows(tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    own, there = benchmark.pedantic(lambda: asyncio.run(lead(tmp_path / "root")), rounds=1, iterations=1)
    for name, latencies in (("owner", own), ("follower", there)):
        benchmark.extra_info[f"{name}_ms_p50"] = round(statistics.median(latencies) * 1e3, 3)
        benchmark.extra_info[f"{name}_ms_p99"] = round(sorted(latencies)[len(latencies) * 99 // 100] * 1e3, 3)


if __name__ == "__main__":
    asyncio.run(follow(sys.argv[1]))
