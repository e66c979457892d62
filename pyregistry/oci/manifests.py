"""Manifests: image manifests, indexes and artifacts, read for what they refer to; their bytes never change (I7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import orjson

from pyregistry.oci.descriptors import (
    NO_ANNOTATIONS,
    Descriptor,
    InvalidDescriptor,
    annotations_of,
    parse_descriptor,
    text_of,
)
from pyregistry.oci.digests import Digest, digest_of
from pyregistry.oci.media_types import (
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
    essence,
    is_generic_type,
    is_index_type,
    is_manifest_type,
    is_media_type,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The distribution spec asks for 4 MiB at least (section Push, Pushing Manifests).
MAX_MANIFEST_SIZE: Final = 8 << 20
#: Descriptors of one list.
MAX_DESCRIPTORS: Final = 10_000
#: Bytes up to which reading a manifest is quick enough for an event loop.
PARSED_INLINE: Final = 256 << 10


class ManifestError(ValueError):
    """A manifest that cannot be kept; the message says what is wrong and where."""


class InvalidManifest(ManifestError):
    """Not a manifest: no JSON object, a field of the wrong shape, too large, or of two kinds at once."""


class UnsupportedManifest(ManifestError):
    """A manifest of Docker's schema 1, whose digest is not that of its bytes. Answered 404."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed manifest. `blobs` are its config, then its layers, as listed (an artifact may list one twice)."""

    digest: Digest
    media_type: str
    content: bytes = field(repr=False)
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: NO_ANNOTATIONS, hash=False)

    @property
    def size(self) -> int:
        """Bytes of `content`."""
        return len(self.content)

    def descriptor(self) -> Descriptor:
        """How a referrers list names it (distribution spec, section Listing Referrers)."""
        return Descriptor(self.media_type, self.digest, self.size, self.artifact_type, self.annotations)


def parse_manifest(content: bytes, media_type: str | None, algorithm: str = "sha256") -> Manifest:
    """Reads `content`; `media_type` is the Content-Type header it came with, `algorithm` that of the digest wanted.

    The type is its own `mediaType`, else the header's, else guessed from its shape. A type nobody has listed is taken
    as an artifact's. Raises InvalidManifest or UnsupportedManifest, and nothing else whatever the bytes.
    """
    if len(content) > MAX_MANIFEST_SIZE:
        raise InvalidManifest(f"the manifest has {len(content)} bytes; at most {MAX_MANIFEST_SIZE} are accepted")
    try:
        document: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidManifest(f"the manifest is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise InvalidManifest("the manifest is not a JSON object")
    try:
        kind = _media_type(document, essence(media_type or ""))
        _refuse_two_kinds(document, kind)
        return Manifest(
            digest_of(content, algorithm),
            kind,
            content,
            _blobs(document),
            _descriptors(document, "manifests"),
            _subject(document),
            _artifact_type(document, kind),
            annotations_of(document, "manifest"),
        )
    except InvalidDescriptor as error:
        raise InvalidManifest(str(error)) from None


def _media_type(document: Mapping[str, object], header: str) -> str:
    kind = text_of(document, "mediaType", "manifest") or ""
    if kind and not is_media_type(kind):  # it goes into a Content-Type header
        raise InvalidManifest("manifest.mediaType is not a media type")
    if not kind and is_media_type(header) and not is_generic_type(header):
        kind = header
    if kind in SCHEMA1_TYPES or (not kind and document.get("schemaVersion") == 1):
        raise UnsupportedManifest(
            "the manifest is of Docker's schema 1, which current clients refuse; push it again with a current tool"
        )
    if kind:
        return kind
    # Both Docker types require `mediaType`, so what has none is OCI's.
    if isinstance(document.get("manifests"), list):
        return OCI_INDEX
    if isinstance(document.get("config"), dict) or isinstance(document.get("layers"), list):
        return OCI_MANIFEST
    raise InvalidManifest("the manifest has no mediaType, and neither layers nor manifests to guess it from")


def _refuse_two_kinds(document: Mapping[str, object], kind: str) -> None:
    """One digest must not be an image to one client and an index to another (CVE-2021-41190; as containerd does)."""
    known = is_manifest_type(kind) or is_index_type(kind)
    if known and document.get("schemaVersion", 2) != 2:
        raise InvalidManifest(f"manifest.schemaVersion of a {kind} is not 2")
    foreign = ("manifests",) if is_manifest_type(kind) else ("config", "layers") if is_index_type(kind) else ()
    for key in (*foreign, "fsLayers") if known else ():
        if document.get(key):
            raise InvalidManifest(f"manifest.{key} has no place in a {kind}")


def _blobs(document: Mapping[str, object]) -> tuple[Descriptor, ...]:
    config = document.get("config")
    first = () if config is None else (parse_descriptor(config, "config"),)
    # `blobs` is the list of OCI's artifact manifest.
    return first + _descriptors(document, "layers") + _descriptors(document, "blobs")


def _bounded(values: list[object], key: str) -> list[object]:
    """No image has thousands of layers; a manifest that does costs its readers seconds (of parsing, of one
    transaction).
    """
    if len(values) > MAX_DESCRIPTORS:
        raise InvalidManifest(f"manifest.{key} lists {len(values)} descriptors; at most {MAX_DESCRIPTORS} are accepted")
    return values


def _descriptors(document: Mapping[str, object], key: str) -> tuple[Descriptor, ...]:
    values = document.get(key)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise InvalidManifest(f"manifest.{key} is not a list")
    return tuple(parse_descriptor(value, f"{key}[{index}]") for index, value in enumerate(_bounded(values, key)))


def _subject(document: Mapping[str, object]) -> Descriptor | None:
    subject = document.get("subject")
    return None if subject is None else parse_descriptor(subject, "subject")


def _artifact_type(document: Mapping[str, object], kind: str) -> str | None:
    """`artifactType`, else for an image the config's type (distribution spec, section Listing Referrers)."""
    own = text_of(document, "artifactType", "manifest")
    if own or is_index_type(kind):
        return own or None
    config = document.get("config")
    return (
        text_of(cast("dict[str, object]", config), "mediaType", "config") or None if isinstance(config, dict) else None
    )
