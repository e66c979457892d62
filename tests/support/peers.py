"""Real registries to mirror from: distribution."""

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.support.images import Image
from tests.support.layout import write_layout
from tests.support.ports import port_of, reserve
from tests.support.surroundings import quiet_environment
from tests.support.tools import crane, find, skopeo

READY_WITHIN = 30.0


class Distribution:
    """
    >>> with Distribution(tmp_path) as registry:
    ...     registry.push("team/app", "v1", image)
    ...     skopeo("inspect", "--tls-verify=false", f"docker://{registry.host}/team/app:v1")
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._port = reserve()
        self.host = f"127.0.0.1:{port_of(self._port)}"
        self.url = f"http://{self.host}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        config = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}, "level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self._folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
        }
        file = self._folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        program = find("registry", "docker-registry")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "serve", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**quiet_environment(), "OTEL_TRACES_EXPORTER": "none"},
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
                if _listens(self._port.getsockname()):
                    return
                # It has no way to tell us; its end would wake us.
                if select.select([ended], [], [], 0.01)[0]:
                    break
            raise RuntimeError(f"the registry does not serve:\n{self.log}")
        finally:
            os.close(ended)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def push(self, repository: str, tag: str, image: Image) -> None:
        """Pushes an image, all its platforms, bytes unchanged, by crane (skopeo reads layouts of OCI types alone)."""
        layout = write_layout(self._folder / "layouts" / image.digest.replace(":", "-"), {"pushed": image})
        crane("push", str(layout), f"{self.host}/{repository}:{tag}")

    def push_layout(self, repository: str, tag: str, layout: Path, layout_tag: str) -> None:
        """Pushes an image of OCI types from a layout, by skopeo."""
        target = f"docker://{self.host}/{repository}:{tag}"
        source = f"oci:{layout}:{layout_tag}"
        skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", source, target)

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._port.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(address) == 0
