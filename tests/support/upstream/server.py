"""The scripted upstream in this process: a thread per connection."""

import contextlib
import dataclasses
import itertools
import socket
import threading
from typing import Any

from tests.support.blobs import Blob
from tests.support.images import Image
from tests.support.upstream.api import TIMEOUT, Upstream
from tests.support.upstream.connection import Connection
from tests.support.upstream.faults import Fault, Match
from tests.support.upstream.gates import Gates
from tests.support.upstream.journal import Journal, Record
from tests.support.upstream.pace import Bucket
from tests.support.upstream.registry import Registry
from tests.support.upstream.requests import Place
from tests.support.upstream.settings import Settings


class LocalUpstream(Upstream):
    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        self._registry = Registry(dataclasses.replace(settings or Settings(), **changes), self.address)
        self._journal = Journal()
        self._gates = Gates()
        self._total = Bucket()
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._numbers = itertools.count(1)
        # Bound but never listening: the ports stay ours while we are down.
        self._reserved = [_bind(0), _bind(0)]
        self._ports = [sock.getsockname()[1] for sock in self._reserved]
        self._listeners: list[tuple[socket.socket, threading.Thread]] = []
        self.up()

    def address(self, place: Place) -> str:
        host = "localhost" if place is Place.OTHER_HOST else "127.0.0.1"
        scheme = "https" if self._registry.settings.tls else "http"
        return f"{scheme}://{host}:{self._ports[place is not Place.REGISTRY]}"

    def add(self, repository: str, image: Image, *tags: str) -> None:
        self._registry.repository(repository).add(image, *tags)

    def add_blob(self, repository: str, blob: Blob) -> None:
        self._registry.repository(repository).blobs[blob.digest] = blob

    def tag(self, repository: str, tag: str, digest: str | None) -> None:
        tags = self._registry.repository(repository).tags
        if digest is None:
            tags.pop(tag, None)
        else:
            tags[tag] = digest

    def remove(self, repository: str, digest: str | None = None) -> None:
        if digest is None:
            self._registry.repositories.pop(repository, None)
            return
        there = self._registry.repository(repository)
        there.blobs.pop(digest, None)
        there.manifests.pop(digest, None)
        there.tags = {tag: to for tag, to in there.tags.items() if to != digest}

    def configure(self, **changes: Any) -> None:
        self._registry.settings = dataclasses.replace(self._registry.settings, **changes)
        if "quota" in changes:
            self._registry.reset_quota()

    def add_fault(self, fault: Fault) -> int:
        return self._registry.add_fault(fault)

    def remove_fault(self, number: int | None = None) -> None:
        self._registry.remove_fault(number)

    def spent(self, number: int) -> int:
        return self._registry.spent(number)

    def release(self, gate: str) -> None:
        self._gates.open(gate)

    def shut(self, gate: str) -> None:
        self._gates.shut(gate)

    def expire_tokens(self) -> None:
        self._registry.doors.expire_tokens()

    def expire_addresses(self) -> None:
        self._registry.doors.expire_addresses()

    def records(self) -> list[Record]:
        return self._journal.records()

    def forget(self) -> None:
        self._journal.forget()

    def wait_sent(self, digest: str, count: int, timeout: float = TIMEOUT) -> None:
        self._journal.wait_sent(digest, count, timeout)

    def wait_held(self, gate: str, count: int = 1, timeout: float = TIMEOUT) -> None:
        self._journal.wait_held(gate, count, timeout)

    def wait_requests(self, match: Match, count: int = 1, timeout: float = TIMEOUT, *, ended: bool = False) -> None:
        self._journal.wait_requests(match, count, timeout, ended=ended)

    def up(self) -> None:
        if self._listeners:
            return
        for port, place in zip(self._ports, (Place.REGISTRY, Place.OTHER_PORT), strict=True):
            listener = _bind(port)
            listener.listen(4096)
            thread = threading.Thread(target=self._accept, args=(listener, place), daemon=True)
            thread.start()
            self._listeners.append((listener, thread))

    def down(self) -> None:
        for listener, thread in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
        self._listeners.clear()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.abort()
        for thread in connections.values():
            thread.join()

    def close(self) -> None:
        self.down()
        for sock in self._reserved:
            sock.close()
        self._gates.close()

    def _accept(self, listener: socket.socket, place: Place) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._begin(listener.accept()[0], place)

    def _begin(self, sock: socket.socket, place: Place) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send_buffer = self._registry.settings.send_buffer
        if send_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        number = next(self._numbers)
        connection = Connection(
            sock,
            place=place,
            number=number,
            registry=self._registry,
            journal=self._journal,
            gates=self._gates,
            total=self._total,
        )
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True, name=f"upstream-{number}")
        with self._lock:
            self._connections[connection] = thread
        thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve()
        finally:
            with self._lock:
                del self._connections[connection]


def _bind(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
