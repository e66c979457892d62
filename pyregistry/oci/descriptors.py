"""Descriptors: how a manifest names content (OCI image spec, descriptor.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from pyregistry.oci.digests import Digest, InvalidDigest, parse_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Sizes are signed 64-bit in the specification's reference types, and in our tables.
MAX_SIZE: Final = 2**63 - 1

NO_ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType({})


class InvalidDescriptor(ValueError):
    """Not a descriptor; the message says which field of which part is wrong."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What a child of an index runs on (OCI image spec, image-index.md)."""

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One reference to content. `media_type` is "" where the manifest gives none: nothing of ours depends on it."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=lambda: NO_ANNOTATIONS, hash=False)
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    @property
    def is_external(self) -> bool:
        """A non-distributable (foreign) layer: clients fetch it from `urls`, and registries need not have it."""
        return bool(self.urls)

    def to_json(self) -> dict[str, object]:
        """The JSON object, without what is unset."""
        document: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type is not None:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform is not None:
            document["platform"] = _platform_to_json(self.platform)
        if self.urls:
            document["urls"] = list(self.urls)
        return document


def parse_descriptor(value: object, where: str = "descriptor") -> Descriptor:
    """A descriptor from parsed JSON; `where` names the place in messages. Raises InvalidDescriptor."""
    if not isinstance(value, dict):
        raise InvalidDescriptor(f"{where} is not an object")
    digest = value.get("digest")
    if not isinstance(digest, str):
        raise InvalidDescriptor(f"{where}.digest is not a string")
    size = value.get("size")
    # bool is an int in Python, not in JSON.
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise InvalidDescriptor(f"{where}.size is not an integer from 0 to 2^63-1")
    try:
        checked = parse_digest(digest)
    except InvalidDigest as error:
        raise InvalidDescriptor(f"{where}.digest: {error}") from None
    return Descriptor(
        text_of(value, "mediaType", where) or "",
        checked,
        size,
        text_of(value, "artifactType", where) or None,
        annotations_of(value, where),
        _platform_of(value, where),
        texts_of(value, "urls", where),
    )


def text_of(document: Mapping[str, object], key: str, where: str) -> str | None:
    """The string under `key`; None if it is missing or null, which Go's encoders write for unset."""
    value = document.get(key)
    if value is None:
        return None
    # Control characters: such texts go into columns and logs, and PostgreSQL has no NUL.
    if isinstance(value, str) and value.isprintable():
        return value
    raise InvalidDescriptor(f"{where}.{key} is not a string of printable characters")


def texts_of(document: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    """The list of strings under `key`; empty if it is missing or null."""
    value = document.get(key)
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidDescriptor(f"{where}.{key} is not a list of strings")


def annotations_of(document: Mapping[str, object], where: str) -> Mapping[str, str]:
    """The annotations; empty if they are missing or null."""
    value = document.get("annotations")
    if not value and (value is None or isinstance(value, dict)):
        return NO_ANNOTATIONS
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return MappingProxyType(cast("dict[str, str]", value))
    raise InvalidDescriptor(f"{where}.annotations is not an object of strings")


def _platform_of(document: Mapping[str, object], where: str) -> Platform | None:
    value = document.get("platform")
    if value is None:
        return None
    where = f"{where}.platform"
    if not isinstance(value, dict):
        raise InvalidDescriptor(f"{where} is not an object")
    return Platform(
        text_of(value, "os", where) or "",
        text_of(value, "architecture", where) or "",
        text_of(value, "variant", where) or None,
        text_of(value, "os.version", where) or None,
        texts_of(value, "os.features", where),
    )


def _platform_to_json(platform: Platform) -> dict[str, object]:
    document: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version is not None:
        document["os.version"] = platform.os_version
    if platform.os_features:
        document["os.features"] = list(platform.os_features)
    if platform.variant is not None:
        document["variant"] = platform.variant
    return document
