"""What looks slower or broken is measured again before it is judged."""

from collections.abc import Sequence

from benches.gate.gate import settle
from benches.gate.judge import Figures, Verdict

BENCHES = ("quick", "steady")


class Script:
    """Gives the head's samples of `quick` in order (None: it fails); everything else takes 1."""

    def __init__(self, *quick: float | None) -> None:
        self._quick = iter(quick)
        self.asked: list[Sequence[str]] = []

    def measure(self, benches: Sequence[str]) -> tuple[Figures, Figures]:
        self.asked.append(list(benches))
        base, head = Figures(), Figures()
        for bench in benches or BENCHES:
            base.samples[bench]["cpu_per_gb"].append(1.0)
            sample = next(self._quick) if bench == "quick" else 1.0
            if sample is None:
                head.failed[bench] = "a timeout"
            else:
                head.samples[bench]["cpu_per_gb"].append(sample)
        return base, head


def verdicts(script: Script) -> dict[str, Verdict]:
    return {row.bench: row.verdict for row in settle(script.measure, 3, 5)}


def test_equal_things_are_measured_no_more_than_needed() -> None:
    script = Script(1.0, 1.1, 1.0)
    assert set(verdicts(script).values()) == {Verdict.PASSED}
    assert script.asked == [[], [], []]


def test_what_looks_slower_alone_is_measured_again_until_it_does_no_more() -> None:
    script = Script(1.4, 1.5, 1.6, 1.3, 1.1)
    assert set(verdicts(script).values()) == {Verdict.PASSED}
    assert script.asked == [[], [], [], ["quick"], ["quick"]]


def test_what_stays_slower_fails_after_the_last_repeat() -> None:
    script = Script(*[1.4] * 8)
    assert verdicts(script) == {"quick": Verdict.SLOWER, "steady": Verdict.PASSED}
    assert script.asked == [[], [], [], *[["quick"]] * 5]


def test_what_failed_once_and_then_ran_is_not_broken() -> None:
    script = Script(1.0, 1.0, None, 1.0)
    assert set(verdicts(script).values()) == {Verdict.PASSED}
    assert script.asked == [[], [], [], ["quick"]]


def test_what_fails_again_and_again_is_broken() -> None:
    assert verdicts(Script(*[None] * 8))["quick"] is Verdict.BROKEN
