"""The public registries that are mirrored without any configuration, and what is odd about them. Plain data.

How it joins with a user's `mirror.upstreams`:

- `upstreams` unset: exactly these.
- `upstreams` given: it replaces the set. An entry whose name stands here and that gives no URL, or only URLs on the
  built-in host, gets every key it leaves out from here: `docker.io: {username: …, password_file: …}` is a whole entry.
  An entry with URLs elsewhere is taken as it is written: realms and the `library/` rule are the public host's.

`realms` are hosts besides the upstream's own that may see its credentials (I11): each line says whose.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Hosts that are Docker Hub under other names: clients send them as `?ns=`, `~/.docker/config.json` has them as keys.
DOCKER_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

#: By name, in order; the first is the default upstream. Keys are those of `UpstreamConfig`.
WELL_KNOWN: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "docker.io": {
            "url": "https://registry-1.docker.io",
            "library": True,
            "aliases": ("hub", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"),
            # Docker's token server. Answers 401, not 404, for a repository that is missing or private.
            "realms": ("auth.docker.io",),
        },
        # Realm on its own host. A missing repository is a 403 at the token step; its `/v2/` scope is made up.
        "ghcr.io": {"url": "https://ghcr.io"},
        # Realm on its own host (`/v2/auth`).
        "quay.io": {"url": "https://quay.io"},
        # No tokens; redirects manifests and blobs to a regional host.
        "registry.k8s.io": {"url": "https://registry.k8s.io"},
        # Realm on its own host. Answers 401 for a missing repository.
        "gcr.io": {"url": "https://gcr.io"},
        # Realm on its own host. Refuses HEAD on blobs with 401.
        "public.ecr.aws": {"url": "https://public.ecr.aws"},
        # No tokens.
        "mcr.microsoft.com": {"url": "https://mcr.microsoft.com"},
        # GitLab's own token server (`/jwt/auth`).
        "registry.gitlab.com": {"url": "https://registry.gitlab.com", "realms": ("gitlab.com",)},
        # NVIDIA's token server: named instead of nvcr.io/proxy_auth once a token has expired
        # (NVIDIA/nvidia-container-toolkit#1945), where anonymous clients get nothing. Its challenge has no service.
        "nvcr.io": {"url": "https://nvcr.io", "realms": ("authn.nvidia.com",)},
    }
)


def built_in(name: str, urls: tuple[str, ...]) -> Mapping[str, object] | None:
    """The defaults for an upstream called `name` whose entry gives `urls`; None if none apply."""
    known = WELL_KNOWN.get(name.lower())
    if known is None:
        return None
    host = urlsplit(str(known["url"])).netloc
    if any(urlsplit(url).netloc.lower() != host for url in urls):
        return None
    return known
