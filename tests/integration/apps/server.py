"""Runs `main.py`, and waits for what it says: lines of its log, words to its service manager, its end."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.support.surroundings import quiet_environment

#: Seconds after which a test has failed; nothing is measured by it.
PATIENCE = 40.0


class Server:
    """A server of the test application on ports of its own choice."""

    def __init__(
        self,
        root: Path,
        *,
        workers: int = 2,
        drain: float = 30.0,
        behaviour: str = "serve",
        http: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **timing: Any,
    ) -> None:
        self.root = root
        self._folder = tempfile.TemporaryDirectory(prefix="server-")
        self._given = {
            "config": {
                "http": {"listen": "127.0.0.1:0", "workers": workers, "drain": drain, **(http or {})},
                "storage": {"root": str(root)},
                "metrics": {"listen": "127.0.0.1:0"},
            },
            "timing": timing,
            "behaviour": behaviour,
        }
        self._environment = {**quiet_environment(), **(environment or {})}
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._seen = 0
        self._ended = False

    def start(self, *, ready: bool = True) -> Self:
        notify = str(Path(self._folder.name) / "notify")
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.settimeout(PATIENCE)
        self.notified.bind(notify)
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("main.py")), json.dumps(self._given)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**self._environment, "NOTIFY_SOCKET": notify},
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        announced = self.line(r"listening on https?://(\S+), metrics on http://(\S+)/metrics")
        self.address, self.probes = announced[1], announced[2]
        if ready:
            assert b"READY=1" in self.notified.recv(4096).split(b"\n")
        return self

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self._lines.append(line.decode())
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def line(self, pattern: str) -> re.Match[str]:
        """The next line, after the one found last, that has `pattern`."""
        with self._more:
            while True:
                while self._seen < len(self._lines):
                    self._seen += 1
                    if found := re.search(pattern, self._lines[self._seen - 1]):
                        return found
                assert not self._ended, f"ended without {pattern!r}:\n{self.log}"
                assert self._more.wait(PATIENCE), f"no {pattern!r} in:\n{self.log}"

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def worker(self, slot: int) -> int:
        """The process id of the worker in `slot`, from the log."""
        return int(re.findall(rf"worker {slot} started, process (\d+)", self.log)[-1])

    def wait(self) -> int:
        """The exit code, and the whole log."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def connect(self) -> socket.socket:
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), PATIENCE)

    def request(self, path: str, headers: str = "") -> "Exchange":
        """Sends a request on a connection of its own."""
        exchange = Exchange(self.connect())
        exchange.send(path, headers)
        return exchange

    def who(self) -> tuple[int, int]:
        """Slot and process that answer a request on a connection of its own."""
        with self.request("/who") as exchange:
            return exchange.worker()

    @contextmanager
    def gate(self) -> Iterator["Gate"]:
        with Gate(Path(tempfile.mkdtemp(dir=self._folder.name)) / "gate") as gate:
            yield gate

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.notified.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._folder.cleanup()


class Gate:
    """Where a response waits for the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.settimeout(PATIENCE)
        self._listener.bind(str(path))
        self._listener.listen()
        self._inside: socket.socket | None = None

    def reached(self) -> None:
        """Returns when a response stands before it."""
        self._inside, _ = self._listener.accept()

    def open(self) -> None:
        assert self._inside is not None
        self._inside.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        if self._inside is not None:
            self._inside.close()


class Exchange:
    """Requests on one connection, and what comes back."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._data = b""
        self._head = ""

    def send(self, path: str, headers: str = "") -> None:
        self.connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n".encode())
        self._head = ""

    def header(self, name: str) -> str:
        while not self._head:
            if b"\r\n\r\n" in self._data:
                head, _, self._data = self._data.partition(b"\r\n\r\n")
                self._head = head.decode()
            else:
                assert self._more(), "no response"
        found = re.search(rf"^{name}: (.*?)\r?$", self._head, re.MULTILINE | re.IGNORECASE)
        assert found, f"no {name} in {self._head}"
        return found[1]

    def worker(self) -> tuple[int, int]:
        """Slot and process that answer."""
        slot, pid = self.header("worker").split()
        return int(slot), int(pid)

    def body(self) -> bytes:
        """The whole body, or what came of it before the connection ended."""
        length = int(self.header("content-length"))
        while len(self._data) < length and self._more():
            pass
        body, self._data = self._data[:length], self._data[length:]
        return body

    def ended(self) -> bool:
        """Waits for the other side; whether it closed the connection."""
        return not self._data and not self._more()

    def _more(self) -> bool:
        try:
            piece = self.connection.recv(65536)
        except ConnectionResetError:
            return False
        self._data += piece
        return bool(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def wait_gone(pids: list[int]) -> None:
    """Returns when these processes have ended, whoever their parent is."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([descriptor], [], [], PATIENCE)[0], f"process {pid} lives"
        finally:
            os.close(descriptor)
