"""The scripted upstream in a process of its own, for storms and benches; same methods, sent over a socket."""

import subprocess
import sys
import threading
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from tests.support.blobs import Blob
from tests.support.images import Image
from tests.support.upstream.api import TIMEOUT, Upstream
from tests.support.upstream.faults import Fault, Match
from tests.support.upstream.journal import Record
from tests.support.upstream.requests import Place
from tests.support.upstream.settings import Settings


class UpstreamProcess(Upstream):
    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        # It ends when its standard input does, which is when this process does, however that comes.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.upstream"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert self._process.stdout is not None
        self._socket = self._process.stdout.readline().decode().strip()
        if not self._socket:
            raise RuntimeError(f"the upstream's process ended with {self._process.wait()}")
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._addresses: dict[Place, str] = {}
        if settings is not None:
            changes = {**vars(settings), **changes}
        if changes:
            self.configure(**changes)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        # A connection a call at a time: one may wait long while others act.
        connection = connection or Client(self._socket)
        connection.send((method, arguments, named))
        good, result = connection.recv()
        with self._lock:
            self._idle.append(connection)
        if not good:
            raise result
        return result

    def address(self, place: Place) -> str:
        if place not in self._addresses:
            self._addresses[place] = self._call("address", place)
        return self._addresses[place]

    def add(self, repository: str, image: Image, *tags: str) -> None:
        self._call("add", repository, image, *tags)

    def add_blob(self, repository: str, blob: Blob) -> None:
        self._call("add_blob", repository, blob)

    def tag(self, repository: str, tag: str, digest: str | None) -> None:
        self._call("tag", repository, tag, digest)

    def remove(self, repository: str, digest: str | None = None) -> None:
        self._call("remove", repository, digest)

    def configure(self, **changes: Any) -> None:
        self._call("configure", **changes)
        self._addresses.clear()

    def add_fault(self, fault: Fault) -> int:
        return int(self._call("add_fault", fault))

    def remove_fault(self, number: int | None = None) -> None:
        self._call("remove_fault", number)

    def spent(self, number: int) -> int:
        return int(self._call("spent", number))

    def release(self, gate: str) -> None:
        self._call("release", gate)

    def shut(self, gate: str) -> None:
        self._call("shut", gate)

    def expire_tokens(self) -> None:
        self._call("expire_tokens")

    def expire_addresses(self) -> None:
        self._call("expire_addresses")

    def down(self) -> None:
        self._call("down")

    def up(self) -> None:
        self._call("up")

    def records(self) -> list[Record]:
        records: list[Record] = self._call("records")
        return records

    def forget(self) -> None:
        self._call("forget")

    def wait_sent(self, digest: str, count: int, timeout: float = TIMEOUT) -> None:
        self._call("wait_sent", digest, count, timeout)

    def wait_held(self, gate: str, count: int = 1, timeout: float = TIMEOUT) -> None:
        self._call("wait_held", gate, count, timeout)

    def wait_requests(self, match: Match, count: int = 1, timeout: float = TIMEOUT, *, ended: bool = False) -> None:
        self._call("wait_requests", match, count, timeout, ended=ended)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        self._process.communicate()
