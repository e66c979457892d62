"""Instructions of the works in `benches/micro`, counted by valgrind's callgrind: the same on a busy machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benches.gate.judge import Figures
from benches.gate.revision import GateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benches.gate.build import Environment

#: The call between whose occurrences is counted (see `benches/micro/__main__.py`).
MARK = "getpgid"
_PART = re.compile(r"^part: (\d+)$", re.MULTILINE)
_TRIGGER = re.compile(r"^desc: Trigger: (.*)$", re.MULTILINE)
_SUMMARY = re.compile(r"^summary: (\d+)$", re.MULTILINE)


def is_here() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


class Count:
    """A run of the works of these names, or of all, in an environment; it goes on beside others until `figures`."""

    def __init__(self, environment: Environment, works: Sequence[str] = ()) -> None:
        self._side = environment.side
        self._folder = tempfile.TemporaryDirectory(prefix="gate-")
        self._process = subprocess.Popen(
            [
                *("valgrind", "--tool=callgrind", "--quiet", f"--dump-before={MARK}"),
                f"--callgrind-out-file={self._folder.name}/dump",
                *(str(environment.python), "-m", "benches.micro", *works),
            ],
            cwd=environment.benches,
            env=environment.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def figures(self) -> Figures:
        """Waits for the end. Raises GateError if the works could not be run at all."""
        out, errors = self._process.communicate()
        with self._folder:
            if self._process.returncode:
                raise GateError(f"callgrind could not count with the {self._side}:\n{out}{errors}")
            # Process ids and parts are in the names: what a child that was forked dumped is not ours.
            dumps = [path.read_text() for path in Path(self._folder.name).glob("dump.*")]
        return read(json.loads(out), dumps)


def read(said: dict[str, int | str], dumps: Iterable[str]) -> Figures:
    """Instructions of one time each, from what `benches.micro` printed and callgrind's dumps in any order."""
    parts = []
    for dump in dumps:
        trigger, part, summary = _TRIGGER.search(dump), _PART.search(dump), _SUMMARY.search(dump)
        if trigger and part and summary and trigger[1] == f"--dump-before={MARK}":
            parts.append((int(part[1]), int(summary[1])))
    counts = [count for _, count in sorted(parts)]
    figures = Figures()
    done = [(name, times) for name, times in said.items() if isinstance(times, int)]
    if len(counts) != 2 * len(done):
        raise GateError(f"callgrind counted {len(counts)} times where {2 * len(done)} were expected")
    for (name, times), count in zip(done, counts[1::2], strict=True):
        figures.samples[name]["instructions"].append(count / times)
    figures.failed.update({name: why for name, why in said.items() if isinstance(why, str)})
    return figures
