"""Platforms as people write them: `linux/arm64`, `linux/arm/v7`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyregistry.oci.descriptors import Platform

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyregistry.oci.descriptors import Descriptor

_PLATFORM = re.compile(r"([a-z0-9_.-]+)/([a-z0-9_.-]+)(?:/([a-z0-9_.-]+))?")


class InvalidPlatform(ValueError):
    """Not a platform; the message says how one is written."""


def parse_platform(text: str) -> Platform:
    """`os/architecture` or `os/architecture/variant`. Raises InvalidPlatform."""
    found = _PLATFORM.fullmatch(text)
    if found is None:
        raise InvalidPlatform(f"{text[:60]!r} is no platform; write OS/ARCHITECTURE, for example linux/arm64")
    return Platform(found[1], found[2], found[3])


def is_wanted(child: Descriptor, platforms: Collection[Platform]) -> bool:
    """Whether a child of an index is for one of `platforms`; all are if none is named.

    A platform without a variant means every variant. A child that says no platform is wanted too: it is a nested index
    or an artifact, and nothing tells that it is for another.
    """
    own = child.platform
    if not platforms or own is None:
        return True
    return any(
        (own.os, own.architecture) == (wanted.os, wanted.architecture) and wanted.variant in (None, own.variant)
        for wanted in platforms
    )
