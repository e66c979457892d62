"""One line a request, one write a line; nothing a client sends can forge another."""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pyregistry.config import LogConfig
from pyregistry.telemetry import logs

REQUEST: dict[str, Any] = {
    "method": "GET",
    "route": "blob",
    "status": 200,
    "seconds": 0.0123,
    "sent": 5,
    "client": "10.0.0.1",
    "repository": "library/nginx",
    "reference": "sha256:aa",
    "upstream": "docker.io",
    "result": "hit",
    "user_agent": "containerd/2.0",
}


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """pytest's own handlers come back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logs.configure(LogConfig(level="error"))
    root.handlers[:] = handlers
    logging.captureWarnings(False)


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_request_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json"), slot=1)
    logs.access(**REQUEST)
    (line,) = lines(capfd)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "method": "GET",
        "route": "blob",
        "repository": "library/nginx",
        "reference": "sha256:aa",
        "status": 200,
        "bytes": 5,
        "seconds": 0.0123,
        "result": "hit",
        "upstream": "docker.io",
        "client": "10.0.0.1",
        "user_agent": "containerd/2.0",
        "worker": 1,
    }


def test_a_request_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="console"))
    logs.access(**REQUEST)
    logs.access(**{**REQUEST, "reference": "v1", "result": "error", "cause": "timeout", "user_agent": None})
    first, second = capfd.readouterr().err.splitlines()
    assert "GET library/nginx@sha256:aa 200 5 B 12.3 ms hit from docker.io 10.0.0.1 'containerd/2.0'" in first
    assert "GET library/nginx:v1 200 5 B 12.3 ms error timeout from docker.io 10.0.0.1" in second


@pytest.mark.parametrize("form", ["json", "console"])
def test_why_an_answer_is_an_error(form: Any, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format=form))
    logs.access(**{**REQUEST, "error": "no connection to https://user:hunter2@registry.example: refused"})
    written = capfd.readouterr().err
    assert "no connection to https://***@registry.example: refused" in written
    assert "hunter2" not in written


@pytest.mark.parametrize("form", ["json", "console"])
def test_hostile_words_stay_in_their_line(form: Any, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format=form))
    hostile = "a\n{}\r\x1b[31m\x00\x9b31m\udc80" + "x" * 10_000
    name = hostile[:100]
    logs.access(**{**REQUEST, "repository": name, "reference": name, "user_agent": hostile, "error": hostile})
    written = capfd.readouterr().err
    assert written.count("\n") == 1
    assert not any(character in written for character in "\r\x1b\x00\x9b")
    assert len(written) < 2000


def test_below_the_level_nothing_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(level="warning"))
    logs.access(**REQUEST)
    logging.getLogger("pyregistry").info("quiet")
    assert lines(capfd) == []


def test_an_event_with_fields_and_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig())
    try:
        raise ValueError("https://user:hunter2@host is bad")
    except ValueError:
        logging.getLogger("pyregistry.mirror").exception("no %s", "luck", extra={"digest": "sha256:aa"})
    (line,) = lines(capfd)
    assert (line["level"], line["logger"], line["event"]) == ("error", "pyregistry.mirror", "no luck")
    assert line["digest"] == "sha256:aa"
    assert "ValueError" in line["error"]
    assert "hunter2" not in line["error"]


def test_credentials_in_a_url_are_not_written(capfd: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "console"):
        logs.configure(LogConfig(format=form))
        logging.getLogger("x").warning("cannot reach %s", "https://user:hunter2@proxy:3128")
    written = capfd.readouterr().err
    assert "hunter2" not in written
    assert written.count("https://***@proxy:3128") == 2


def test_warnings_are_log_lines(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig())
    logging.getLogger("py.warnings").warning("%s", "careful")
    assert lines(capfd)[0]["event"] == "careful"


def test_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure(LogConfig())

    def full(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "write", full)
    logs.access(**REQUEST)


@pytest.mark.parametrize("format", ["json", "console"])
def test_upstreams_words_do_not_drive_the_terminal(capfd: pytest.CaptureFixture[str], format: str) -> None:  # noqa: A002
    logs.configure(LogConfig.model_validate({"format": format}))
    try:
        raise ValueError("broken \x1b[2J \x9b2J")
    except ValueError:
        logging.getLogger("pyregistry.x").exception("upstream said \x1b[2J \x9b2J")
    written = capfd.readouterr().err
    assert "upstream said" in written
    assert "\x9b" not in written
    assert "\x1b" not in written


def test_a_method_of_any_length_makes_a_short_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(format="json"))
    logs.access(**{**REQUEST, "method": "X" * 10_000})
    assert len(capfd.readouterr().err) < 1000
