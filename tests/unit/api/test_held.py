"""Bodies held in memory: in pieces, bounded together, and taken from clients that stall for those that ask."""

import asyncio
import time
from typing import Any

import pytest

from pyregistry.api import held
from pyregistry.api.errors import ApiError
from pyregistry.api.exchange import Exchange
from pyregistry.api.held import HeldBodies
from pyregistry.api.pump import FIRST_CHUNK, ONE_MESSAGE, SMALL_CHUNK, ClientGone, Pumps

MIB = 1 << 20


class Client:
    def __init__(self, *, reads: bool = True) -> None:
        self.messages: list[dict[str, Any]] = []
        self.reads = reads
        self.stalled = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        if not self.reads and message["type"] == "http.response.body":
            self.stalled.set()
            await asyncio.Event().wait()

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def ask(self, bodies: HeldBodies, body: bytes, method: str = "GET") -> None:
        await bodies.send(Exchange(method, self.receive, self.send), 200, [], body)

    @property
    def sizes(self) -> list[int]:
        return [len(message["body"]) for message in self.messages[1:]]


@pytest.fixture
def bodies() -> HeldBodies:
    return HeldBodies(Pumps(60))


async def test_small_bodies_and_heads_are_one_message(bodies: HeldBodies) -> None:
    client, asker = Client(), Client()
    await client.ask(bodies, bytes(ONE_MESSAGE))
    assert client.sizes == [ONE_MESSAGE]
    await asker.ask(bodies, bytes(MIB), "HEAD")
    assert asker.sizes == [0]
    assert dict(asker.messages[0]["headers"])[b"content-length"] == b"%d" % MIB


async def test_large_bodies_come_in_pieces_and_whole(bodies: HeldBodies) -> None:
    client = Client()
    body = bytes(range(256)) * 4096
    await client.ask(bodies, body)
    assert b"".join(message["body"] for message in client.messages[1:]) == body
    assert client.sizes[0] == FIRST_CHUNK
    assert SMALL_CHUNK in client.sizes
    assert client.messages[-1]["more_body"] is False


async def test_stalled_clients_hold_no_more_than_the_bound_and_make_way(
    bodies: HeldBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "MEMORY", 4 * MIB)
    stalled = [Client(reads=False) for _ in range(4)]
    tasks = [asyncio.ensure_future(client.ask(bodies, bytes(MIB))) for client in stalled]
    await asyncio.gather(*(client.stalled.wait() for client in stalled))

    # They have only just begun: nobody is cut, but nobody else gets memory.
    refused = Client()
    with pytest.raises(ApiError) as caught:
        await refused.ask(bodies, bytes(MIB))
    assert (caught.value.status, refused.messages) == (503, [])

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + held.PATIENCE + 0.1)
    served = Client()
    await served.ask(bodies, bytes(MIB))
    assert sum(served.sizes) == MIB
    with pytest.raises(ClientGone):
        await tasks[0]
    assert not any(task.done() for task in tasks[1:])
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    assert not bodies._held
