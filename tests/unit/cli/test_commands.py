"""The command line as its users see it: processes, their output and exit codes."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from pyregistry import __version__
from pyregistry.config import load
from pyregistry.telemetry import metrics


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`pyregistry` with these arguments, without settings from our own environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYREGISTRY_", "PROMETHEUS_"))}
    return subprocess.run(
        [sys.executable, "-m", "pyregistry", *arguments],
        capture_output=True,
        text=True,
        env={**clean, "COLUMNS": "120", **environment},
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that refused; exit code 2, no traceback."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_version() -> None:
    done = run("version")
    assert done.stdout == f"pyregistry {__version__}\n"


def test_version_loads_no_server() -> None:
    # (typer itself loads pydantic where it is there.)
    program = """
        import sys
        sys.argv = ["pyregistry", "version"]
        from pyregistry.cli import app
        app(standalone_mode=False)
        heavy = {"granian", "sqlalchemy", "rich", "prometheus_client", "pyregistry._native"}
        print(sorted(heavy & sys.modules.keys()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [(), ("serve",), ("status",), ("refresh",), ("config",), ("version",)])
def test_help(command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_a_wrong_option_is_exit_code_2() -> None:
    done = run("serve", "--no-such-option")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_check(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("http: {listen: ':5000'}\n")
    assert run("config", "check", "-c", str(file)).stdout == f"{file}: good\n"
    assert run("config", "check", PYREGISTRY_CONFIG=str(file)).returncode == 0
    file.write_text("http: {listn: ':5000'}\n")
    assert refused(run("config", "check", "-c", str(file))).endswith(
        "http.listn: no such key; did you mean `http.listen`?"
    )


def test_show_is_what_is_in_effect_without_secrets() -> None:
    done = run(
        "config",
        "show",
        PYREGISTRY_MIRROR__UPSTREAMS__DOCKER_IO__USERNAME="me",
        PYREGISTRY_MIRROR__UPSTREAMS__DOCKER_IO__PASSWORD="hunter2",
        PYREGISTRY_MIRROR__FRESHNESS__TTL="5m",
    )
    assert "hunter2" not in done.stdout
    shown = yaml.safe_load(done.stdout)
    assert shown["mirror"]["upstreams"]["docker.io"]["password"] == "**********"
    assert shown["mirror"]["upstreams"]["docker.io"]["url"] == "https://registry-1.docker.io"
    assert shown["mirror"]["freshness"]["ttl"] == "5m"


def test_what_is_shown_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(run("config", "show", "--root", "/var/lib/x").stdout)
    again = load(file, environment={})
    assert again.storage.root == Path("/var/lib/x")
    assert again.storage.reserve == 2 << 30
    assert again.mirror.upstreams is not None


def test_schema() -> None:
    schema = json.loads(run("config", "schema").stdout)
    assert schema["properties"]["http"]
    assert schema["additionalProperties"] is False


def test_a_wrong_flag_is_one_line() -> None:
    assert refused(run("serve", "--listen", "here")).startswith("pyregistry: --listen: http.listen: not an address")
    assert refused(run("serve", "--upstream", "x")).startswith("pyregistry: --upstream x: write it as NAME=URL")
    assert refused(run("serve", "-c", "/nowhere.yaml")) == "pyregistry: /nowhere.yaml: No such file or directory"


def test_wrong_tls_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("no certificate")
    pair = f"{{cert: {tmp_path}/a.pem, key: {tmp_path}/a.pem}}"
    line = refused(run("serve", "--root", str(tmp_path / "root"), PYREGISTRY_HTTP__TLS=pair))
    assert line.endswith("no PEM certificate chain with its private key")
    assert not (tmp_path / "root").exists()


def test_a_root_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(
        run("serve", "--listen", "127.0.0.1:0", "--metrics", "off", "--root", str(tmp_path / "file" / "root"))
    )
    assert "storage.root" in line


def test_status_of_what_is_no_root(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert refused(run("status", "--root", str(missing))).endswith(
        "is no storage root; name one with --root or --config"
    )
    assert refused(run("status", "--root", str(tmp_path), "--json")).endswith("name one with --root or --config")
    assert not missing.exists()
    assert list(tmp_path.iterdir()) == []


def test_status_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1\n")
    done = run("status", "--root", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "not served now" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["VERSION"]


def test_status_tells_what_was_counted(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("1\n")
    try:
        upstream = metrics.install(tmp_path / "run", 0).upstream("docker.io")
        upstream.request("blob", "hit")
        upstream.served(3_000_000)
        upstream.received(1_000_000)
    finally:
        metrics.uninstall()
    seen = json.loads(run("status", "--root", str(tmp_path), "--json").stdout)
    assert seen["server"] is None
    assert seen["content"] is None
    assert seen["fills"] == []
    assert seen["upstreams"]["docker.io"]["hit_ratio"] == 1
    assert seen["upstreams"]["docker.io"]["saved_bytes"] == 2_000_000
    shown = run("status", "--root", str(tmp_path)).stdout
    assert "docker.io" in shown
    assert "100.0%" in shown
    assert "2.0 MB" in shown


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("nginx", "is no storage root"),
        ("UPPER", "UPPER"),
        ("nginx@sha256:" + "a" * 64, "a digest never changes"),
        ("unknown.example/x", "unknown.example"),
    ],
)
def test_refresh_of_what_is_no_tag_of_an_upstream(tmp_path: Path, image: str, said: str) -> None:
    assert said in refused(run("refresh", image, "--root", str(tmp_path / "root")))
    assert not (tmp_path / "root").exists()


def test_version_is_quick() -> None:
    began = time.perf_counter()
    run("version")
    # 0.15 s alone; the rest is for a machine that is busy with other tests.
    assert time.perf_counter() - began < 5
