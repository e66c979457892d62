"""Digests: `algorithm:hex`, the names of content (OCI image spec, descriptor.md, section Digests)."""

from __future__ import annotations

import hashlib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A digest that was checked: registered algorithm, lower-case hex of the right length.
Digest = NewType("Digest", str)

#: The registered algorithms; every other is refused, since content under it could not be verified.
ALGORITHMS: Final = ("sha256", "sha512")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class InvalidDigest(ValueError):
    """Not a digest of SHA-256 or SHA-512; the message says what is wrong."""


def parse_digest(text: str) -> Digest:
    """`text` as a digest. Raises InvalidDigest."""
    if _DIGEST.fullmatch(text) is None:
        raise InvalidDigest(_why_invalid(text))
    return Digest(text)


def algorithm(digest: Digest) -> str:
    """`sha256` or `sha512`."""
    return digest[:6]


def encoded(digest: Digest) -> str:
    """The hex part."""
    return digest[7:]


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of `data`. Raises InvalidDigest for another algorithm than SHA-256 and SHA-512."""
    if algorithm not in ALGORITHMS:
        raise InvalidDigest(f"digest algorithm {_shown(algorithm)} is not supported; use sha256 or sha512")
    return Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")


#: The empty blob under both of its names: its bytes need no storage and no upstream. Whether a repository *answers* for
#: it is still for its rows to say, as for every blob.
EMPTY_BLOBS: Final[Mapping[Digest, bytes]] = MappingProxyType({digest_of(b"", name): b"" for name in ALGORITHMS})


def _why_invalid(text: str) -> str:
    name, colon, hex_part = text.partition(":")
    if not colon:
        return f"digest {_shown(text)} has no algorithm; write it as sha256:<64 hex digits>"
    if name not in ALGORITHMS:
        return f"digest algorithm {_shown(name)} is not supported; use sha256 or sha512"
    length = 64 if name == "sha256" else 128
    if len(hex_part) != length:
        return f"a {name} digest has {length} hex digits, not {len(hex_part)}"
    return f"digest {_shown(text)} has characters other than 0-9 and a-f"


def _shown(text: str) -> str:
    """`text` for a message: quoted, escaped, never longer than a digest's start."""
    return repr(text if len(text) <= 40 else text[:40] + "…")
