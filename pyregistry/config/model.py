"""The configuration: one model is the single source of keys, defaults, schema and docs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

# pydantic reads these at run time.
from pyregistry.config.values import (  # noqa: TC001
    Address,
    Bandwidth,
    Duration,
    OptionalAddress,
    RegistryName,
    Size,
    Timeout,
    Url,
    Workers,
)
from pyregistry.mirror.well_known import WELL_KNOWN


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsConfig(Section):
    cert: Path = Field(description="PEM file with the server's certificate chain.")
    key: Path = Field(description="PEM file with its private key.")


class HttpConfig(Section):
    listen: Address = Field(default="127.0.0.1:5000", description="Address and port to serve on.")
    workers: Workers = Field(default="auto", description="Worker processes; `auto` is one per processor, at most 16.")
    tls: TlsConfig | None = Field(default=None, description="Serve HTTPS with these files.")
    drain: Duration = Field(
        default=timedelta(seconds=30),
        description="How long running downloads may go on after SIGTERM before they are cut.",
    )
    stall_timeout: Timeout = Field(
        default=timedelta(seconds=60),
        description="A client that takes no byte of its response, or sends none of its body, for this long is dropped.",
    )
    max_requests: Annotated[int, Field(ge=16)] = Field(
        default=8192, description="Requests one worker works on at once; more are answered 503 with Retry-After."
    )


class StorageConfig(Section):
    root: Path = Field(default=Path("data"), description="Folder that holds everything; a local file system.")
    reserve: Size = Field(
        default=2 << 30, description="No fill and no upload goes on with less than this free on the file system."
    )
    partial_expiry: Duration = Field(
        default=timedelta(days=2), description="Partials nobody asked for in this time are removed in the background."
    )
    pass_through: Annotated[int, Field(ge=0)] = Field(
        default=16, description="Bodies one worker hands through unstored at once while storage is full."
    )
    upload_expiry: Duration = Field(
        default=timedelta(days=1), description="Uploads nobody went on with in this time are removed in the background."
    )
    blob_limit: Size | None = Field(default=None, description="Largest blob that may be pushed; unset: no limit.")
    chunk_min: Size = Field(
        default=0, description="Smallest chunk that clients are asked to push in (`OCI-Chunk-Min-Length`); 0: any."
    )


class FreshnessConfig(Section):
    """How long answers about tags, and about what was not found, hold."""

    ttl: Duration = Field(
        default=timedelta(seconds=60), description="How long a tag's answer needs no question upstream."
    )
    negative_ttl: Duration = Field(
        default=timedelta(seconds=10), description="How long `not found` needs no question upstream."
    )
    stale_if_error: Duration = Field(
        default=timedelta(days=30),
        description="How long after its last confirmation a tag is served while upstream fails.",
    )
    stale_while_revalidate: Duration = Field(
        default=timedelta(0),
        description="How long after `ttl` a tag is served at once while upstream is asked in the background.",
    )
    answer_within: Duration = Field(
        default=timedelta(seconds=5),
        description="A cached tag whose upstream has not answered by then is served stale.",
    )
    on_missing: Literal["drop", "keep"] = Field(
        default="drop",
        description="A cached tag that upstream answers 404 for goes (`drop`), or is served on as stale (`keep`).",
    )


class TagFreshness(Section):
    """Freshness for tags that match a pattern; the first match of an upstream's list wins."""

    pattern: str = Field(description="Glob over `repository:tag`, for example `*:v*` or `library/*:latest`.")
    ttl: Duration | None = Field(default=None, description="Instead of `freshness.ttl`.")
    immutable: bool = Field(default=False, description="Once known, never ask upstream about such a tag again.")


class UpstreamConfig(Section):
    """One registry that is mirrored."""

    url: Url | None = Field(
        default=None, description="Base URL, for example `https://ghcr.io`; may be left out for a well-known registry."
    )
    urls: tuple[Url, ...] = Field(default=(), description="Several base URLs instead of `url`, tried in order.")
    aliases: tuple[RegistryName, ...] = Field(
        default=(), description="Other names for it in paths and `?ns=`, for example `hub`."
    )
    library: bool = Field(
        default=False, description="Add `library/` to repository names of one component (Docker Hub)."
    )
    username: str | None = Field(default=None, description="User name for this upstream.")
    password: SecretStr | None = Field(default=None, description="Password or token; better from `password_file`.")
    password_file: Path | None = Field(
        default=None, description="File with the password; read again when upstream answers 401."
    )
    credential_helper: str | None = Field(
        default=None, description="`docker-credential-NAME` program to ask, for example `ecr-login`."
    )
    credential_lifetime: Duration = Field(
        default=timedelta(minutes=30), description="How long the helper's answer is used before it is asked again."
    )
    docker_config: bool = Field(
        default=False,
        description="Use the credentials of `~/.docker/config.json` (`$DOCKER_CONFIG`) for this upstream.",
    )
    realms: tuple[str, ...] = Field(
        default=(), description="Hosts, besides the upstream's own, whose token realm may see its credentials."
    )
    ca_file: Path | None = Field(default=None, description="PEM file with further certificate authorities.")
    client_cert: Path | None = Field(default=None, description="PEM file with a client certificate.")
    client_key: Path | None = Field(default=None, description="PEM file with its key.")
    verify: bool = Field(default=True, description="Check the upstream's certificate.")
    connect_timeout: Timeout = Field(default=timedelta(seconds=5), description="For a connection to be made.")
    progress_timeout: Timeout = Field(
        default=timedelta(seconds=30), description="For a status line, and between two pieces of a body."
    )
    freshness: FreshnessConfig | None = Field(
        default=None, description="Instead of `mirror.freshness` for this upstream."
    )
    tags: tuple[TagFreshness, ...] = Field(default=(), description="Freshness by tag pattern.")
    max_requests: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="Requests to it at once, bodies included, over all workers; unset: no limit."
    )
    requests_per_second: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Requests to it in a second, evenly spaced, over all workers; unset: no limit.",
    )
    bytes_per_second: Bandwidth | None = Field(
        default=None,
        description="Bytes of blobs from it in a second, over all workers, 64KiB at least; unset: no limit. Fills "
        "under way have equal shares; what no client waits for (prefetch) gets half at most.",
    )
    connections: Annotated[int, Field(ge=0, le=1024)] = Field(
        default=32,
        description="Connections to it beside each blob's first, at most, over all blobs and workers. With "
        "`max_requests` at most half of that.",
    )
    prefetch: Literal["none", "layers"] = Field(
        default="none", description="`layers`: when an image's manifest is served, its blobs are fetched at once."
    )
    quota_reserve: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="With fewer pulls than this left of its quota, cached tags are served stale rather than pulled.",
    )

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> UpstreamConfig:
        if self.url is not None and self.urls:
            raise ValueError("give either `url` or `urls`")
        if self.password is not None and self.password_file is not None:
            raise ValueError("give either `password` or `password_file`")
        if (self.username is None) != (self.password is None and self.password_file is None):
            raise ValueError("`username` goes with `password` or `password_file`")
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("`client_cert` and `client_key` go together")
        return self

    @property
    def bases(self) -> tuple[str, ...]:
        """Base URLs without a trailing slash, in the order to try; empty where the name alone says it (well-known)."""
        return tuple(url.rstrip("/") for url in (self.urls or (() if self.url is None else (self.url,))))


class FillConfig(Section):
    """What becomes of a fill nobody waits for any more: it goes on if more than `min_sent` bytes came, and `fraction`
    of it is done or less than `remaining` bytes are missing; else it stops and keeps its partial."""

    min_sent: Size = Field(default=1 << 20, description="Bytes that must have come.")
    fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the blob that must be there, 0 to 1."
    )
    remaining: Size = Field(default=64 << 20, description="Or fewer bytes than this are missing.")
    attempts: Annotated[int, Field(ge=1)] = Field(default=3, description="Runs without progress before a fill fails.")


class BreakerConfig(Section):
    """When an upstream that fails is left alone: then cached content is served stale, and the rest fails at once."""

    failures: Annotated[int, Field(ge=1)] = Field(
        default=5, description="Failures in a row (no connection, no answer in time, 5xx) after which it is not asked."
    )
    pause: Timeout = Field(
        default=timedelta(seconds=1), description="Time until it is probed; it doubles with every probe that fails."
    )
    longest_pause: Timeout = Field(default=timedelta(seconds=30), description="The longest time between two probes.")


class MirrorConfig(Section):
    default: RegistryName | None = Field(
        default=None, description="Upstream of names without a registry host; unset: the first listed."
    )
    upstreams: dict[RegistryName, UpstreamConfig] | None = Field(
        default=None, description="Registries mirrored, by the name clients use; unset: the well-known public ones."
    )
    freshness: FreshnessConfig = Field(default=FreshnessConfig(), description="How long answers about tags hold.")
    abandon: FillConfig = Field(
        default=FillConfig(), description="Fills of whole blobs nobody waits for; one that only ranges asked for stops."
    )
    breaker: BreakerConfig = Field(default=BreakerConfig(), description="Upstreams that fail.")
    prefetch_api: bool = Field(
        default=False,
        description="Whoever can pull may begin a prefetch: "
        "`POST /v2/NAME/_pyregistry/prefetch/REFERENCE?platform=OS/ARCH` (or `all`; unset: the server's own platform).",
    )
    fill_on_range: Literal["always", "after_fraction", "never"] = Field(
        default="after_fraction",
        description="Whether requests of ranges make the whole blob be fetched: at once, once `fill_fraction` of it is "
        "there, or never. A request of a whole blob, `bytes=0-` too, always does.",
    )
    fill_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Share of the blob, 0 to 1, for `fill_on_range: after_fraction`."
    )
    connections: Annotated[int, Field(ge=1, le=64)] = Field(
        default=8,
        description="Connections over which one large blob is fetched at once, at most; more than one are used while "
        "that is faster. Ranges that clients wait for may take up to eight more; `connections` of the upstream bounds "
        "all.",
    )

    @field_validator("upstreams", mode="before")
    @classmethod
    def _one_entry_a_name(cls, value: object) -> object:
        if isinstance(value, dict):
            seen: set[str] = set()
            for name in map(str, value):
                if name.lower() in seen:
                    raise ValueError(f"`{name}` is given twice; upper and lower case do not tell registries apart")
                seen.add(name.lower())
            # `ghcr.io:` alone is a whole entry for a well-known registry.
            return {name: {} if entry is None else entry for name, entry in value.items()}
        return value

    @model_validator(mode="after")
    def _every_name_leads_somewhere(self) -> MirrorConfig:
        names: dict[str, str] = {}
        for name, upstream in (self.upstreams or {}).items():
            if not upstream.bases and name not in WELL_KNOWN:
                raise ValueError(f"upstream `{name}` needs a `url`")
            for one in dict.fromkeys((name, *upstream.aliases)):
                if one in names:
                    raise ValueError(f"`{one}` names both upstream `{names[one]}` and upstream `{name}`")
                names[one] = name
        known = WELL_KNOWN if self.upstreams is None else names
        if self.default is not None and self.default not in known:
            raise ValueError(f"`default` is `{self.default}`, which is no configured upstream")
        return self


class PolicyConfig(Section):
    """Rules for what is pushed and mirrored."""

    immutable_tags: tuple[str, ...] = Field(
        default=(),
        description="Globs over `repository:tag`; such a tag is set once, by a push or upstream, and never changed.",
    )
    sparse_images: bool = Field(default=False, description="Accept an image although blobs it lists were not pushed.")
    sparse_indexes: bool = Field(
        default=True, description="Accept an index although manifests it lists were not pushed."
    )


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity logged.")
    format: Literal["json", "console"] = Field(default="json", description="JSON lines, or text for people.")


class MetricsConfig(Section):
    listen: OptionalAddress = Field(
        default="127.0.0.1:9090",
        description="Address of `/metrics`, `/livez` and `/readyz` of the whole server; `off`: none.",
    )


class Config(Section):
    """Everything `pyregistry serve` can be told."""

    http: HttpConfig = Field(default=HttpConfig(), description="The server.")
    storage: StorageConfig = Field(default=StorageConfig(), description="Where content lives.")
    mirror: MirrorConfig = Field(default=MirrorConfig(), description="Upstreams and freshness.")
    hosted: tuple[str, ...] | None = Field(
        default=None,
        description="Globs of repositories hosted here; unset: none, or all where no upstream is configured.",
    )
    policy: PolicyConfig = Field(default=PolicyConfig(), description="Rules for tags and manifests.")
    log: LogConfig = Field(default=LogConfig(), description="Logs, on standard error.")
    metrics: MetricsConfig = Field(default=MetricsConfig(), description="Prometheus.")

    @property
    def hosted_names(self) -> tuple[str, ...]:
        """Globs of the repositories hosted here: `hosted`, or what it means to leave it unset."""
        if self.hosted is not None:
            return self.hosted
        return ("*",) if self.mirror.upstreams is not None and not self.mirror.upstreams else ()
