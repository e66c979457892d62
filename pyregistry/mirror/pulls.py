"""The pulls that an upstream still grants us, and what is done with few of them left.

Docker Hub counts GETs of manifests, not HEADs, and tells in every answer about manifests what is left. Each worker
knows what its own last answer said, which is enough: a tag's HEAD comes before the GET that it may lead to.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.answers import parse_retry_after
from pyregistry.mirror.quota import quota_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry._native import Answer
    from pyregistry.mirror.quota import Quota

#: How long upstream's word is believed where it names no window, in seconds: Docker Hub's.
_WINDOW = 21_600.0
#: How long no manifest is asked for after the quota's 429 without Retry-After, and at most.
_SPENT, _SPENT_AT_MOST = 60.0, 3600.0


class Pulls:
    """One upstream's pull quota as this process was told last."""

    def __init__(self, upstream: str, reserve: int, on_quota: Callable[[int], None] | None = None) -> None:
        """With fewer than `reserve` pulls left `is_low`; `on_quota` is told how many there are."""
        self._upstream = upstream
        self._reserve = reserve
        self._on_quota = on_quota
        self._told = 0.0
        self._spent_until = 0.0
        self.quota: Quota | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether upstream has yet to say how many are left, and it matters."""
        return self.quota is None and self._reserve > 0

    @property
    def is_low(self) -> bool:
        """Whether the pulls left are for what is not cached."""
        quota = self.quota
        if quota is None or quota.remaining >= self._reserve:
            return False
        return time.monotonic() - self._told < (quota.window or _WINDOW)

    def low(self) -> Failure:
        """Why a cached tag is not pulled anew, nor anything in the background."""
        remaining = self.quota.remaining if self.quota is not None else 0
        return Failure(
            Cause.RATE_LIMITED,
            f"upstream {self._upstream} grants {remaining} more pulls, which are kept for what is not cached: "
            f"`quota_reserve` is {self._reserve}",
        )

    def check(self) -> None:
        """Before a manifest is asked for. Raises Failure while upstream's 429 for the quota holds."""
        wait = self._spent_until - time.monotonic()
        if wait > 0:
            raise Failure(
                Cause.RATE_LIMITED,
                f"upstream {self._upstream} grants no more pulls; next try in {wait:.0f} s",
                status=429,
                retry_after=wait,
            )

    def heard(self, answer: Answer) -> None:
        """An answer about a manifest has come."""
        quota = quota_of(answer)
        if quota is None:
            return
        self.quota = quota
        self._told = time.monotonic()
        if is_spent(answer):
            wait = parse_retry_after(answer.header("retry-after"))
            self._spent_until = self._told + min(_SPENT if wait is None else wait, _SPENT_AT_MOST)
        if self._on_quota is not None:
            self._on_quota(quota.remaining)


def is_spent(answer: Answer) -> bool:
    """Whether a 429 is about the pull quota: then blobs may be asked for all the same."""
    quota = quota_of(answer) if answer.status == 429 else None
    return quota is not None and quota.remaining == 0
