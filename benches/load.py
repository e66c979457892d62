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


def _get(port: int, paths: list[str], received: list[int], failures: list[str]) -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", port))
        buffer = bytearray(64 << 10)
        for path in paths:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                count = sock.recv_into(buffer, 1)
                if not count:
                    failures.append("closed before the head's end")
                    return
                head += buffer[:count]
            status, length = head.split(b" ", 2)[1], _length(head)
            if status not in (b"200", b"206"):
                failures.append(head.decode("latin-1"))
                return
            left = length
            scrap = bytearray(_STEP)
            while left:
                # MSG_WAITALL: one system call for many packets.
                count = sock.recv_into(scrap, min(left, _STEP), socket.MSG_TRUNC | socket.MSG_WAITALL)
                if not count:
                    failures.append(f"{left} bytes missing")
                    return
                left -= count
            received.append(length)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("no Content-Length")


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
