"""`pyregistry serve` as a process of its own, ready when it says so."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import psutil
import yaml

from tests.support.ports import port_of, reserve
from tests.support.surroundings import quiet_environment

READY_WITHIN = 30.0
"""Seconds for a start on a busy machine; a test that needs them all has failed."""
WORKER = "pyregistry.worker"
"""What a worker's command line has."""


class ServeError(Exception):
    """It ended, or was not ready in time; the message has its log."""


class Serve:
    """
    >>> with Serve(root, upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s"}}) as server:
    ...     run_storm(server.url, [("library/app", "v1")], image)
    ...     server.kill_worker(server.workers()[0])

    `upstreams`: name to URL, or to the upstream's whole configuration; the first is the default. Other arguments are
    sections of the configuration, merged into what is set here.
    """

    def __init__(
        self,
        root: Path,
        upstreams: Mapping[str, str | Mapping[str, Any]] | None = None,
        *,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
        arguments: Iterable[str] = (),
        program: Iterable[str] = (sys.executable, "-m", "pyregistry", "serve"),
        **config: Any,
    ) -> None:
        self._ports = [reserve(), reserve()]
        self.host = f"127.0.0.1:{port_of(self._ports[0])}"
        self.url = f"http://{self.host}"
        self.metrics_url = f"http://127.0.0.1:{port_of(self._ports[1])}"
        self.root = root
        self._folder = tempfile.TemporaryDirectory(prefix="serve-")
        folder = Path(self._folder.name)
        self._log = folder / "log"
        self.config = _merged(self._defaults(upstreams or {}, workers), config)
        self.config_file = folder / "config.yaml"
        self.rewrite_config()
        self._notify_path = folder / "notify"
        self._environment = {**quiet_environment(), **(environment or {}), "NOTIFY_SOCKET": str(self._notify_path)}
        self._command = [*program, "--config", str(self.config_file), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def _defaults(self, upstreams: Mapping[str, str | Mapping[str, Any]], workers: int) -> dict[str, Any]:
        named = {name: {"url": u} if isinstance(u, str) else dict(u) for name, u in upstreams.items()}
        mirror: dict[str, Any] = {"upstreams": named}
        if named:
            mirror["default"] = next(iter(named))
        return {
            # A test that leaves a client hanging must not wait for it.
            "http": {"listen": self.host, "workers": workers, "drain": "2s"},
            "storage": {"root": str(self.root)},
            "mirror": mirror,
            "metrics": {"listen": self.metrics_url.removeprefix("http://")},
            "log": {"level": "info", "format": "json"},
        }

    def rewrite_config(self) -> None:
        """Writes `config` as it is now, for the next start."""
        self.config_file.write_text(yaml.safe_dump(self.config))

    def start(self) -> Self:
        """Starts it (again: the same port, root and log) and waits until it is ready."""
        self._notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self._log.open("ab") as log:
            notify.bind(str(self._notify_path))
            # util-linux's setpriv becomes the command: it dies with the thread that starts it, however the tests end.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=Path(__file__).parents[2],
            )
            try:
                self._wait_ready(notify, self._process)
            except BaseException:
                self.kill_all()
                raise
        return self

    def _wait_ready(self, notify: socket.socket, process: subprocess.Popen[bytes]) -> None:
        ended = os.pidfd_open(process.pid)
        try:
            deadline = time.monotonic() + READY_WITHIN
            waiting = select.poll()
            for descriptor in (notify.fileno(), ended):
                waiting.register(descriptor, select.POLLIN)
            while (left := deadline - time.monotonic()) > 0:
                ready = [descriptor for descriptor, _ in waiting.poll(left * 1000)]
                if notify.fileno() in ready and b"READY=1" in notify.recv(4096).split(b"\n"):
                    return
                if ended in ready:
                    raise ServeError(f"serve ended with {process.wait()}:\n{self.log}")
            raise ServeError(f"serve was not ready in {READY_WITHIN} s:\n{self.log}")
        finally:
            os.close(ended)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything it wrote, over all starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        """The log's JSON lines."""
        lines = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    lines.append(value)
        return lines

    def workers(self) -> list[int]:
        """Process ids of the workers that live now, oldest first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
            return [c.pid for c in sorted(children, key=lambda c: c.create_time()) if _is_worker(c)]
        return []

    def processes(self) -> list[int]:
        """Main and all its children."""
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main.pid, *(child.pid for child in main.children(recursive=True))]
        return []

    def kill_worker(self, pid: int) -> None:
        """SIGKILL; returns when the process is gone."""
        _kill([pid])

    def kill_all(self) -> None:
        """SIGKILL to main and every child; returns when they are gone. `start` starts it again."""
        if self._process is not None:
            _kill(self.processes())
            self._process.wait()

    def terminate(self, timeout: float = 30.0) -> int:
        """SIGTERM; the exit code once it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def pss(self) -> int:
        """Bytes of memory of all its processes, shared pages by their share."""
        return pss(self.processes())

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            try:
                self.terminate(10.0)
            except subprocess.TimeoutExpired:
                self.kill_all()
                raise
        for sock in self._ports:
            sock.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._process = None
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"log of serve, its end:\n{self.log[-4000:]}")
            self.kill_all()
        self.close()


def pss(pids: Iterable[int]) -> int:
    """Proportional set size of these processes in bytes; those that have gone count nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) << 10
    return total


def _is_worker(process: psutil.Process) -> bool:
    try:
        return WORKER in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            gone = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(gone, signal.SIGKILL)
                # Readable once it is dead, whoever its parent is.
                # Not select: a test may hold more than its 1,024 descriptors.
                waiting = select.poll()
                waiting.register(gone, select.POLLIN)
                waiting.poll(10_000)
            finally:
                os.close(gone)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        known = result.get(key)
        nested = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(cast("Mapping[str, Any]", known), value) if nested else value
    return result
