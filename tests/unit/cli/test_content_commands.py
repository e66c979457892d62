"""`import`, `export`, `ls` and `rm` where nothing comes of them; what they do is in `tests/integration`."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pyregistry.cli.content import check_owner
from pyregistry.config import ConfigError
from tests.support.cli import Cli
from tests.support.images import image
from tests.support.layout import write_layout
from tests.support.surroundings import quiet_environment


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, tmp_path / "root", hosted=["team/*"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "source", {"v1": image([10], seed="commands")})


@pytest.mark.parametrize(
    "arguments",
    [("ls",), ("ls", "team/app"), ("rm", "team/app:v1"), ("export", "team/app:v1", "out"), ("export", "nginx", "out")],
)
def test_a_mistyped_root_is_not_made(arguments: tuple[str, ...], cli: Cli) -> None:
    assert cli.refused(*arguments).endswith("is no storage root; name one with --root or --config")
    assert not cli.root.exists()


def test_import_makes_a_root_of_an_empty_folder_and_of_no_other(cli: Cli, source: Path) -> None:
    cli.root.mkdir()
    (cli.root / "mine").write_text("mine")
    assert "is no storage root" in cli.refused("import", source, "team/app")
    (cli.root / "mine").unlink()
    cli.out("import", source, "team/app")
    assert cli.out("ls").startswith("team/app")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "nowhere", "team/app"), "nowhere: No such file or directory"),
        (("import", "SOURCE", "UPPER"), "is not an image name"),
        (("import", "SOURCE", "team/app", "--platform", "amd64"), "--platform: 'amd64' is no platform"),
        (("import", "SOURCE", "team/app@sha256:" + "a" * 64), "name a tag"),
        (("import", "SOURCE", "nginx"), "docker.io/library/nginx is mirrored"),
        (("import", "SOURCE", "corp.example/app"), "an entry for it in `mirror.upstreams` would allow it"),
        (("export", "UPPER", "out"), "is not an image name"),
        (("ls", "team/app:v1"), "name a repository alone"),
        (("rm", "nginx:1"), "docker.io/library/nginx is mirrored and would be fetched again"),
        (("rm", "team/app"), "with --all a whole repository"),
        (("rm", "team/app:v1@sha256:" + "a" * 64), "name a tag or a digest, not both"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(
    arguments: tuple[str, ...], said: str, cli: Cli, source: Path
) -> None:
    assert said in cli.refused(*(str(source) if part == "SOURCE" else part for part in arguments))
    assert not cli.root.exists()


def test_the_superuser_leaves_no_files_that_the_server_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_owner(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "stat", lambda _: os.stat_result((0o755, 0, 0, 0, 1, 0, 0, 0, 0, 0)))
    with pytest.raises(ConfigError, match="belongs to daemon; run this as that user"):
        check_owner(tmp_path)


def test_bars_on_a_terminal(cli: Cli, source: Path) -> None:
    main, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pyregistry", "import", str(source), "team/app"],
            stdout=subprocess.PIPE,
            stderr=terminal,
            env={**quiet_environment(), "PYREGISTRY_CONFIG": str(cli.file), "TERM": "xterm"},
            timeout=60,
            check=True,
        )
        shown = os.read(main, 100_000).decode()
    finally:
        os.close(main)
        os.close(terminal)
    assert "━" in shown
    assert "copied" not in shown
    assert b"team/app:v1 is sha256:" in done.stdout
