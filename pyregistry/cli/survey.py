"""What `pyregistry status` looks at, gathered beside a running server or without one; nothing is written or made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyregistry.config import ConfigError
from pyregistry.errors import Failure
from pyregistry.mirror.trouble import troubles
from pyregistry.store.content import fills
from pyregistry.store.metadata.sqlite import DATABASE
from pyregistry.store.metadata.totals import totals
from pyregistry.telemetry import exposition

if TYPE_CHECKING:
    from pyregistry.mirror.trouble import Trouble
    from pyregistry.store.content import FillStatus
    from pyregistry.store.metadata import Totals
    from pyregistry.telemetry.exposition import UpstreamTotals


@dataclass(frozen=True, slots=True)
class Survey:
    """One storage root at one moment."""

    root: Path
    #: Process of the `serve` that runs on it; None: none does.
    server: int | None
    fills: list[FillStatus]
    #: None where there is no database yet, or `trouble` says why it cannot be read.
    facts: Totals | None
    trouble: str | None
    #: Since the last start of `serve`.
    upstreams: dict[str, UpstreamTotals]
    #: Base URLs of upstreams that failed last, or limit us.
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def partial_bytes(self) -> int:
        """Bytes of fills that are present."""
        return sum(fill.had for fill in self.fills)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        facts = self.facts
        return {
            "root": str(self.root),
            "server": self.server,
            "fills": [
                {
                    "digest": fill.digest,
                    "size": fill.size,
                    "frontier": fill.frontier,
                    "present": fill.had,
                    "running": fill.owned,
                    "failure": fill.failure.message if fill.failure else None,
                }
                for fill in self.fills
            ],
            "content": facts
            and {
                "blobs": facts.blobs,
                "blob_bytes": facts.blob_bytes,
                "manifests": facts.manifests,
                "manifest_bytes": facts.manifest_bytes,
                "tags": facts.tags,
                # Hosted repositories have no upstream; a JSON key has to be text.
                "repositories": {upstream or "": count for upstream, count in facts.repositories.items()},
            },
            "trouble": self.trouble,
            "upstreams": {
                name: {
                    "requests": upstream.answered,
                    "results": dict(upstream.results),
                    "hit_ratio": upstream.hit_ratio,
                    "served_bytes": upstream.served,
                    "upstream_bytes": upstream.received,
                    "saved_bytes": upstream.saved,
                    "upstream_requests": upstream.requests,
                    "quota_remaining": upstream.quota_remaining,
                    "incomplete_manifests": upstream.incomplete,
                }
                for name, upstream in self.upstreams.items()
            },
            "troubles": [
                {
                    "upstream": one.upstream,
                    "url": one.base,
                    "since": one.since,
                    "failures": one.failures,
                    "not_asked_until": one.until or None,
                    "cause": one.cause.name.lower(),
                    "message": one.message,
                }
                for one in self.troubles
            ],
        }


def check_root(root: Path) -> None:
    """Raises ConfigError if nothing was ever served from `root`: a mistyped folder must not become a storage root."""
    try:
        # The first is the store's; the second is there a little earlier, when `serve` begins.
        known = (root / "VERSION").exists() or (root / "serve.lock").exists()
    except OSError as error:
        raise ConfigError(f"storage.root: cannot read {root}: {error.strerror}") from None
    if not known:
        raise ConfigError(f"storage.root: {root} is no storage root; name one with --root or --config")


def survey(root: Path) -> Survey:
    """Looks at `root`. Raises ConfigError if it is no storage root."""
    check_root(root)
    facts, trouble = None, None
    if (root / DATABASE).exists():
        try:
            facts = totals(root)
        except Failure as failure:
            trouble = failure.message
    ordered = sorted(fills(str(root)), key=lambda fill: (not fill.owned, fill.digest))
    return Survey(
        root, _server(root), ordered, facts, trouble, exposition.upstreams(root / "run"), troubles(root / "run")
    )


def _server(root: Path) -> int | None:
    """Who holds `serve.lock`. Asked of the kernel's list: trying the lock could make a server that starts now fail."""
    try:
        inode = (root / "serve.lock").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in locks:
        # 1: FLOCK  ADVISORY  WRITE 4242 00:2d:1234567 0 EOF
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None
