"""The harness around `pyregistry serve`, with a stand-in for it."""

import sys
from pathlib import Path

import psutil
import pytest
import yaml

from tests.support.serve import Serve, ServeError, pss

STAND_IN = """
import json, os, signal, socket, subprocess, sys, time
workers = [subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "pyregistry.worker"]) for _ in "12"]
print(json.dumps({"event": "started", "config": sys.argv[-1]}), flush=True)
signal.signal(signal.SIGTERM, lambda *_: ([w.kill() for w in workers], [w.wait() for w in workers], sys.exit(7)))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"STATUS=soon", os.environ["NOTIFY_SOCKET"])
    notify.sendto(b"READY=1\\nSTATUS=up", os.environ["NOTIFY_SOCKET"])
while True:
    signal.pause()
"""


def stand_in(root: Path, script: str = STAND_IN) -> Serve:
    return Serve(
        root,
        {"docker.io": "http://127.0.0.1:1", "other": {"url": "http://127.0.0.1:2", "library": True}},
        workers=2,
        program=(sys.executable, "-c", script),
        mirror={"freshness": {"ttl": "0s"}},
    )


def test_starts_kills_and_starts_again(tmp_path: Path) -> None:
    with stand_in(tmp_path) as server:
        first, second = server.workers()
        assert server.processes() == [server.pid, first, second]
        server.kill_worker(first)
        assert server.workers() == [second]
        assert server.pss() > pss([second]) > 1 << 20
        server.kill_all()
        assert not psutil.pid_exists(second) or psutil.Process(second).status() == psutil.STATUS_ZOMBIE
        assert server.processes() == []
        server.start()
        assert len(server.workers()) == 2
        assert server.terminate() == 7
        assert [line["event"] for line in server.log_lines] == ["started", "started"]


def test_its_configuration(tmp_path: Path) -> None:
    with stand_in(tmp_path) as server:
        config = yaml.safe_load(Path(server.log_lines[0]["config"]).read_text())
    assert config["mirror"] == {
        "default": "docker.io",
        "upstreams": {
            "docker.io": {"url": "http://127.0.0.1:1"},
            "other": {"url": "http://127.0.0.1:2", "library": True},
        },
        "freshness": {"ttl": "0s"},
    }
    assert config["storage"]["root"] == str(tmp_path)
    assert server.url == f"http://{config['http']['listen']}"


def test_an_early_end_is_told_with_the_log(tmp_path: Path) -> None:
    with (
        pytest.raises(ServeError, match=r"ended with 3:\nno such thing"),
        stand_in(tmp_path, "import sys; print('no such thing', flush=True); sys.exit(3)"),
    ):
        pass


def test_a_failing_test_sees_the_log(tmp_path: Path) -> None:
    server = stand_in(tmp_path).start()
    failure = ValueError("boom")
    server.__exit__(ValueError, failure, None)
    assert "started" in failure.__notes__[0]
    assert not psutil.pid_exists(server.pid)
