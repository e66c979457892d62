"""Both environments measured in turns, and what looks slower again before it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benches.gate import callgrind
from benches.gate.judge import Figures, Row, judge, suspects
from benches.gate.turn import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.gate.build import Environment

    #: Measures base and head once: the benches of these names, or all.
    Measure = Callable[[Sequence[str]], tuple[Figures, Figures]]

#: Turns that each environment has of all benches, and of those that look slower at most: base, head, base, head...
TURNS: Final = 3
REPEATS: Final = 5
#: Counts of instructions vary little: what differs so often again does differ.
RECOUNTS: Final = 2


def compare(base: Environment, head: Environment, say: Callable[[str], None]) -> list[Row]:
    """Measures CPU time and, where callgrind is, instructions. Raises GateError."""

    def times(benches: Sequence[str]) -> tuple[Figures, Figures]:
        say(f"CPU time of {', '.join(benches) or 'all benches'}")
        return turn(base, benches), turn(head, benches)

    def instructions(works: Sequence[str]) -> tuple[Figures, Figures]:
        say(f"instructions of {', '.join(works) or 'all works'}")
        # At once: what else the machine does changes no count.
        counts = callgrind.Count(base, works), callgrind.Count(head, works)
        return counts[0].figures(), counts[1].figures()

    rows = settle(times, TURNS, REPEATS)
    return rows + settle(instructions, 1, RECOUNTS) if callgrind.is_here() else rows


def settle(measure: Measure, turns: int, repeats: int) -> list[Row]:
    """The verdicts after so many turns of everything, and up to so many more of what looks slower after each."""
    base, head = Figures(), Figures()
    slower: Sequence[str] = ()
    for number in range(turns + repeats):
        if number >= turns:
            slower = suspects(judge(base, head))
            if not slower:
                break
        for into, figures in zip((base, head), measure(slower), strict=True):
            into.add(figures)
    return judge(base, head)
