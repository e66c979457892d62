"""Settings from environment variables: `PYREGISTRY_HTTP__LISTEN` is `http.listen`.

Names of variables carry no dots, so an upstream is named with `_` for everything that is no letter or digit:
`PYREGISTRY_MIRROR__UPSTREAMS__GHCR_IO__PASSWORD`. That finds the configured upstream which reads so; where there is
none, `_` stands for a dot. Such a variable refines the upstreams in effect, the well-known ones too: it never shrinks
them. Sections, lists and `PYREGISTRY_MIRROR__UPSTREAMS` as a whole are given as YAML (JSON is YAML).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from pyregistry.config.problems import unknown
from pyregistry.config.settings import Shape, keys, keys_under, shape_at
from pyregistry.mirror.well_known import WELL_KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Path = tuple[str | int, ...]

PREFIX = "PYREGISTRY_"
#: Not settings, but read by the command line.
CONFIG_FILE = "PYREGISTRY_CONFIG"


def overlay(
    data: dict[str, Any], environment: Mapping[str, str], sources: dict[Path, str], problems: list[str]
) -> None:
    """Puts what the environment says over `data`, noting in `sources` which variable said it."""
    # Whole sections before single keys, so that the narrower variable wins: fewer parts first.
    for variable in sorted(environment, key=lambda name: (name.count("__"), name)):
        parts = [part.lower() for part in variable.removeprefix(PREFIX).split("__")]
        if not variable.startswith(PREFIX) or environment[variable] == "":
            continue
        # Kubernetes sets PYREGISTRY_PORT and the like beside a service called `pyregistry`: only names with a section
        # in them are claimed.
        if len(parts) == 1 and parts[0] not in keys_under(()):
            continue
        path = _path(parts, data)
        shape = shape_at(path) if path else None
        if path is None or shape is None:
            problems.append(f"{variable}: no such setting{_nearest(variable)}")
            continue
        try:
            value = _value(environment[variable], shape)
        except yaml.YAMLError:
            problems.append(f"{variable}: not YAML")
            continue
        _set(data, path, value)
        sources[path] = variable


def _path(parts: list[str], data: dict[str, Any]) -> Path | None:
    path: Path = ()
    for part in parts:
        shape = shape_at(path)
        if shape is None or shape.kind in ("list", "value"):
            return None
        path = (*path, _upstream(part, data) if shape.kind == "mapping" else part)
    return path


def _upstream(part: str, data: dict[str, Any]) -> str:
    mirror = data.get("mirror")
    upstreams = mirror.get("upstreams") if isinstance(mirror, dict) else None
    names: Iterable[str] = WELL_KNOWN if upstreams is None else upstreams
    for name in names:
        if re.sub(r"[^a-z0-9]", "_", str(name).lower()) == part:
            return name
    return part.replace("_", ".")


def _set(data: dict[str, Any], path: Path, value: Any) -> None:
    *parents, last = path
    place: Any = data
    for depth, part in enumerate(parents):
        inner = place.get(part)
        if inner is not None and not isinstance(inner, dict):
            return  # the model says what is wrong with it
        if inner is None:
            shape = shape_at(path[: depth + 1])
            inner = {name: {} for name in WELL_KNOWN} if shape and shape.kind == "mapping" else {}
            place[part] = inner
        place = inner
    place[last] = value


def _value(text: str, shape: Shape) -> Any:
    if shape.kind == "value":
        return text
    value = yaml.safe_load(text)
    if shape.kind == "list" and isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _nearest(name: str) -> str:
    # Without the prefix, which alone would make any two names alike.
    return unknown(name.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in variables()], PREFIX)


def variables() -> list[str]:
    """The variable of every setting that is not an upstream's."""
    return [variable(key) for key in keys() if "NAME" not in key]


def variable(key: str) -> str:
    """The variable of a dotted key."""
    return PREFIX + "__".join(part.upper() for part in key.split("."))
