"""Logs on standard error: JSON lines or text for people, one `write` a line so that workers' lines do not mix.

`access` is the one line per request. It does not go through `logging` (20 µs a record): it is on the way of every pull.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from pyregistry.config import LogConfig

#: A client's own words are cut to this many characters.
LIMIT = 256

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

_access = False
_console = False
_slot: int | None = None


def configure(config: LogConfig, slot: int | None = None) -> None:
    """Sends everything logged in this process to standard error; `slot` is named in every line of a worker."""
    global _access, _console, _slot
    level = _LEVELS[config.level]
    _access, _console, _slot = level <= logging.INFO, config.format == "console", slot
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_Lines())
    root.setLevel(level)
    # What they tell of every connection and start-up step says nothing that ours does not.
    for library in ("_granian", "alembic", "asyncio", "sqlalchemy"):
        logging.getLogger(library).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def access(
    *,
    method: str,
    route: str,
    status: int,
    seconds: float,
    sent: int,
    client: str | None,
    repository: str | None = None,
    reference: str | None = None,
    upstream: str | None = None,
    result: str | None = None,
    user_agent: str | None = None,
    cause: str | None = None,
    error: str | None = None,
) -> None:
    """One line for one request, at its response's end. `reference` is a tag or a digest, `error` why the answer is one,
    or is stale."""
    if not _access:
        return
    if _console:
        name = f"{repository or ''}{_joint(reference)}{reference or ''}" or route
        agent = f" {user_agent[:LIMIT]!r}" if user_agent else ""
        words = (result, cause, f"from {upstream}" if upstream else None, client)
        said = " ".join(word for word in words if word)
        why = f": {_reason(error)}" if error else ""
        _write_text(
            f"{_clock()} info    {method[:LIMIT]} {name} {status} {sent} B {seconds * 1000:.1f} ms {said}{agent}{why}"
        )
        return
    line: dict[str, Any] = {
        "time": datetime.now(UTC),
        "level": "info",
        "event": "request",
        "method": method[:LIMIT],
        "route": route,
        "repository": repository,
        "reference": reference,
        "status": status,
        "bytes": sent,
        "seconds": round(seconds, 6),
        "result": result,
        "upstream": upstream,
        "client": client,
        "user_agent": _words(user_agent),
    }
    if cause is not None:
        line["cause"] = cause
    if error is not None:
        line["error"] = _reason(error)
    _write_json(line)


class _Lines(logging.Handler):
    """What `logging` brings: our own events, warnings and libraries' words."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = _CREDENTIALS.sub("***@", record.getMessage())
            error = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            fields = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
            if _console:
                told = "".join(f" {key}={value}" for key, value in fields.items())
                _write_text(f"{_clock()} {record.levelname.lower():<7} {message}{told}", error)
            else:
                line = {
                    "time": datetime.fromtimestamp(record.created, UTC),
                    "level": record.levelname.lower(),
                    "logger": record.name,
                    "event": _lines(message),
                    **fields,
                }
                if error is not None:
                    line["error"] = _lines(_CREDENTIALS.sub("***@", error))
                _write_json(line)
        except Exception:  # noqa: BLE001  logging's own rule: a log line never breaks what it tells of
            self.handleError(record)


def _write_json(line: dict[str, Any]) -> None:
    if _slot is not None:
        line["worker"] = _slot
    try:
        data = orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # a lone surrogate out of a client's bytes
        clean = {key: _printable(value) if isinstance(value, str) else value for key, value in line.items()}
        data = orjson.dumps(clean, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
    _write(data)


def _write_text(line: str, error: str | None = None) -> None:
    worker = "" if _slot is None else f" [{_slot}]"
    text = _printable(line) + worker + "\n" + (f"{_lines(_CREDENTIALS.sub('***@', error))}\n" if error else "")
    _write(text.encode("utf-8", "backslashreplace"))


def _write(data: bytes) -> None:
    try:
        os.write(2, data)
    except OSError:
        # Nobody reads, or the pipe is full and not to be waited for: a lost line is better than a stopped server.
        return


def _printable(text: str) -> str:
    """Without control characters: a log line must not drive the terminal it is read in, nor forge a second line."""
    return text.translate(_CONTROL).encode("utf-8", "backslashreplace").decode()


def _lines(text: str) -> str:
    """The same for text of several lines: an upstream's words may be in it, and JSON keeps C1 control characters."""
    return "\n".join(map(_printable, text.split("\n")))


def _words(text: str | None) -> str | None:
    """A client's own words: short, and without what JSON lets through to a terminal (C1 control characters)."""
    if not text:
        return None
    return text[:LIMIT] if text.isascii() else _printable(text[:LIMIT])


def _reason(error: str) -> str:
    """An error's message; it may repeat a client's or an upstream's words."""
    return _printable(_CREDENTIALS.sub("***@", error)[: 2 * LIMIT])


def _joint(reference: str | None) -> str:
    return "" if reference is None else "@" if ":" in reference else ":"


def _clock() -> str:
    return datetime.now().astimezone().isoformat(sep=" ", timespec="milliseconds")
