"""How a request to the mirror was answered: the `result` of metrics and log."""

from __future__ import annotations

from enum import Enum


class Result(Enum):
    """One request's answer."""

    HIT = "hit"  #: from disk; upstream was asked for no content
    JOINED = "joined"  #: by a fill that had begun already
    MISS = "miss"  #: upstream was asked
    STALE = "stale"  #: from disk, since upstream failed
    ERROR = "error"
