"""The binding on the loop that serves, uvloop, and on Python's own: it watches a descriptor of its own on either."""

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from pyregistry._native import Client, Store
from tests.contract.native.blob import BLOB, DIGEST, fetched, own, read
from tests.contract.native.blob_server import BlobServer

Run = Callable[[Coroutine[Any, Any, None]], None]
RUNS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


async def _storm(root: str) -> None:
    """A fill that fifty follow, some of which leave at any time."""
    store, client, chance = Store(root, reserve=0), Client(user_agent="t"), random.Random(3)
    async with BlobServer(BLOB) as server:
        server.gate(1_500_000)
        readers = [store.attach(DIGEST) for _ in range(50)]
        run = asyncio.ensure_future((await own(store)).run(client.source(server.url, [])))

        async def follow(number: int) -> bytes:
            await readers[number].ready()
            return await read(readers[number].plan(), 10_000 * (number + 1))

        tasks = [asyncio.create_task(follow(number)) for number in range(len(readers))]
        for number in chance.sample(range(len(readers)), 20):
            await asyncio.sleep(chance.random() / 1000)
            tasks[number].cancel()
        server.open()
        bodies = await asyncio.gather(*tasks, return_exceptions=True)
        assert await run == "committed"
        whole = [body for body in bodies if not isinstance(body, BaseException)]
        assert len(whole) >= 30
        assert set(whole) == {BLOB}
        assert all(isinstance(body, asyncio.CancelledError) for body in bodies if isinstance(body, BaseException))
    await store.close()


@RUNS
def test_a_storm(run: Run, tmp_path: Path) -> None:
    run(_storm(str(tmp_path / "root")))


@RUNS
def test_one_loop_after_another(run: Run, tmp_path: Path) -> None:
    async def once(number: int) -> None:
        store = Store(str(tmp_path / str(number)), reserve=0)
        await fetched(store, Client(user_agent="t"), b"hello")
        await store.close()

    process = psutil.Process()
    for number in range(3):
        run(once(number))
    before = process.num_fds()
    for number in range(3, 30):
        run(once(number))
    assert process.num_fds() <= before + 3


@RUNS
def test_a_loop_in_each_thread(run: Run, tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def body(number: int) -> None:
        try:
            run(_storm(str(tmp_path / str(number))))
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
