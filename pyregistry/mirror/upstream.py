"""One registry we mirror, as the rest of pyregistry sees it: manifests, blobs, tags and referrers by repository path.

Where to send (the `urls` in order), who we are (`authorization`, `tokens`, `credentials`) and what an answer means are
kept apart; this file joins them. Every method raises `pyregistry.errors.Failure` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pyregistry._native import Source, Store
    from pyregistry.config import UpstreamConfig
    from pyregistry.errors import Failure
    from pyregistry.mirror.quota import Quota

#: Told of every answer: kind (`manifest_head`, `manifest`, `blob_head`, `blob`, `tags`, `referrers`, `token`) and its status,
#: 0 if none came. Bodies fetched through a `Source` are not among them: see `Source.statuses`.
OnRequest = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class ManifestHead:
    """What HEAD tells of a manifest; None where upstream does not tell, or does not answer HEAD: then GET it."""

    digest: str | None
    media_type: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest's bytes as received, unchecked, with what upstream's headers say of them (without parameters)."""

    content: bytes
    media_type: str | None
    digest: str | None


class Upstream:
    """One configured upstream. Made once a process; safe for any number of tasks of its loop."""

    def __init__(
        self, name: str, config: UpstreamConfig, *, store: Store, run_dir: Path, on_request: OnRequest | None = None
    ) -> None:
        """`store` gives the locks that make a token's fetch one over all workers, `run_dir` (`<root>/run`) the place to
        share it. Nothing is sent yet. ValueError names an unreadable `ca_file` or client certificate."""
        raise NotImplementedError

    name: str

    @property
    def anonymous(self) -> bool:
        """Whether requests carry no credentials of ours: a 401 or 403 then means `not here` to clients (DESIGN.md section 6)."""
        raise NotImplementedError

    @property
    def quota(self) -> Quota | None:
        """The last pull quota upstream told (Docker Hub's `ratelimit-*` headers)."""
        raise NotImplementedError

    @property
    def base_count(self) -> int:
        """Number of base URLs; `blob_source` takes an index below it (higher ones wrap around)."""
        raise NotImplementedError

    async def head_manifest(self, path: str, reference: str) -> ManifestHead:
        raise NotImplementedError

    async def get_manifest(self, path: str, reference: str) -> FetchedManifest:
        raise NotImplementedError

    async def stat_blob(self, path: str, digest: str) -> int | None:
        """The size of a blob that is there, None if upstream has it but tells no size; NOT_FOUND, DENIED… raise."""
        raise NotImplementedError

    async def blob_source(
        self, path: str, digest: str, *, base_index: int = 0, failure: Failure | None = None
    ) -> Source:
        """A source for the blob's body at one base URL, with the authorization known so far; nothing is sent for the body yet.

        After a run that ended with DENIED call it again with that `failure`: if its challenge can be met with something
        better than what was sent, the new source carries it; else the failure is raised again. So a driver needs no count
        of its own for denials. After UNREACHABLE, TIMEOUT or UPSTREAM call it with the next `base_index`.
        """
        raise NotImplementedError

    async def tags(self, path: str) -> list[str]:
        """All tags, over all pages, in the order upstream tells them."""
        raise NotImplementedError

    async def referrers(self, path: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests whose subject is `digest`: the referrers API, else the tag schema; [] if none."""
        raise NotImplementedError

    async def close(self) -> None:
        """Ends background work (token renewals)."""
        raise NotImplementedError
