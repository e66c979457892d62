"""The gate tried on what is known: the head against itself passes, the head made slower fails. It takes an hour."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benches.gate.gate import compare
from benches.gate.judge import Verdict, failed
from benches.gate.revision import Revision, head_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from benches.gate.build import Environment, Workshop
    from benches.gate.judge import Row

#: How often in a row equal things must pass.
EQUAL: Final = 5


@dataclass(frozen=True)
class Slowdown:
    """Source that is put at the end of a module of the installed head, and the figures that must show it."""

    name: str
    module: str
    source: str
    figures: frozenset[str]


SLOWDOWNS: Final = (
    Slowdown(
        "0.2 CPU seconds a body",
        "api/pump.py",
        """
import time as _time
_send = Pumps.send
async def _slow(*arguments, **named):
    end = _time.thread_time() + 0.2
    while _time.thread_time() < end:
        pass
    return await _send(*arguments, **named)
Pumps.send = _slow
""",
        frozenset({"cpu_per_gb"}),
    ),
    Slowdown(
        "200 CPU microseconds a request",
        "api/routes.py",
        """
import time as _time
_match = match
def match(method, raw_path):
    end = _time.thread_time() + 0.0002
    while _time.thread_time() < end:
        pass
    return _match(method, raw_path)
""",
        frozenset({"cpu_us_per_request", "instructions"}),
    ),
    Slowdown(
        "a tenth more instructions for a manifest",
        "oci/manifests.py",
        """
_parse_manifest = parse_manifest
def parse_manifest(*arguments):
    for _ in range(160):
        pass
    return _parse_manifest(*arguments)
""",
        frozenset({"instructions"}),
    ),
)


def selftest(repository: Path, workshop: Workshop, console: Console) -> int:
    """0 if every slowdown failed by the figures that it must show in, and equal things passed so often in a row."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False)

    head = head_of(repository)
    benches = workshop.benches(head)
    base, other = (workshop.environment(Revision(side, head.commit), benches) for side in ("base", "head"))
    wrong = 0
    for slowdown in SLOWDOWNS:
        with _injected(other, slowdown):
            shown = {row.figure for row in _slower(compare(base, other, say))}
        good = slowdown.figures <= shown
        wrong += not good
        say(
            f"{slowdown.name}: {'failed, as it must' if good else 'NOT SEEN'} ({', '.join(sorted(shown)) or 'nothing'})"
        )
    for number in range(1, EQUAL + 1):
        rows = compare(base, other, say)
        wrong += failed(rows)
        seen = ", ".join(f"{row.bench} {row.figure} {row.ratio}" for row in _slower(rows))
        say(f"equal, {number} of {EQUAL}: {'FAILED ' + seen if failed(rows) else 'passed'}")
    say("selftest " + ("FAILED" if wrong else "passed"))
    return 1 if wrong else 0


def _slower(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.verdict is Verdict.SLOWER]


@contextlib.contextmanager
def _injected(environment: Environment, slowdown: Slowdown) -> Iterator[None]:
    """The slowdown in the installed package, while the block runs."""
    package = subprocess.run(
        [str(environment.python), "-c", "import pyregistry; print(pyregistry.__path__[0])"],
        cwd=environment.benches,
        env=environment.variables(),
        check=True,
        capture_output=True,
        text=True,
    )
    module = Path(package.stdout.strip()) / slowdown.module
    kept = module.read_text()
    module.write_text(kept + slowdown.source)
    try:
        yield
    finally:
        module.write_text(kept)
