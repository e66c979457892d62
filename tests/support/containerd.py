"""containerd with a folder of its own: the client that sends `?ns=`."""

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.surroundings import quiet_environment
from tests.support.tools import find, run

READY_WITHIN = 30


class Containerd:
    """
    >>> with Containerd(tmp_path, {"ghcr.io": hosts_toml}) as containerd:
    ...     containerd.fetch("ghcr.io/org/app:v1")
    """

    def __init__(self, folder: Path, hosts: dict[str, str]) -> None:
        """`hosts`: by registry, the text of its `hosts.toml`."""
        self._folder = folder
        # A socket's path has 107 characters at most; pytest's folders are longer.
        self._short = tempfile.TemporaryDirectory(prefix="containerd-")
        self._socket = Path(self._short.name) / "sock"
        self._certs = folder / "certs.d"
        for name, text in hosts.items():
            (self._certs / name).mkdir(parents=True)
            (self._certs / name / "hosts.toml").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Starts the daemon and waits until it listens."""
        folder = self._folder
        paths = ["--root", str(folder / "root"), "--state", str(folder / "state"), "--address", str(self._socket)]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", find("containerd"), *paths], stderr=log, env=quiet_environment()
            )
        deadline = time.monotonic() + READY_WITHIN
        with socket.socket(socket.AF_UNIX) as probe:
            while probe.connect_ex(str(self._socket)):
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise RuntimeError(f"containerd does not serve:\n{(folder / 'log').read_text()}")
                # Until it is there or has died, whichever comes first.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.02)
        return self

    def fetch(self, name: str) -> None:
        """Fetches an image with all its platforms into the content store."""
        self._ctr("content", "fetch", "--hosts-dir", str(self._certs), "--all-platforms", name)

    def digests(self) -> set[str]:
        """What the content store has; containerd verified each."""
        return set(self._ctr("content", "ls", "-q").split())

    def _ctr(self, *arguments: str) -> str:
        return run("ctr", "-a", str(self._socket), *arguments)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._short.cleanup()
