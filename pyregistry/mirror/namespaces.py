"""Which repository of which upstream a name means, or that it is hosted here. Pure: no I/O.

Three ways of addressing at once: a path prefix (`ghcr.io/org/app`: podman, people), containerd's `?ns=ghcr.io`, and a
plain Docker mirror (no host: the default upstream).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyregistry.config import Config, UpstreamConfig


class UnknownRegistry(LookupError):
    """A name that leads to no configured upstream and is not hosted: NAME_UNKNOWN, and never a fetch.

    An unconfigured host must not be asked: an open relay is a security hole.
    """


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's name means."""

    #: Canonical name: `docker.io/library/nginx`; a hosted one as it is.
    repository: str
    #: Name of the upstream in the configuration; empty if hosted.
    upstream: str
    #: The repository's path at the upstream: `library/nginx`.
    path: str
    hosted: bool


class Namespaces:
    """The configured names, ready to resolve."""

    #: Every upstream by name, well-known defaults filled in: what `Upstream` objects are made from.
    upstreams: Mapping[str, UpstreamConfig]
    #: Name of the upstream for names without a registry host; None if there is no upstream at all.
    default: str | None

    def __init__(self, config: Config) -> None:
        raise NotImplementedError

    def resolve(self, name: str, ns: str | None) -> Target:
        """What `name` means, with `?ns=` if the client sent one. Raises UnknownRegistry."""
        raise NotImplementedError
