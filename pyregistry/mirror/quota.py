"""What an upstream tells about our pull quota."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyregistry._native import Answer

_FORM = re.compile(r"\s*(\d{1,12})\s*(?:;\s*w\s*=\s*(\d{1,12}))?")


@dataclass(frozen=True, slots=True)
class Quota:
    """Pulls left of `limit` in a window of `window` seconds; None where upstream does not say."""

    remaining: int
    limit: int | None = None
    window: int | None = None


def _number(value: str | None) -> tuple[int | None, int | None]:
    match = _FORM.match(value or "")
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) if match[2] else None


def parse_quota(limit: str | None, remaining: str | None) -> Quota | None:
    """Docker Hub's `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 76;w=21600`, or a bare number.

    None if it is neither: unlimited accounts get no header, and malformed ones have been seen.
    """
    left, left_window = _number(remaining)
    if left is None:
        return None
    most, window = _number(limit)
    return Quota(left, most, left_window if left_window is not None else window)


def quota_of(answer: Answer) -> Quota | None:
    """The quota in an answer's headers."""
    return parse_quota(answer.header("ratelimit-limit"), answer.header("ratelimit-remaining"))
