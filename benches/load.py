"""A load client that costs little: whole bodies thrown away in the kernel, in a process of its own.

Bodies are discarded by recv with MSG_TRUNC (tcp(7)): the bytes are never copied to user space, so that what is measured
is the server. `python -m benches.load PORT CONNECTIONS PATH...` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_STEP = 1 << 20
_HEAD = 16 << 10


@dataclass(frozen=True)
class Drained:
    """What a drain took: body bytes of all connections, seconds, and the client's own CPU seconds."""

    received: int
    seconds: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.received / self.seconds


def drain(port: int, path: str, *, connections: int = 1, times: int = 1) -> Drained:
    """Gets `path` `times` on each of so many connections at once, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benches.load", str(port), str(connections), *([path] * times)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=True,
    )
    return Drained(**json.loads(done.stdout))


def read_head(sock: socket.socket) -> bytes:
    """Status line and headers of a 200 or 206, not a byte more; ValueError for any other answer."""
    end, seen = 0, 0
    while end < 4:
        # What has come stays in the kernel until the whole head is there: the body is never copied.
        head = sock.recv(_HEAD, socket.MSG_PEEK)
        if len(head) == seen:
            raise ValueError("closed before the head's end")
        end, seen = head.find(b"\r\n\r\n") + 4, len(head)
    head = sock.recv(end)
    if head.split(b" ", 2)[1] not in (b"200", b"206"):
        raise ValueError(head.decode("latin-1"))
    return head


def body_length(head: bytes) -> int:
    """What Content-Length says."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("no Content-Length")


def discard(sock: socket.socket, length: int) -> None:
    """Takes so many bytes without copying them; ValueError if the connection ends before."""
    scrap = bytearray(min(length, _STEP))
    while length:
        # MSG_WAITALL: one system call for many packets.
        count = sock.recv_into(scrap, min(length, _STEP), socket.MSG_TRUNC | socket.MSG_WAITALL)
        if not count:
            raise ValueError(f"{length} bytes missing")
        length -= count


def _get(port: int, paths: list[str], received: list[int], failures: list[str]) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            for path in paths:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                length = body_length(read_head(sock))
                discard(sock, length)
                received.append(length)
    except (OSError, ValueError) as failure:
        failures.append(f"{failure}")


def main(arguments: list[str]) -> None:
    """The process behind `drain`."""
    port, connections, paths = int(arguments[0]), int(arguments[1]), arguments[2:]
    received: list[int] = []
    failures: list[str] = []
    threads = [threading.Thread(target=_get, args=(port, paths, received, failures)) for _ in range(connections)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    if failures:
        raise SystemExit("; ".join(failures))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"received": sum(received), "seconds": seconds, "client_cpu": usage.ru_utime + usage.ru_stime}))


if __name__ == "__main__":
    main(sys.argv[1:])
