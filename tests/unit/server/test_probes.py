import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from pyregistry.config import ConfigError
from pyregistry.server.listeners import Address
from pyregistry.server.probes import CONNECTIONS, Probes


class State:
    ready = True

    def report(self) -> tuple[bool, list[dict[str, Any]]]:
        return self.ready, [{"slot": 0}]


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def probes(tmp_path: Path, state: State) -> Iterator[Probes]:
    made = Probes(Address.parse("metrics.listen", "127.0.0.1:0"), tmp_path)
    made.start(state.report)
    yield made
    made.close()


def get(probes: Probes, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://{probes.location}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_readiness(probes: Probes, state: State) -> None:
    status, body = get(probes, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "storage": "writable", "workers": [{"slot": 0}]})
    state.ready = False
    assert get(probes, "/readyz?verbose")[0] == 503
    assert get(probes, "/livez")[0] == 200


def test_storage_that_cannot_be_written_is_not_ready(probes: Probes, tmp_path: Path) -> None:
    tmp_path.rmdir()
    status, body = get(probes, "/readyz")
    assert (status, json.loads(body)["storage"]) == (503, "No such file or directory")
    assert get(probes, "/livez")[0] == 200
    tmp_path.mkdir()
    assert get(probes, "/readyz")[0] == 200


def test_methods_and_paths(probes: Probes) -> None:
    assert get(probes, "/metrics", "HEAD") == (200, b"")
    assert get(probes, "/")[0] == 404
    assert get(probes, "/metrics", "POST")[0] == 501


def test_a_failing_answer_is_an_error_and_no_end(probes: Probes, state: State) -> None:
    def broken() -> tuple[bool, list[dict[str, Any]]]:
        raise OSError("gone")

    probes.start(broken)
    assert get(probes, "/readyz")[0] == 500
    assert get(probes, "/livez")[0] == 200


def test_silent_connections_are_bounded(probes: Probes) -> None:
    host, _, port = probes.location.rpartition(":")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port))))
        beyond = stack.enter_context(socket.create_connection((host, int(port)), 30))
        assert beyond.recv(1) == b""


def test_a_taken_port(probes: Probes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen: cannot listen"):
        Probes(Address.parse("metrics.listen", probes.location), tmp_path)
