import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pyregistry.config import ConfigError
from pyregistry.server import preflight


def test_workers() -> None:
    assert preflight.worker_count(7) == 7
    assert 1 <= preflight.worker_count("auto") <= 16


def test_the_root_is_made(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    assert preflight.prepare_root(root) == root / "run"
    assert list(root.iterdir()) == [root / "run"]


def test_a_root_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage\.root: cannot write to .*Not a directory"):
        preflight.prepare_root(tmp_path / "file" / "root")


def test_a_root_that_takes_no_files() -> None:
    with pytest.raises(ConfigError, match=r"storage\.root: cannot write to /proc/self"):
        preflight.prepare_root(Path("/proc/self"))


def test_a_root_is_locked_once(tmp_path: Path) -> None:
    first = preflight.lock_root(tmp_path)
    with pytest.raises(ConfigError, match=f"served by process {os.getpid()} already"):
        preflight.lock_root(tmp_path)
    os.close(first)
    os.close(preflight.lock_root(tmp_path))


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    code = "import sys, pathlib; from pyregistry.server import preflight as p; p.lock_root(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    os.close(preflight.lock_root(tmp_path))


def test_connections_are_as_many_as_descriptors_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    def connections(limit: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
        return preflight.most_connections()

    assert [connections(limit) for limit in (16, 256, 1024)] == [1, 64, 320]
    assert connections(1 << 20) == connections(resource.RLIM_INFINITY) == preflight.MAX_CONNECTIONS


def test_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        preflight.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_new_root_is_for_our_user_alone(tmp_path: Path) -> None:
    """Private images lie in it."""
    preflight.prepare_root(tmp_path / "deep" / "root")
    assert (tmp_path / "deep" / "root").stat().st_mode & 0o777 == 0o700
    there = tmp_path / "there"
    there.mkdir(mode=0o750)
    preflight.prepare_root(there)
    assert there.stat().st_mode & 0o777 == 0o750
