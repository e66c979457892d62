"""Clients that read slowly or not at all, in a process of their own that costs little.

A thread each: it takes a quarter of a second's bytes in one system call that throws them away (MSG_TRUNC, tcp(7)),
then sleeps: 500 at 64 KB/s take 0.06 CPU seconds a second. (An event loop that copied them twenty times a second was
measured instead of the server.) `python -m benches.slow_load PORT CLIENTS RATE PATH` says "ready" once everyone
has a byte, reads until its standard input ends, and prints one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the kernel takes for a client at most (SO_RCVBUF), in bytes.
RECEIVE_BUFFER = 64 << 10
READS_PER_SECOND = 4


@dataclass
class SlowLoad:
    """What the clients themselves cost: CPU seconds from their start, once they have ended."""

    client_cpu: float = 0.0


@contextlib.contextmanager
def slow_clients(port: int, path: str, clients: int, rate: float) -> Iterator[SlowLoad]:
    """So many clients read `path` at `rate` bytes a second each (0: one byte and no more) while the block runs.

    Raises RuntimeError if one of them ended before the block did.
    """
    command = [sys.executable, "-m", "benches.slow_load", str(port), str(clients), str(rate), path]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("slow clients could not begin")
        load = SlowLoad()
        yield load
        said = json.loads(process.communicate("")[0])
        load.client_cpu = said["client_cpu"]
    if said["failures"]:
        raise RuntimeError(f"{len(said['failures'])} slow clients ended early: {said['failures'][0]}")


def _read(port: int, path: str, rate: float, ready: threading.Barrier, failures: list[str]) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.connect(("127.0.0.1", port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        step = max(1, int(rate / READS_PER_SECOND))
        scrap = bytearray(max(step, 1024))
        if b" 200 " not in sock.recv(1024):
            failures.append("not a 200")
        ready.wait()
        if not rate:
            threading.Event().wait()
        received, began = 0, time.monotonic()
        while count := sock.recv_into(scrap, step, socket.MSG_TRUNC):
            received += count
            time.sleep(max(0.0, began + received / rate - time.monotonic()))
    failures.append(f"ended after {received} bytes")


def main(arguments: list[str]) -> None:
    """The process behind `slow_clients`."""
    port, clients, rate, path = int(arguments[0]), int(arguments[1]), float(arguments[2]), arguments[3]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    threading.stack_size(128 << 10)
    ready = threading.Barrier(clients + 1)
    failures: list[str] = []
    for _ in range(clients):
        threading.Thread(target=_read, args=(port, path, rate, ready, failures), daemon=True).start()
    ready.wait(60)
    print("ready", flush=True)
    sys.stdin.read()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"failures": failures, "client_cpu": usage.ru_utime + usage.ru_stime}))


if __name__ == "__main__":
    main(sys.argv[1:])
