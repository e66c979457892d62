"""A small HTTP server for tests of the binding: one blob, Range, and a gate that holds the rest back."""

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Asked:
    """A request as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body = body

    @property
    def offset(self) -> int:
        return self.span(1 << 62)[0]

    def span(self, size: int) -> tuple[int, int]:
        first, _, last = self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        return int(first), min(size, int(last) + 1) if last else size


#: What a script makes of a request: a status line with headers, and a body; None for the blob.
Script = Callable[[Asked], tuple[str, bytes] | None]


class BlobServer:
    """Serves `content` at every path. `gate(n)` holds everything from byte `n` on until `open()`, -1 the head too."""

    def __init__(self, content: bytes = b"", script: Script | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.content = content
        self.script = script
        self.tls = tls
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        self.hold_from = len(content)
        self._opened = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v2/a/blobs/x"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def gate(self, position: int) -> None:
        self.hold_from = position

    def open(self) -> None:
        self._opened.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = Asked(head, b"").headers.get("content-length", "0")
                asked = Asked(head, await reader.readexactly(int(length)))
                self.asked.append(asked)
                self.arrived.set()
                await self._answer(asked, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        scripted = self.script(asked) if self.script else None
        if scripted is not None:
            head, body = scripted
            writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            return
        if self.hold_from < 0:
            await self._opened.wait()
        size = len(self.content)
        start, end = asked.span(size)
        head = "200 OK"
        if "range" in asked.headers:
            head = f"206 Partial Content\r\nContent-Range: bytes {start}-{end - 1}/{size}"
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {end - start}\r\n\r\n".encode())
        held = min(end, max(start, self.hold_from))
        writer.write(self.content[start:held])
        await writer.drain()
        if held < end:
            await self._opened.wait()
            writer.write(self.content[held:end])
            await writer.drain()
