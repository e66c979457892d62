"""Which repository of which upstream a name means, or that it is hosted here. Pure: no I/O.

Three ways of addressing at once: a path prefix (`ghcr.io/org/app`: podman, people), containerd's `?ns=ghcr.io`, and a
plain Docker mirror (no host: the default upstream).
"""

from __future__ import annotations

import re
from fnmatch import translate
from types import MappingProxyType
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from pyregistry.config import UpstreamConfig
from pyregistry.mirror.well_known import WELL_KNOWN, built_in
from pyregistry.oci.references import looks_like_host
from pyregistry.store.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyregistry.config import Config, MirrorConfig


class UnknownRegistry(LookupError):
    """A name that leads to no configured upstream and is not hosted: NAME_UNKNOWN, and never a fetch.

    An unconfigured host must not be asked: an open relay is a security hole. The message says which setting would allow
    it.
    """


def configured_upstreams(mirror: MirrorConfig) -> dict[str, UpstreamConfig]:
    """Every upstream by its name in lower case, defaults of well-known ones filled in (`well_known` says how)."""
    if mirror.upstreams is None:
        return {name: UpstreamConfig.model_validate(dict(defaults)) for name, defaults in WELL_KNOWN.items()}
    complete: dict[str, UpstreamConfig] = {}
    taken = {alias.lower() for upstream in mirror.upstreams.values() for alias in upstream.aliases}
    taken |= {name.lower() for name in mirror.upstreams}
    for name, upstream in mirror.upstreams.items():
        defaults = built_in(name, upstream.bases)
        if defaults is not None:
            given = upstream.model_fields_set | ({"url"} if upstream.bases else frozenset())
            added = {key: value for key, value in defaults.items() if key not in given}
            if "aliases" in added:
                # What the user has named otherwise is his.
                added["aliases"] = tuple(one for one in cast("Iterable[str]", added["aliases"]) if one not in taken)
            upstream = upstream.model_copy(update=added)  # noqa: PLW2901  the entry, made whole
        complete[name.lower()] = upstream
    return complete


class Namespaces:
    """The configured names, ready to resolve. Registry names compare without case, as host names do."""

    #: Every upstream by name, well-known defaults filled in: what `Upstream` objects are made from.
    upstreams: Mapping[str, UpstreamConfig]
    #: Name of the upstream for names without a registry host; None if there is no upstream at all.
    default: str | None

    def __init__(self, config: Config) -> None:
        """Raises ValueError if `mirror.default` names no upstream."""
        self.upstreams = MappingProxyType(configured_upstreams(config.mirror))
        self._by_name = _names(self.upstreams)
        self.default = next(iter(self.upstreams), None)
        if config.mirror.default is not None:
            self.default = self._by_name.get(config.mirror.default.lower())
            if self.default is None:
                raise ValueError(f"`mirror.default` is `{config.mirror.default}`, which is no configured upstream")
        self._hosted = [re.compile(translate(pattern)) for pattern in config.hosted_names]
        #: First components that a pattern of `hosted` spells out: they are ours even if they look like a host.
        self._hosted_first = frozenset(pattern.partition("/")[0] for pattern in config.hosted_names)

    def resolve(self, name: str, ns: str | None) -> Target:
        """What `name` means, with `?ns=` if the client sent one. Raises UnknownRegistry.

        `ns` names the upstream and is never answered from hosted names. Without it the first component does if it is an
        upstream's name or alias; if it only looks like a registry host, the name is unknown; else a pattern of `hosted`
        claims the name (`*` matches `/` too), else it is the default upstream's.
        """
        first, slash, rest = name.partition("/")
        if ns:
            upstream = self._by_name.get(ns.lower())
            if upstream is None:
                raise UnknownRegistry(_unknown(ns))
            # `override_path` in hosts.toml can send both `docker.io/library/nginx` and `ns=docker.io`. An alias that is
            # a plain word is left alone: Docker Hub has a user called `hub`.
            if slash and looks_like_host(first) and self._by_name.get(first.lower()) == upstream:
                return self._mirrored(upstream, rest)
            return self._mirrored(upstream, name)
        if slash:
            upstream = self._by_name.get(first.lower())
            if upstream is not None:
                return self._mirrored(upstream, rest)
            if looks_like_host(first) and self.upstreams and first not in self._hosted_first:
                raise UnknownRegistry(_unknown(first))
        if any(pattern.match(name) for pattern in self._hosted):
            return Target(name, "", name, hosted=True)
        if self.default is None:
            raise UnknownRegistry(
                f"{name} is not hosted here and no upstream could be asked: see `hosted` and `mirror`"
            )
        return self._mirrored(self.default, name)

    def _mirrored(self, upstream: str, path: str) -> Target:
        if self.upstreams[upstream].library and "/" not in path:
            path = f"library/{path}"
        return Target(f"{upstream}/{path}", upstream, path, hosted=False)


def _names(upstreams: Mapping[str, UpstreamConfig]) -> dict[str, str]:
    """Upstream by everything it is called: its name, its aliases, and the hosts of its URLs.

    The latter since containerd names an upstream by host and port, whatever we call it. A name beats an alias, an alias
    a host, the first listed the later ones.
    """
    names = {name: name for name in upstreams}
    for name, upstream in upstreams.items():
        for alias in upstream.aliases:
            names.setdefault(alias.lower(), name)
    for name, upstream in upstreams.items():
        for base in upstream.bases:
            parts = urlsplit(base)
            if not parts.path:
                names.setdefault(parts.netloc.lower(), name)
    return names


def _unknown(registry: str) -> str:
    shown = registry if len(registry) <= 100 else registry[:100] + "…"
    return f"registry {shown!r} is not mirrored here; an entry for it in `mirror.upstreams` would allow it"
