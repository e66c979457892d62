"""The gate: compares the head with the revision in `benches/BASE`.

`python -m benches.gate` exits with 1 if the head is slower, with 2 if it could not be found out.
"""

from __future__ import annotations

import argparse
import fcntl
import platform
import time
from pathlib import Path

from rich.console import Console

from benches.gate import callgrind
from benches.gate.build import Workshop
from benches.gate.gate import compare
from benches.gate.judge import failed
from benches.gate.report import Report
from benches.gate.revision import BASE_FILE, GateError, base_of, head_of, is_dirty, same_product
from benches.gate.selftest import selftest

REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    """The gate, or its selftest."""
    parser = argparse.ArgumentParser(prog="python -m benches.gate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--selftest", action="store_true", help="prove that a slowdown fails and that equal things pass"
    )
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "target/gate", help="for builds and reports")
    arguments = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 140)
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # Two gates would share builds, and measure each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if arguments.selftest:
                return selftest(REPOSITORY, Workshop(REPOSITORY, folder), console)
            return _gate(folder, console)
        except GateError as error:
            console.print(f"the gate cannot be run: {error}", markup=False, highlight=False)
            return 2


def _gate(folder: Path, console: Console) -> int:
    began = time.monotonic()
    notes: list[str] = []

    def say(text: str) -> None:
        console.print(f"[{time.monotonic() - began:4.0f} s] {text}", markup=False, highlight=False)

    def note(text: str) -> None:
        notes.append(text)
        say(text)

    base, head = base_of(REPOSITORY), head_of(REPOSITORY)
    say(f"base {base.commit}")
    say(f"head {head.commit}")
    if is_dirty(REPOSITORY):
        note("changes that are not committed are not measured")
    if same_product(REPOSITORY, base, head):
        note(f"nothing that is measured has changed since {BASE_FILE}: both are the same")
    if not callgrind.is_here():
        note("valgrind is not here (`apt-get install valgrind`): instructions are not judged, CPU time alone is")
    workshop = Workshop(REPOSITORY, folder)
    benches = workshop.benches(head)
    environments = []
    for revision in (base, head):
        say(f"building {revision.side}")
        environments.append(workshop.environment(revision, benches))
    rows = compare(environments[0], environments[1], say)
    report = Report(base, head, _machine(), time.monotonic() - began, notes, rows)
    report.write(folder)
    report.show(console)
    console.print(
        f"written: {folder / 'gate.json'}, {folder / 'gate.md'}", markup=False, highlight=False, soft_wrap=True
    )
    return 1 if failed(rows) else 0


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return f"{cores} cores of {model}, Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"


if __name__ == "__main__":
    raise SystemExit(main())
