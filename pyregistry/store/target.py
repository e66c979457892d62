"""What a request's name means: a repository of an upstream, or one hosted here."""

from __future__ import annotations

from dataclasses import dataclass


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
