"""Both environments measured in turns, and what looks slower again before it is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benches.gate import callgrind
from benches.gate.judge import Figures, Row, judge, suspects
from benches.gate.turn import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.gate.build import Environment

#: Turns that each environment has of all benches: base, head, base, head...
TURNS: Final = 3
#: Turns more that it has at most of those that look slower.
REPEATS: Final = 5
#: Counts of instructions vary little; what differs in as many runs differs.
RECOUNTS: Final = 2


def compare(base: Environment, head: Environment, say: Callable[[str], None]) -> list[Row]:
    """Measures CPU time and, where callgrind is, instructions. Raises GateError."""
    return [*_times(base, head, say), *_instructions(base, head, say)]


def _times(base: Environment, head: Environment, say: Callable[[str], None]) -> list[Row]:
    before, after = Figures(), Figures()
    slower: Sequence[str] = ()
    for number in range(TURNS + REPEATS):
        if number >= TURNS:
            slower = suspects(judge(before, after))
            if not slower:
                break
        say(f"turn {number + 1}: {', '.join(slower) or 'all benches'}")
        before.add(turn(base, slower))
        after.add(turn(head, slower))
    return judge(before, after)


def _instructions(base: Environment, head: Environment, say: Callable[[str], None]) -> list[Row]:
    if not callgrind.is_here():
        say("valgrind is not here (`apt-get install valgrind`): instructions are not judged, CPU time alone is")
        return []
    before, after = Figures(), Figures()
    slower: Sequence[str] = ()
    for number in range(1 + RECOUNTS):
        if number:
            slower = suspects(judge(before, after))
            if not slower:
                break
        say(f"instructions, count {number + 1}: {', '.join(slower) or 'all works'}")
        # At once: what else the machine does changes no count.
        counts = callgrind.Count(base, slower), callgrind.Count(head, slower)
        for into, count in zip((before, after), counts, strict=True):
            into.add(count.figures())
    return judge(before, after)
