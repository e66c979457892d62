import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

from pyregistry.server.embedded import EmbeddedServer


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = str(scope["state"]["word"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def served_once() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = EmbeddedServer(app, {"word": "hello"}, listener.detach(), None)
    server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
    server.stop()
    assert await reader.read() == b"", "the idle connection was closed"
    writer.close()
    await writer.wait_closed()
    await server.stopped()


def entries(kind: str) -> int:
    """Descriptors (`fd`) or threads (`task`) of this process as the kernel counts them."""
    return len(list(Path(f"/proc/self/{kind}").iterdir()))


async def test_fifty_servers_leave_nothing_behind() -> None:
    await served_once()
    descriptors, threads = entries("fd"), threading.active_count()
    for _ in range(50):
        await served_once()
    assert entries("fd") <= descriptors
    assert threading.active_count() == threads
    assert entries("task") < 50


async def test_it_ends_without_ever_having_had_a_connection() -> None:
    for _ in range(50):
        server = EmbeddedServer(app, {}, socket.create_server(("127.0.0.1", 0)).detach(), None)
        server.start()
        server.stop()
        await server.stopped()
