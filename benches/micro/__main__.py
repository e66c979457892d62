"""Every work many times, marked for callgrind: `python -m benches.micro [NAME...]`.

Each is done so often to warm up, then as often again between two calls of getpgid(2), before which callgrind (told by
`--dump-before`) writes what it has counted and begins anew. Prints a JSON object: name to how often, or to why it could
not be done; the n-th pair of dumps belongs to the n-th name that has a number.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benches.micro import MODULES, TIMES

if TYPE_CHECKING:
    from benches.micro import Make, Work


def _mark() -> None:
    os.getpgid(0)


def _repeat(work: Work, times: int) -> None:
    for _ in range(times):
        work()


def _do(make: Make, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder, make(Path(folder)) as work:
        _repeat(work, times)
        # When a collection falls due depends on all that came before.
        gc.collect()
        gc.disable()
        _mark()
        _repeat(work, times)
        _mark()
        gc.enable()


def main(arguments: list[str]) -> None:
    """Does the works of these names, or all."""
    said: dict[str, int | str] = {}
    for module in MODULES:
        try:
            noun = import_module(f"benches.micro.{module}")
        except Exception as error:  # noqa: BLE001  an older revision may lack what a work needs
            said[module] = repr(error)
            continue
        times = getattr(noun, "TIMES", TIMES)
        for name, make in noun.WORKS.items():
            full = f"{module}: {name}"
            if arguments and full not in arguments:
                continue
            try:
                _do(make, times)
                said[full] = times
            except Exception as error:  # noqa: BLE001  likewise
                said[full] = repr(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])
