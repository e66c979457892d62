"""Which tags are immutable: once pushed or mirrored they name what they name, for everybody."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ImmutableTags:
    """The configured patterns, ready to ask.

    A pattern is a glob over `repository:tag`, the repository by its canonical name (a mirrored one with its upstream:
    `docker.io/library/nginx:1.*`). `*` matches `/` too, and case counts, as in `hosted`. One that names no tag, having
    no colon behind its last slash, is for all tags of the repositories it matches.
    """

    __slots__ = ("_pattern",)

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        whole = [pattern if ":" in pattern.rpartition("/")[2] else f"{pattern}:*" for pattern in patterns]
        self._pattern = re.compile("|".join(map(translate, whole))) if whole else None

    def binds(self, repository: str, tag: str) -> bool:
        """Whether `tag` may be set once only in `repository`."""
        return self._pattern is not None and self._pattern.match(f"{repository}:{tag}") is not None
