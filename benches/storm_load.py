"""Many clients that pull one image at once, in a process of its own that costs little.

A thread for each client and layer; bodies are thrown away in the kernel (`benches.load`). Times are time.monotonic(),
which all processes of a machine share. `python -m benches.storm_load PORT` reads one JSON object (clients, tag,
manifests, blobs: paths) from standard input and prints one.
"""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benches.load import body_length, discard, read_head
from tests.support.storms import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.images import Image


@dataclass(frozen=True)
class Layer:
    """One client's pull of one blob: when it began with the image, asked for this and got its first byte; its bytes."""

    path: str
    begun: float
    asked: float
    first_byte: float
    received: int


@dataclass(frozen=True)
class Storm:
    """What a storm took: seconds from the first request to the last byte, the load's own CPU seconds, every pull."""

    seconds: float
    client_cpu: float
    layers: list[Layer]


def run_storm(port: int, repository: str, tag: str, image: Image, clients: int, *, index: Image | None = None) -> Storm:
    """So many clients pull as containerd does: HEAD by tag, GET by digest, then config and layers all at once.

    `index`: what the tag names, if that is an index with the image in it. RuntimeError if a client failed.
    """
    base = f"/v2/{repository}"
    asked = {
        "clients": clients,
        "tag": f"{base}/manifests/{tag}",
        "manifests": [f"{base}/manifests/{part.digest}" for part in (index, image) if part is not None],
        "blobs": [f"{base}/blobs/{blob.digest}" for blob in image.blobs],
    }
    done = subprocess.run(
        [sys.executable, "-m", "benches.storm_load", str(port)],
        cwd=Path(__file__).parents[1],
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    said = json.loads(done.stdout)
    return Storm(said["seconds"], said["client_cpu"], [Layer(**layer) for layer in said["layers"]])


class _Clients:
    def __init__(self, port: int, asked: dict[str, object]) -> None:
        self._port = port
        self._asked = asked
        self.layers: list[Layer] = []
        self.failures: list[str] = []

    def run(self, count: int) -> None:
        _all([threading.Thread(target=self._guarded, args=(self._client,)) for _ in range(count)])

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except (OSError, ValueError) as failure:
            self.failures.append(f"{failure}")

    def _client(self) -> None:
        begun = time.monotonic()
        manifests, blobs = self._asked["manifests"], self._asked["blobs"]
        assert isinstance(manifests, list)
        assert isinstance(blobs, list)
        with self._connected() as sock:
            self._ask(sock, "HEAD", str(self._asked["tag"]))
            for path in manifests:
                self._ask(sock, "GET", path)
        _all([threading.Thread(target=self._guarded, args=(self._blob, path, begun)) for path in blobs])

    def _blob(self, path: str, begun: float) -> None:
        with self._connected() as sock:
            sock.sendall(_request("GET", path, self._port))
            asked = time.monotonic()
            length = body_length(read_head(sock))
            sock.recv(1, socket.MSG_PEEK)
            first_byte = time.monotonic()
            discard(sock, length)
        self.layers.append(Layer(path, begun, asked, first_byte, length))

    def _ask(self, sock: socket.socket, method: str, path: str) -> None:
        sock.sendall(_request(method, path, self._port))
        head = read_head(sock)
        if method == "GET":
            discard(sock, body_length(head))

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port))


def _request(method: str, path: str, port: int) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {ACCEPT}\r\n\r\n".encode()


def _all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(arguments: list[str]) -> None:
    """The process behind `run_storm`."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    threading.stack_size(128 << 10)
    asked = json.load(sys.stdin)
    clients = _Clients(int(arguments[0]), asked)
    began = time.monotonic()
    clients.run(asked["clients"])
    seconds = time.monotonic() - began
    if clients.failures:
        raise SystemExit(f"{len(clients.failures)} failed: {clients.failures[0]}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": seconds,
                "client_cpu": usage.ru_utime + usage.ru_stime,
                "layers": [asdict(layer) for layer in clients.layers],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
