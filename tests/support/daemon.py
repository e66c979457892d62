"""Servers that do not say when they are ready: started, waited for until they listen, stopped, killed."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.ports import port_of, reserve
from tests.support.surroundings import quiet_environment

READY_WITHIN = 30.0
STOPPED_WITHIN = 10.0


class Daemon:
    """A program that listens on `host`, a port of its own on 127.0.0.1; its output goes to `folder`/log."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._reserved = reserve()
        self.port = port_of(self._reserved)
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self._log = folder / "log"
        self._environment = {**quiet_environment(), **(environment or {})}
        self._command: Sequence[str] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str] = ()) -> Self:
        """Starts `command` (without one: that of the last start) and returns when it listens."""
        self._command = command or self._command
        with self._log.open("ab") as log:
            # util-linux's setpriv becomes the command: it dies with the thread that starts it, however the tests end.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self.close()
            raise
        return self

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        ended = os.pidfd_open(process.pid)
        try:
            deadline = time.monotonic() + READY_WITHIN
            while time.monotonic() < deadline:
                if _listens(self._reserved.getsockname()):
                    return
                # It has no way to tell us; its end would wake us.
                if select.select([ended], [], [], 0.01)[0]:
                    break
            raise RuntimeError(f"{self._command[0]} does not serve:\n{self.log}")
        finally:
            os.close(ended)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def processes(self) -> list[int]:
        """The program and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main.pid, *(child.pid for child in main.children(recursive=True))]
        return []

    def kill(self) -> None:
        """SIGKILL to all its processes; returns when they are gone. `start` starts it again."""
        gone = []
        for pid in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                process.kill()
                gone.append(process)
        psutil.wait_procs(gone, STOPPED_WITHIN)
        assert self._process is not None
        self._process.wait()

    def close(self) -> None:
        """SIGTERM, and SIGKILL to what does not end in ten seconds."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address) == 0
