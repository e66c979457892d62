"""One configuration out of a YAML file, the environment and flags; the later wins, key by key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from pyregistry.config.environment import overlay
from pyregistry.config.model import Config
from pyregistry.config.problems import ConfigError, dotted, explain
from pyregistry.mirror.well_known import DOCKER_HUB_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    KeyPath = tuple[str | int, ...]

#: The settings that have a flag of their own.
FLAGS = {
    "http.listen": "--listen",
    "http.workers": "--workers",
    "storage.root": "--root",
    "metrics.listen": "--metrics",
    "log.level": "--log-level",
    "log.format": "--log-format",
}
#: A configuration is written by hand; a file above this is some other file.
_FILE_LIMIT = 4 << 20


def load(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    upstreams: Iterable[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """The configuration in effect. `flags` are keys of FLAGS with values; None is a flag not given.

    `upstreams` are `NAME=URL`, the first the default one: only these are mirrored, with what file and environment say
    of them. Raises ConfigError with every problem found.
    """
    sources: dict[KeyPath, str] = {}
    problems: list[str] = []
    data = _read(file, sources) if file is not None else {}
    overlay(data, os.environ if environment is None else environment, sources, problems)
    if upstreams:
        _only_upstreams(data, upstream_flags(upstreams), sources)
    for key, value in (flags or {}).items():
        if value is not None:
            section, _, name = key.partition(".")
            _section(data, section)[name] = value
            sources[section, name] = FLAGS[key]
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems.extend(explain(error, sources))
    if problems:
        raise ConfigError(problems)
    return config


def upstream_flags(upstreams: Iterable[str]) -> dict[str, str]:
    """`NAME=URL` as names with their URLs."""
    found: dict[str, str] = {}
    for text in upstreams:
        name, equals, url = text.partition("=")
        name = name.strip().lower()
        if not equals or not name or not url:
            raise ConfigError(
                f"--upstream {text}: write it as NAME=URL, for example docker.io=https://mirror.example.com"
            )
        if name in found:
            raise ConfigError(f"--upstream {text}: `{name}` is given twice")
        found[name] = url.strip()
    return found


def _only_upstreams(data: dict[str, Any], urls: dict[str, str], sources: dict[KeyPath, str]) -> None:
    mirror = _section(data, "mirror")
    known = mirror.get("upstreams")
    known = known if isinstance(known, dict) else {}
    mirror["upstreams"] = {}
    mirror["default"] = next(iter(urls))
    sources["mirror", "default"] = "--upstream"
    for name, url in urls.items():
        said = known.get(name)
        said = (
            {key: value for key, value in said.items() if key not in ("url", "urls")} if isinstance(said, dict) else {}
        )
        if name in DOCKER_HUB_HOSTS:
            # Whoever stands in for Docker Hub is asked for `library/nginx` when a client says `nginx`.
            said.setdefault("library", True)
        mirror["upstreams"][name] = {**said, "url": url}
        sources["mirror", "upstreams", name] = f"--upstream {name}"


def _section(data: dict[str, Any], name: str) -> dict[str, Any]:
    section = data.get(name)
    if section is None:
        section = data[name] = {}
    # What is no mapping stays, for the model to say what is wrong with it.
    return section if isinstance(section, dict) else {}


def _read(file: Path, sources: dict[KeyPath, str]) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            text = opened.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    if len(text) > _FILE_LIMIT:
        raise ConfigError(f"{file}: too large for a configuration")
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        problems: list[str] = []
        _note(node, (), str(file), sources, problems)
        if problems:
            raise ConfigError(problems)
        data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError(f"{where}: {error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{file}: not YAML") from None
    finally:
        if loader is not None:
            loader.dispose()
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: not a mapping of settings; write it as `http: {{listen: …}}`")
    # An empty section (`http:` with its keys commented out) says nothing.
    return {key: value for key, value in data.items() if value is not None}


def _note(node: yaml.Node, path: KeyPath, file: str, sources: dict[KeyPath, str], problems: list[str]) -> None:
    """Notes the line of every key, and keys that are given twice: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            where = f"{file}:{key.start_mark.line + 1}"
            if name in seen and name != "<<":
                problems.append(f"{where}: {dotted((*path, name))}: is given twice")
            seen.add(name)
            sources[*path, name] = where
            _note(value, (*path, name), file, sources, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            sources[*path, index] = f"{file}:{value.start_mark.line + 1}"
            _note(value, (*path, index), file, sources, problems)
