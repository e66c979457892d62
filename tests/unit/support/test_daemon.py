"""Servers that do not say when they are ready."""

import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.support.daemon import Daemon


def _serve(daemon: Daemon, folder: Path) -> list[str]:
    arguments = [str(daemon.port), "--bind", "127.0.0.1", "--directory", str(folder)]
    return [sys.executable, "-m", "http.server", *arguments]


def test_a_killed_daemon_starts_again_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("here")
    with Daemon(tmp_path / "daemon") as daemon:
        before = daemon.start(_serve(daemon, tmp_path)).pid
        daemon.kill()
        assert not psutil.pid_exists(before)
        assert daemon.processes() == []
        after = daemon.start().pid
        assert after != before
        assert daemon.processes() == [after]
        with urllib.request.urlopen(f"{daemon.url}/page") as reply:
            assert reply.read() == b"here"
    assert not psutil.pid_exists(after)


def test_a_program_that_ends_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, pytest.raises(RuntimeError, match="no such option"):
        daemon.start([sys.executable, "-c", "raise SystemExit('no such option')"])
