"""The command behind `make bench-peers`."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benches import congestion
from benches.peers.plot import PLOTS, svg
from benches.peers.runner import find, run_scenario
from benches.peers.samples import Run
from benches.peers.scenarios import SCENARIOS
from benches.peers.stand import FULL, QUICK, SMOKE
from benches.peers.systems import SYSTEMS
from benches.peers.table import page

EFFORTS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
RECORD = ROOT / "build" / "bench-peers.json"


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-peers",
        description="pyregistry beside what else is installed. A full run of everything writes docs/reference.",
    )
    parser.add_argument("--quick", dest="effort", action="store_const", const="quick", default="full", help="minutes")
    parser.add_argument("--smoke", dest="effort", action="store_const", const="smoke", help="only whether it works")
    parser.add_argument("--only", metavar="SCENARIO,…", help=", ".join(scenario.key for scenario in SCENARIOS))
    parser.add_argument("--systems", metavar="NAME,…", help=", ".join(kind.name for kind in SYSTEMS))
    parser.add_argument("--zot", metavar="PATH", help="the zot program, built with its sync extension")
    parser.add_argument("--read", metavar="FILE", type=Path, help="write the page from a recorded run; runs nothing")
    parser.add_argument("--record", metavar="FILE", type=Path, default=RECORD, help="where the run's figures go")
    parser.add_argument("--page", metavar="FILE", type=Path, help="write the page there, whatever was run")
    return parser.parse_args(words)


def _chosen(said: str | None, known: list[str], what: str) -> list[str]:
    names = known if said is None else said.split(",")
    for name in names:
        if name not in known:
            raise SystemExit(f"no {what} {name!r}; there are {', '.join(known)}")
    return names


def _about(options: argparse.Namespace) -> dict[str, str]:
    name = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    said = [f"--{options.effort}"] if options.effort != "full" else []
    said += [f"--{name}={value}" for name in ("only", "systems") if (value := getattr(options, name))]
    said += ["--zot=PATH"] if options.zot else []
    flags = f' ARGS="{shlex.join(said)}"' if said else ""
    kernel = platform.release().partition("-")[0]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`make bench-peers{flags}`",
        "machine": f"{name}, {os.cpu_count()} processors, {memory:.0f} GB, Linux {kernel}",
        "load average before": f"{load:.1f}" + (" (others were at work: figures are low)" if load > 1 else ""),
        "congestion control": congestion.used(),
        "rounds": f"{EFFORTS[options.effort].rounds} at most",
    }


def _run(options: argparse.Namespace, console: Console) -> Run:
    scenarios = _chosen(options.only, [scenario.key for scenario in SCENARIOS], "scenario")
    systems = _chosen(options.systems, [kind.name for kind in SYSTEMS], "system")
    here, missing = find(
        (kind for kind in SYSTEMS if kind.name in systems), {"zot": options.zot} if options.zot else {}
    )
    run = Run(about=_about(options), missing=missing)
    run.systems = {installed.kind.name: installed.version for installed in here}
    chosen = [scenario for scenario in SCENARIOS if scenario.key in scenarios]
    bar = Progress(TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn(), console=console)
    began = time.monotonic()
    with bar, tempfile.TemporaryDirectory(prefix="peers-") as folder:
        tempfile.tempdir = folder
        task = bar.add_task("", total=len(chosen))
        for scenario in chosen:

            def say(said: str, key: str = scenario.key) -> None:
                bar.update(task, description=f"{key}: {said}")

            since = time.monotonic()
            run_scenario(run, scenario, here, EFFORTS[options.effort], say)
            # After each: whoever stops a run keeps what it has measured.
            run.write(options.record)
            bar.advance(task)
            console.print(f"{scenario.key}: {time.monotonic() - since:.0f} s")
            for name, reason in run.cannot.get(scenario.key, {}).items():
                console.print(f"  {name}: {reason}")
    run.about["load average after"] = f"{os.getloadavg()[0]:.1f}"
    run.about["took"] = f"{(time.monotonic() - began) / 60:.0f} minutes"
    return run


def main(words: list[str]) -> int:
    options = _arguments(words)
    console = Console()
    if options.read is None:
        congestion.enter("benches.peers", words)
        # Servers inherit it: what a client costs them is to be measured, not how many descriptors a shell allows.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        run = _run(options, console)
        run.write(options.record)
        console.print(f"recorded in {options.record}")
    else:
        run = Run.read(options.read)
    whole = options.effort == "full" and options.only is None and options.systems is None
    target = options.page or (PAGE if whole else None)
    if target is None:
        console.print(Markdown(page(run, {})))
        return 0
    for file, (title, panels) in PLOTS.items():
        (target.parent / file).write_text(svg(run, title, panels))
    target.write_text(page(run, {file: title for file, (title, _) in PLOTS.items()}))
    console.print(f"written: {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
