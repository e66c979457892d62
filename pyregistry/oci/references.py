"""References: a tag or a digest within a repository, and whole image names as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pyregistry.oci.digests import Digest, InvalidDigest, parse_digest
from pyregistry.oci.names import InvalidName, Name, parse_name

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

#: The Docker Hub's name, and an older one that container tools read as the same.
DOCKER_HUB: Final = "docker.io"
LEGACY_DOCKER_HUB: Final = "index.docker.io"

#: RFC 1035's 253, and a port.
_MAX_HOST_LENGTH = 259
_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")


class InvalidReference(ValueError):
    """Neither a tag nor a digest, or not an image name; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A tag, or a digest (then `digest` is set and equals `text`)."""

    text: str
    digest: Digest | None = None

    @property
    def tag(self) -> str | None:
        """The tag, or None for a digest."""
        return self.text if self.digest is None else None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class ImageName:
    """What `docker.io/library/nginx:1.25@sha256:…` says. `host` is None where the text names none."""

    host: str | None
    repository: Name
    tag: str | None = None
    digest: Digest | None = None

    @property
    def name(self) -> str:
        """Without tag and digest: `HOST/REPOSITORY`, or the repository alone."""
        return self.repository if self.host is None else f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        text = self.name
        if self.tag is not None:
            text += f":{self.tag}"
        if self.digest is not None:
            text += f"@{self.digest}"
        return text


def is_tag(text: str) -> bool:
    """Whether `text` is a tag (distribution spec, section Pull)."""
    return _TAG.fullmatch(text) is not None


def parse_reference(text: str) -> Reference:
    """`text` as a digest if it holds a colon, as no tag does, else as a tag. Raises InvalidDigest, InvalidReference."""
    if ":" in text:
        return Reference(text, parse_digest(text))
    if _TAG.fullmatch(text) is None:
        raise InvalidReference(_why_no_tag(text))
    return Reference(text)


def is_host(text: str) -> bool:
    """Whether `text` is a host name, an IPv4 or a bracketed IPv6 address, with or without a port."""
    return len(text) <= _MAX_HOST_LENGTH and _HOST.fullmatch(text) is not None


def looks_like_host(component: str) -> bool:
    """Whether container tools read the first component of an image name as a host: it has a dot, a colon or an
    upper-case letter, or is `localhost` (distribution/reference, normalize.go, splitDockerDomain)."""
    return "." in component or ":" in component or component == "localhost" or component.lower() != component


def parse_image(text: str) -> ImageName:
    """An image name as container tools read it. No tag and no `library/` is made up. Raises InvalidReference."""
    rest, at, digest_text = text.partition("@")
    try:
        digest = parse_digest(digest_text) if at else None
        first, slash, path = rest.partition("/")
        host: str | None = None
        if slash and looks_like_host(first):
            if not is_host(first):
                raise InvalidReference(f"{first!r} is not a registry host; write HOST or HOST:PORT")
            host, rest = first, path
        repository, colon, tag = rest.rpartition(":")
        if not colon:
            return ImageName(_known_host(host), parse_name(rest), None, digest)
        if _TAG.fullmatch(tag) is None:
            raise InvalidReference(_why_no_tag(tag))
        return ImageName(_known_host(host), parse_name(repository), tag, digest)
    except (InvalidName, InvalidDigest) as error:
        raise InvalidReference(f"{_shown(text)} is not an image name: {error}") from None


def _known_host(host: str | None) -> str | None:
    return DOCKER_HUB if host == LEGACY_DOCKER_HUB else host


def _why_no_tag(text: str) -> str:
    if not text:
        return "the tag is empty"
    if len(text) > 128:
        return f"a tag has at most 128 characters, not {len(text)}"
    return f"tag {_shown(text)} is not of letters, digits, '_', '.', '-', beginning with none of the last two"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
