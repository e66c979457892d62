"""A scenario: what one system is put through, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.peers.metrics import Metric
from benches.peers.system import Ability

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benches.peers.stand import Stand

Figures = Mapping[Metric, float]
Measure = Callable[[], Figures]


@dataclass(frozen=True)
class Scenario:
    """`open` prepares a system and gives what measures it once. All systems are open while rounds go from one to the
    next, so that what else the machine does meets all of them."""

    key: str
    title: str
    open: Callable[[Stand], AbstractContextManager[Measure]]
    metrics: tuple[Metric, ...]
    """In the table's order."""
    needs: Ability | None = Ability.MIRROR
    rounds: int | None = None
    """At most so many, where one takes long."""
    says: str = ""
    """What a reader must know."""
