"""The model as a list of dotted keys: for messages, environment variables and the reference in the docs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pyregistry.config.model import Config, Section


@dataclass(frozen=True, slots=True)
class Shape:
    """What stands under a key: a section, sections by name, a list, or one value."""

    kind: Literal["section", "mapping", "list", "value"]
    of: type[Section] | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the model; `NAME` in it stands for an upstream's name."""

    key: str
    default: Any
    description: str
    hint: Any
    required: bool


def shape_at(path: tuple[str | int, ...]) -> Shape | None:
    """What the model has at `path`; None if nothing."""
    shape = Shape("section", Config)
    for part in path:
        if (section := shape.of) is None:
            return Shape("value") if shape.kind == "list" and isinstance(part, int) else None
        if shape.kind != "section":
            shape = Shape("section", section)
        elif part in section.model_fields:
            shape = _shape(section.model_fields[str(part)].annotation)
        else:
            return None
    return shape


def keys_under(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Keys of the section at `path`."""
    shape = shape_at(path)
    return tuple(shape.of.model_fields) if shape and shape.kind == "section" and shape.of else ()


@cache
def settings() -> tuple[Setting, ...]:
    """Every value that can be set, in the order of the model; a section's own before those of sections in it."""
    return tuple(_under(Config, ""))


def keys() -> list[str]:
    """Every dotted key."""
    return [setting.key for setting in settings()]


def _under(section: type[Section], prefix: str) -> list[Setting]:
    own: list[Setting] = []
    nested: list[Setting] = []
    # With their aliases (`Duration`), which say how a value is written; pydantic's own fields have taken them apart.
    hints = get_type_hints(section, include_extras=True)
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        shape = _shape(field.annotation)
        if shape.of is None:
            default = None if field.is_required() else field.default
            own.append(Setting(key, default, field.description or "", hints[name], field.is_required()))
        else:
            part = {"section": "", "mapping": ".NAME", "list": "[]"}[shape.kind]
            nested.extend(_under(shape.of, f"{key}{part}."))
    return own + nested


def _shape(annotation: Any) -> Shape:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shape(arguments[0])
    if origin in (Union, UnionType):
        present = [argument for argument in arguments if argument is not NoneType]
        return _shape(present[0]) if len(present) == 1 else Shape("value")
    if origin is dict:
        return Shape("mapping", _shape(arguments[1]).of)
    if origin is tuple:
        return Shape("list", _shape(arguments[0]).of)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Shape("section", annotation)
    return Shape("value")
