"""Tokens shared among workers: for our user alone, gone when they end."""

import os
import stat
from pathlib import Path

import pytest

from pyregistry.mirror.token_files import TokenFiles
from pyregistry.mirror.token_realm import Token


def token(expires: float = 1300.0) -> Token:
    return Token("abc", 1000.0, expires - 30, expires)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "tokens"


def test_another_worker_finds_what_one_wrote(folder: Path) -> None:
    TokenFiles(folder, clock=lambda: 1000).write("name", token())
    assert TokenFiles(folder, clock=lambda: 1299).read("name") == token()
    assert TokenFiles(folder, clock=lambda: 1000).read("other") is None


def test_nobody_else_can_read_them(folder: Path) -> None:
    previous = os.umask(0)
    try:
        TokenFiles(folder).write("name", token())
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "name").stat().st_mode) == 0o600
    assert names(folder) == ["name"]


def test_an_expired_one_is_none_and_goes(folder: Path) -> None:
    TokenFiles(folder).write("name", token())
    assert TokenFiles(folder, clock=lambda: 1300).read("name") is None
    assert names(folder) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"{}", b'{"token": "x", "expires": "never"}', b"\xff"])
def test_a_broken_file_is_none(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "name").write_bytes(content)
    files = TokenFiles(folder, clock=lambda: 1000)
    assert files.read("name") is None
    files.write("name", token())
    assert files.read("name") == token()


def test_a_left_over_of_a_dead_worker_is_replaced(folder: Path) -> None:
    folder.mkdir(parents=True)
    left = folder / f".name.{os.getpid()}"
    left.touch(0o666)
    TokenFiles(folder).write("name", token())
    assert stat.S_IMODE((folder / "name").stat().st_mode) == 0o600
    assert not left.exists()


def test_a_folder_that_cannot_be_made_costs_no_more_than_a_token(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = TokenFiles(tmp_path / "file" / "tokens", clock=lambda: 1000)
    files.write("name", token())
    assert files.read("name") is None


def test_sweeping_removes_what_has_expired(folder: Path) -> None:
    files = TokenFiles(folder, clock=lambda: 1000)
    files.write("lasting", token(1300))
    files.write("short", token(1010))
    TokenFiles(folder, clock=lambda: 1010).sweep()
    assert names(folder) == ["lasting"]


def test_writing_sweeps_now_and_then(folder: Path) -> None:
    TokenFiles(folder, clock=lambda: 1000).write("old", token(1010))
    files = TokenFiles(folder, clock=lambda: 2000)
    for _ in range(256):
        files.write("new", token(2300))
    assert names(folder) == ["new"]
