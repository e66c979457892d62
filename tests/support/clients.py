"""HTTP clients for tests: exact about bytes, times and endings; slow, stalled and leaving ones too."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from tests.support.blobs import Blob

BUFFER = 256 << 10
HEAD_LIMIT = 64 << 10
TIMEOUT = 60.0
"""Seconds without any byte after which a test has failed."""


@dataclass
class Reply:
    """An answer as it came. Times are time.monotonic()."""

    asked: float
    """When the request had been sent."""
    status: int = 0
    """0: the connection ended before a status line."""
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case; several values joined by a comma."""
    body: bytes = b""
    """Kept unless `expect` or `keep=False` was given."""
    received: int = 0
    """Body bytes."""
    headed: float | None = None
    first_byte: float | None = None
    """When the first of the body arrived."""
    ended: float = 0
    complete: bool = False
    """Ended as announced: all of Content-Length, or the last chunk. False: cut short, or the client left."""
    left: bool = False
    """The client went before the end, as it was told."""
    reset: bool = False
    same: bool | None = None
    """Whether every byte received was the expected one; None without `expect`."""
    sha256: str | None = None

    @property
    def right(self) -> bool:
        """A 200 or 206 that came whole, every byte as expected."""
        return self.status in (200, 206) and self.complete and self.same is not False


class Pace:
    """What a slow client does between two reads; one that stalls waits for `resume`."""

    def __init__(self, rate: float | None = None, stall_after: int | None = None) -> None:
        self._rate = rate
        self._stall_after = stall_after
        self._begun: float | None = None
        self.stalled = asyncio.Event()
        self.resume = asyncio.Event()

    def limit(self, received: int) -> int:
        """How much to read next at most."""
        limit = BUFFER if self._rate is None else max(1024, min(BUFFER, int(self._rate / 20)))
        if self._stall_after is not None and received < self._stall_after:
            limit = min(limit, self._stall_after - received)
        return limit

    async def wait(self, received: int) -> None:
        if self._stall_after is not None and received >= self._stall_after and not self.resume.is_set():
            self.stalled.set()
            await self.resume.wait()
        if self._rate is not None:
            self._begun = self._begun or time.monotonic()
            await asyncio.sleep(max(0.0, self._begun + received / self._rate - time.monotonic()))


class Connection:
    """One connection to a server, for one request after another."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self._sock = sock
        self._host = host
        self._buffer = bytearray(BUFFER)
        self._early = b""

    @classmethod
    async def open(cls, url: str, receive_buffer: int | None = None) -> Self:
        """`receive_buffer` (SO_RCVBUF) bounds what the kernel takes for a client that does not read."""
        parts = urlsplit(url)
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port or 80))
        except BaseException:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, parts.netloc)

    async def request(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        expect: Blob | None = None,
        offset: int = 0,
        hashed: bool = False,
        keep: bool | None = None,
        pace: Pace | None = None,
        leave_after: int | None = None,
        framed: bool = False,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 it is for one read, not for the whole
    ) -> Reply:
        """Sends a request and reads the answer to its end.

        `expect`: compare every byte with the blob's, from `offset` on. `hashed`: sha256 of the body.
        `framed`: the body is in chunked coding already.
        `leave_after`: close the connection after so many body bytes. `timeout`: seconds for one read.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body and not framed:
            lines.append(f"Content-Length: {len(body)}")
        loop = asyncio.get_running_loop()
        message = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        reply = Reply(time.monotonic())
        sink = _Sink(reply, expect, offset, hashed=hashed, keep=keep if keep is not None else expect is None)
        try:
            await loop.sock_sendall(self._sock, message)
            reply.asked = time.monotonic()
            if await self._head(reply, timeout):
                whole = method == "HEAD" or reply.status in (204, 304)
                reply.complete = whole or await self._body(reply, sink, pace or Pace(), leave_after, timeout)
        except (ConnectionResetError, BrokenPipeError):
            reply.reset = True
        reply.ended = time.monotonic()
        sink.finish()
        if not reply.complete:
            self.close()
        return reply

    async def send_part(self, target: str, method: str, body: bytes, *, announced: int) -> None:
        """Sends a request whose body is shorter than its Content-Length says; what follows is up to the caller."""
        head = f"{method} {target} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {announced}\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(self._sock, head.encode() + body)

    async def _head(self, reply: Reply, timeout: float) -> bool:  # noqa: ASYNC109
        while (end := self._early.find(b"\r\n\r\n")) < 0:
            early, self._early = self._early, b""
            count = await self._read(HEAD_LIMIT, timeout)
            if not count:
                return False
            self._early = early + self._buffer[:count]
        head, self._early = self._early[:end].decode("latin-1"), self._early[end + 4 :]
        first, *lines = head.split("\r\n")
        reply.status, reply.headed = int(first.split(" ")[1]), time.monotonic()
        for line in lines:
            name, _, value = line.partition(":")
            known = reply.headers.get(name.lower())
            reply.headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
        return True

    async def _body(
        self,
        reply: Reply,
        sink: "_Sink",
        pace: Pace,
        leave_after: int | None,
        timeout: float,  # noqa: ASYNC109
    ) -> bool:
        """Whether it came whole."""
        chunked = "chunked" in reply.headers.get("transfer-encoding", "").lower()
        length = reply.headers.get("content-length")
        left = 0 if chunked else int(length) if length is not None else 1 << 62
        while left or chunked:
            if not left:
                line = await self._line(timeout)
                if line is None:
                    return False
                left = int(line.split(b";")[0], 16)
                if left == 0:
                    return await self._line(timeout) == b""
            limit = min(left, pace.limit(reply.received))
            if leave_after is not None:
                limit = min(limit, leave_after - reply.received)
                if limit <= 0:
                    reply.left = True
                    return False
            count = await self._read(limit, timeout)
            if not count:
                return not chunked and length is None
            left -= count
            sink.take(self._buffer, count)
            if chunked and not left and await self._line(timeout) != b"":
                return False
            await pace.wait(reply.received)
        return True

    async def _line(self, timeout: float) -> bytes | None:  # noqa: ASYNC109
        """The next line of a chunked body's framing; None at the connection's end."""
        while (end := self._early.find(b"\r\n")) < 0:
            early, self._early = self._early, b""
            count = await self._read(4096, timeout)
            if not count:
                return None
            self._early = early + self._buffer[:count]
        line, self._early = self._early[:end], self._early[end + 2 :]
        return line

    async def _read(self, limit: int, timeout: float) -> int:  # noqa: ASYNC109
        """Into the buffer: what came early, else from the socket."""
        if self._early:
            count = min(limit, len(self._early))
            self._buffer[:count], self._early = self._early[:count], self._early[count:]
            return count
        view = memoryview(self._buffer)[:limit]
        try:
            # Straight away where bytes wait already: a time-out's bookkeeping costs more than the read.
            count = self._sock.recv_into(view)
        except BlockingIOError:
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().sock_recv_into(self._sock, view)
        # Others have bytes waiting too.
        await asyncio.sleep(0)
        return count

    def close(self) -> None:
        self._sock.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    expect: Blob | None = None,
    offset: int = 0,
    hashed: bool = False,
    keep: bool | None = None,
    pace: Pace | None = None,
    leave_after: int | None = None,
    receive_buffer: int | None = None,
    timeout: float = TIMEOUT,  # noqa: ASYNC109
) -> Reply:
    """One request on a connection of its own; arguments as `Connection.request` has them. Refused: OSError."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    async with await Connection.open(url, receive_buffer) as connection:
        return await connection.request(
            target or "/",
            method=method,
            headers=headers,
            body=body,
            expect=expect,
            offset=offset,
            hashed=hashed,
            keep=keep,
            pace=pace,
            leave_after=leave_after,
            timeout=timeout,
        )


def get(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, expect: Blob | None = None
) -> Reply:
    """`fetch` for tests without a loop."""
    return asyncio.run(fetch(url, method=method, headers=headers, expect=expect))


class _Sink:
    """Where body bytes go: compared, hashed, kept, counted."""

    def __init__(self, reply: Reply, expect: Blob | None, offset: int, *, hashed: bool, keep: bool) -> None:
        self._reply = reply
        self._expect = expect
        self._offset = offset
        self._hash = hashlib.sha256() if hashed else None
        self._kept = bytearray() if keep else None
        if expect is not None:
            reply.same = True

    def take(self, buffer: bytearray, count: int) -> None:
        reply = self._reply
        reply.first_byte = reply.first_byte or time.monotonic()
        if self._expect is not None and not self._expect.same(self._offset + reply.received, buffer, count):
            reply.same = False
        if self._hash is not None:
            self._hash.update(memoryview(buffer)[:count])
        if self._kept is not None:
            self._kept += memoryview(buffer)[:count]
        reply.received += count

    def finish(self) -> None:
        if self._kept is not None:
            self._reply.body = bytes(self._kept)
        if self._hash is not None:
            self._reply.sha256 = f"sha256:{self._hash.hexdigest()}"
