"""What the metadata database answers: plain values, one for each question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

CheckKind = Literal["tag", "tags", "manifest", "blob", "referrers"]
"""What upstream was asked about: one tag, the tag list, a manifest, a blob, the referrers of a subject."""

BlobOrigin = Literal["manifest", "upload", "upstream"]
"""Whose word vouches for a blob: a mirrored repository's manifest, a push, or upstream's own answer (I12)."""

RepositoryKind = Literal["hosted", "mirrored"]
"""Two repositories of one name but of different kinds are two repositories: neither answers for the other."""


@dataclass(frozen=True, slots=True)
class TagFact:
    """What is known of a tag: what it names here, and what upstream said of it when.

    `digest` is None where only upstream's `not found` is known; `found` is False where that was its last answer (a
    tag that was kept all the same still has its digest). `checked_at` is when that answer came, or 0 where upstream
    is to be asked: it never was (hosted tags), or `expire` wants it asked again. `confirmed_at` is not touched by
    `expire`: how old an answer is that is served because upstream fails. `stored`: the manifest is here and this
    repository answers for it.
    """

    digest: str | None
    checked_at: float
    found: bool
    stored: bool
    confirmed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ManifestFact:
    """A stored manifest, byte for byte."""

    digest: str
    media_type: str
    size: int
    content: bytes


@dataclass(frozen=True, slots=True)
class BlobFact:
    """A blob as one repository sees it.

    `vouched`: the repository answers for it (I12). `size`: of the committed blob, None while it is cold. `described`:
    the size that a manifest of this repository gives it; never that of another repository's manifest.
    """

    vouched: bool
    size: int | None
    described: int | None = None


@dataclass(frozen=True, slots=True)
class UploadFact:
    """An upload that was begun and has not ended."""

    session: str
    repository: str
    started_at: float
    touched_at: float


@dataclass(frozen=True, slots=True)
class Missing:
    """What a pushed manifest refers to and its repository does not have."""

    kind: Literal["blob", "manifest"]
    digest: str


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of a pushed manifest. Written whole, or, with one of the first two set, not at all."""

    #: What it refers to and the repository does not have, in its order.
    missing: tuple[Missing, ...] = ()
    #: A tag that is immutable and names another manifest.
    immutable: str | None = None
    #: What each tag named before.
    previous: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        """Whether the manifest and its tags are there now."""
        return not self.missing and self.immutable is None


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What became of a manifest that was to be deleted."""

    #: It was there. If so and `immutable` is None, it is gone with its tags.
    found: bool
    #: An immutable tag that names it: nothing was deleted.
    immutable: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums that `status` shows. `repositories` counts by upstream; hosted ones under None."""

    blobs: int
    blob_bytes: int
    manifests: int
    manifest_bytes: int
    tags: int
    repositories: Mapping[str | None, int]
