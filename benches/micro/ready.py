"""How works are made ready: those that need nothing, and coroutines that never suspend."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from benches.micro import Make, Work


def at_once(work: Work) -> Make:
    """Needs no folder."""

    @contextlib.contextmanager
    def make(_: Path) -> Iterator[Work]:
        yield work

    return make


def inline(read: Coroutine[Any, Any, object]) -> object:
    """Runs a coroutine as the event loop would that never suspends, without the loop's own cost."""
    try:
        read.send(None)
    except StopIteration as end:
        result: object = end.value
        return result
    raise AssertionError("it suspended")
