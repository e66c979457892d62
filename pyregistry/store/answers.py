"""What opening content gives a request, for hosted and mirrored repositories alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry.errors import Failure
    from pyregistry.store.content import Plan, Reader
    from pyregistry.store.metadata import ManifestFact


class Result(Enum):
    """How a request was answered: the `result` of metrics and log."""

    HIT = "hit"  #: from disk; upstream was asked for no content
    JOINED = "joined"  #: by a fill that had begun already
    MISS = "miss"  #: upstream was asked
    STALE = "stale"  #: from disk, since upstream failed
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes of one digest: a reader, or (storage full) a plan of the whole body that cannot be cut into ranges."""

    result: Result
    reader: Reader | None
    plan: Plan | None = None
    #: What follows when a plan without a reader has been sent.
    then: Callable[[], None] | None = None

    def close(self) -> None:
        """Gives up what was held for a body passed through; for every opened blob, once its response has ended."""
        if self.then is not None:
            self.then()


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest for a request, how it was had, and upstream's failure behind a stale answer."""

    manifest: ManifestFact
    result: Result
    failure: Failure | None = None
