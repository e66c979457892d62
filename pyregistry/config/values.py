"""How single settings are written: durations, sizes, addresses, URLs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SIZE_UNITS = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}


def parse_duration(value: object) -> object:
    """`1h30m`, `60s`, `250ms`, or a number of seconds."""
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            value = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
        else:
            try:
                value = float(text)
            except ValueError:
                raise ValueError("not a duration; write it as 30s, 5m, 1h30m or 30d") from None
    if isinstance(value, bool):
        raise ValueError("not a duration; write it as 30s, 5m, 1h30m or 30d")
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError("not a duration; it is negative")
        try:
            return timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise ValueError("not a duration; it is too long") from None
    return value


def format_duration(value: timedelta) -> str:
    """The shortest way to write it that `parse_duration` reads back: `1h30m`."""
    rest, parts = round(value.total_seconds() * 1000), []
    for unit, seconds in _DURATION_UNITS.items():
        count, rest = divmod(rest, round(seconds * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(value: object) -> object:
    """`2GiB`, `500MB`, `64k`, or a number of bytes."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError("not a size; write it as 64MiB, 2GiB or a number of bytes")
        number, prefix, binary = match.groups()
        return int(float(number) * (1024 if binary else 1000) ** ("kmgt".index(prefix.lower()) + 1 if prefix else 0))
    return value


def format_size(value: int) -> str | int:
    """`2GiB` where it is that exactly, else bytes."""
    for unit, count in _SIZE_UNITS.items():
        if value and value % count == 0:
            return f"{value // count}{unit}"
    return value


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`, or `:5000` (every interface)."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("not an address; write it as 127.0.0.1:5000, [::1]:5000 or :5000")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:5000")
    return host or "0.0.0.0", int(port)


def _check_address(value: str) -> str:
    split_address(value)
    return value


def _off(value: object) -> object:
    # YAML reads a bare `off` as false.
    return None if value in ("", "off", False) else value


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not a URL; write it as https://registry.example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no credentials in a URL; use `username` and `password_file`")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no query and no fragment")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _check_name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?", value) is None:
        raise ValueError("not a registry's name; write it as clients do: ghcr.io, registry.example.com:5000")
    return value


def _workers(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if value != "auto" and not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 256):
        raise ValueError("neither `auto` nor a number from 1 to 256")
    return value


def _some_time(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("nothing can be done in no time; write it as 30s, 5m or 1h30m")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["30s", "5m", "1h30m", "30d"]}),
]
#: A duration that is waited for, not looked back at.
Timeout = Annotated[Duration, AfterValidator(_some_time)]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["64MiB", "2GiB"]}),
]
#: Bytes a second; less would be no more than one piece now and then.
Bandwidth = Annotated[Size, Field(ge=64 << 10)]
Address = Annotated[str, AfterValidator(_check_address)]
OptionalAddress = Annotated[Address | None, BeforeValidator(_off)]
Url = Annotated[str, AfterValidator(_check_url)]
#: Host names do not tell upper from lower case, so names and aliases of upstreams are kept in lower case.
RegistryName = Annotated[str, BeforeValidator(_lower), AfterValidator(_check_name)]
Workers = Annotated[int | Literal["auto"], BeforeValidator(_workers)]
