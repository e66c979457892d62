"""The configuration: one model is the single source of keys, defaults, schema and docs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parse_duration(value: object) -> object:
    """`1h30m`, `60s`, `250ms`, or a number of seconds."""
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return timedelta(seconds=sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts))
        try:
            return timedelta(seconds=float(text))
        except ValueError:
            raise ValueError("not a duration; write it as 30s, 5m, 1h30m or 30d") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    return value


def parse_size(value: object) -> object:
    """`2GiB`, `500MB`, `64k`, or a number of bytes."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError("not a size; write it as 64MiB, 2GiB or a number of bytes")
        number, prefix, binary = match.groups()
        return int(float(number) * (1024 if binary else 1000) ** ("kmgt".index(prefix.lower()) + 1 if prefix else 0))
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsConfig(Section):
    cert: Path = Field(description="PEM file with the server's certificate chain.")
    key: Path = Field(description="PEM file with its private key.")


class HttpConfig(Section):
    listen: str = Field("127.0.0.1:5000", description="Address and port to serve on.")
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = Field(
        "auto", description="Worker processes; `auto` is one per processor, at most 16."
    )
    tls: TlsConfig | None = Field(None, description="Serve HTTPS with these files.")
    drain: Duration = Field(
        timedelta(seconds=30), description="How long running downloads may go on after SIGTERM before they are cut."
    )
    stall_timeout: Duration = Field(
        timedelta(seconds=60), description="A client that takes no byte of its response for this long is dropped."
    )
    max_requests: Annotated[int, Field(ge=16)] = Field(
        8192, description="Requests one worker works on at once; more are answered 503 with Retry-After."
    )


class StorageConfig(Section):
    root: Path = Field(Path("data"), description="Folder that holds everything; a local file system.")
    reserve: Size = Field(2 << 30, description="No fill begins with less than this free on the file system.")
    partial_expiry: Duration = Field(
        timedelta(days=2), description="Partials nobody asked for in this time are removed in the background."
    )
    pass_through: Annotated[int, Field(ge=0)] = Field(
        16, description="Bodies one worker hands through unstored at once while storage is full."
    )


class FreshnessConfig(Section):
    ttl: Duration = Field(timedelta(seconds=60), description="How long a tag's answer needs no question upstream.")
    negative_ttl: Duration = Field(timedelta(seconds=10), description="How long `not found` needs no question upstream.")
    stale_if_error: Duration = Field(
        timedelta(days=30), description="How long after its last confirmation a tag is served while upstream fails."
    )
    stale_while_revalidate: Duration = Field(
        timedelta(0), description="How long after `ttl` a tag is served at once while upstream is asked in the background."
    )
    answer_within: Duration = Field(
        timedelta(seconds=5), description="A cached tag whose upstream has not answered by then is served stale."
    )


class TagFreshness(Section):
    """Freshness for tags that match a pattern; the first match of an upstream's list wins."""

    pattern: str = Field(description="Glob over `repository:tag`, for example `*:v*` or `library/*:latest`.")
    ttl: Duration | None = Field(None, description="Instead of `freshness.ttl`.")
    immutable: bool = Field(False, description="Once known, never ask upstream about such a tag again.")


class UpstreamConfig(Section):
    url: str | None = Field(None, description="Base URL, for example `https://ghcr.io`.")
    urls: tuple[str, ...] = Field((), description="Several base URLs instead of `url`, tried in order.")
    aliases: tuple[str, ...] = Field((), description="Other names for it in paths and `?ns=`, for example `hub`.")
    library: bool = Field(False, description="Add `library/` to repository names of one component (Docker Hub).")
    username: str | None = Field(None, description="User name for this upstream.")
    password: SecretStr | None = Field(None, description="Password or token; better from `password_file`.")
    password_file: Path | None = Field(None, description="File with the password; read again when upstream answers 401.")
    credential_helper: str | None = Field(
        None, description="`docker-credential-NAME` program to ask, for example `ecr-login`."
    )
    credential_lifetime: Duration = Field(
        timedelta(minutes=30), description="How long the helper's answer is used before it is asked again."
    )
    docker_config: bool = Field(
        False, description="Use the credentials of `~/.docker/config.json` (`$DOCKER_CONFIG`) for this upstream."
    )
    realms: tuple[str, ...] = Field(
        (), description="Hosts, besides the upstream's own, whose token realm may see its credentials."
    )
    ca_file: Path | None = Field(None, description="PEM file with further certificate authorities.")
    client_cert: Path | None = Field(None, description="PEM file with a client certificate.")
    client_key: Path | None = Field(None, description="PEM file with its key.")
    verify: bool = Field(True, description="Check the upstream's certificate.")
    connect_timeout: Duration = Field(timedelta(seconds=5), description="For a connection to be made.")
    progress_timeout: Duration = Field(
        timedelta(seconds=30), description="For a status line, and between two pieces of a body."
    )
    freshness: FreshnessConfig | None = Field(None, description="Instead of `mirror.freshness` for this upstream.")
    tags: tuple[TagFreshness, ...] = Field((), description="Freshness by tag pattern.")

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> UpstreamConfig:
        if (self.url is None) == (not self.urls):
            raise ValueError("give either `url` or `urls`")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give either `password` or `password_file`")
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("`client_cert` and `client_key` go together")
        return self

    @property
    def bases(self) -> tuple[str, ...]:
        """Base URLs without a trailing slash, in the order to try."""
        return tuple(url.rstrip("/") for url in (self.urls or (self.url or "",)))


class FillConfig(Section):
    """What becomes of a fill nobody waits for any more: it goes on if more than `min_sent` bytes came, and `fraction` of
    it is done or less than `remaining` bytes are missing; else it stops and keeps its partial."""

    min_sent: Size = Field(1 << 20, description="Bytes.")
    fraction: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Done share of the blob, 0 to 1.")
    remaining: Size = Field(64 << 20, description="Bytes.")
    attempts: Annotated[int, Field(ge=1)] = Field(3, description="Runs without progress before a fill fails.")


class MirrorConfig(Section):
    default: str | None = Field(None, description="Upstream of names without a registry host; unset: the first listed.")
    upstreams: dict[str, UpstreamConfig] | None = Field(
        None, description="Registries mirrored, by the name clients use; unset: the well-known public ones."
    )
    freshness: FreshnessConfig = Field(FreshnessConfig(), description="How long answers about tags hold.")
    abandon: FillConfig = Field(FillConfig(), description="Fills nobody waits for.")


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity logged.")
    format: Literal["json", "console"] = Field("json", description="JSON lines, or text for people.")


class MetricsConfig(Section):
    listen: str | None = Field(
        "127.0.0.1:9090", description="Address of `/metrics`, `/livez` and `/readyz` of the whole server; empty: off."
    )


class Config(Section):
    """Everything `pyregistry serve` can be told."""

    http: HttpConfig = Field(HttpConfig(), description="The server.")
    storage: StorageConfig = Field(StorageConfig(), description="Where content lives.")
    mirror: MirrorConfig = Field(MirrorConfig(), description="Upstreams and freshness.")
    hosted: tuple[str, ...] | None = Field(
        None, description="Globs of repositories hosted here; unset: none, or all where no upstream is configured."
    )
    log: LogConfig = Field(LogConfig(), description="Logs, on standard error.")
    metrics: MetricsConfig = Field(MetricsConfig(), description="Prometheus.")
