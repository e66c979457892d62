"""What is wrong with a configuration, said so that it can be mended: which key, where it was set, what to write."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from pyregistry.config.settings import keys, keys_under, shape_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import ValidationError

    Path = tuple[str | int, ...]


#: pydantic's words for Python people, in words for whoever writes the file.
_PLAIN = {
    "model_type": "should be a section: `key: value` lines, indented",
    "model_attributes_type": "should be a section: `key: value` lines, indented",
    "dict_type": "should be a section: `name: …` lines, indented",
    "tuple_type": "should be a list",
    "string_type": "should be text; a number stands in quotes",
    "path_type": "should be a path",
}


class ConfigError(Exception):
    """The configuration, or something it names, cannot be used. Each problem is one line."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


def explain(error: ValidationError, sources: Mapping[Path, str]) -> list[str]:
    """One line a problem; `sources` says where each key was set: a file's line, a variable, a flag."""
    lines: dict[str, None] = {}
    for found in error.errors(include_url=False, include_input=False):
        path = _settled(found["loc"])
        key = dotted(path)
        if found["type"] == "extra_forbidden":
            said = f"no such key{_nearest(path)}"
        elif found["type"] == "missing":
            said = "is missing"
        else:
            said = _PLAIN.get(found["type"]) or found["msg"].removeprefix("Value error, ").removeprefix("Input ")
        where = _source(path, sources)
        lines[f"{where}: {key}: {said}" if where and key else f"{where or key or 'configuration'}: {said}"] = None
    return sorted(lines, key=_reading_order)


def unknown(key: str, known: Iterable[str], prefix: str = "") -> str:
    """`; did you mean …?` for the nearest of `known`, or nothing."""
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{prefix}{close[0]}`?" if close else ""


def dotted(path: Path) -> str:
    """`mirror.upstreams["docker.io"].url`: upstreams' names have dots of their own."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z0-9_-]+", part) is None:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def _nearest(path: Path) -> str:
    """The nearest key beside the unknown one, else one of that name elsewhere: `listen` is `http.listen`."""
    *parents, last = path
    key = str(last)
    prefix = dotted(tuple(parents))
    beside = unknown(key, keys_under(tuple(parents)), f"{prefix}." if prefix else "")
    if beside:
        return beside
    elsewhere = [known for known in keys() if known.rpartition(".")[2] == key]
    return f"; did you mean `{elsewhere[0]}`?" if elsewhere else ""


def _settled(loc: Path) -> Path:
    """Without what pydantic adds to a path: the branch of a union, `[key]` of a dict."""
    path: Path = ()
    for part in loc:
        if part == "[key]" or (path and (shape := shape_at(path)) is not None and shape.kind == "value"):
            break
        path = (*path, part)
        if shape_at(path) is None:
            break
    return path


def _reading_order(line: str) -> tuple[str, int]:
    file, _, rest = line.partition(":")
    number = rest.partition(":")[0]
    return file, int(number) if number.isdigit() else 0


def _source(path: Path, sources: Mapping[Path, str]) -> str | None:
    for length in range(len(path), -1, -1):
        if (where := sources.get(path[:length])) is not None:
            return where
    return None
