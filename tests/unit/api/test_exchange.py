"""What an exchange passes on, and what it can still take back."""

from pyregistry.api.asgi import Message
from pyregistry.api.exchange import Exchange
from pyregistry.api.respond import finish, start


async def receive() -> Message:
    raise AssertionError("nothing is received here")


class Server:
    def __init__(self) -> None:
        self.got: list[str] = []

    async def send(self, message: Message) -> None:
        self.got.append(str(message.get("status", message.get("body"))))


async def test_a_start_waits_for_the_first_piece() -> None:
    server = Server()
    exchange = Exchange("GET", receive, server.send)
    await start(exchange.send, 206, [])
    assert server.got == []
    await exchange.send({"type": "http.response.body", "body": b"some", "more_body": True})
    assert server.got == ["206", "b'some'"]
    assert exchange.begun()
    await finish(exchange.send)
    assert (server.got, exchange.status, exchange.sent, exchange.ended) == (["206", "b'some'", "b''"], 206, 4, True)


async def test_a_start_without_a_body_is_taken_back() -> None:
    server = Server()
    exchange = Exchange("GET", receive, server.send)
    assert not exchange.begun()
    await start(exchange.send, 200, [])
    assert not exchange.begun()
    await start(exchange.send, 502, [])
    await finish(exchange.send)
    assert (server.got, exchange.status) == (["502", "b''"], 502)
