"""A revision as its users have it: a wheel, installed in an environment of its own with what the benches need."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benches.gate.revision import GateError, check_out, extract

if TYPE_CHECKING:
    from benches.gate.revision import Revision

#: Of the head, for both: the benches and what they stand on. No package of ours is among it, so that the wheel's is
#: what they import.
BENCHES = ("benches", "tests/__init__.py", "tests/support", "pyproject.toml")


@dataclass(frozen=True)
class Environment:
    """Where a revision is installed, and the folder that has the benches."""

    side: str
    python: Path
    benches: Path

    def variables(self) -> dict[str, str]:
        """The environment for programs that run in it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        # Hash seeds change which strings collide, and by that how many instructions are run.
        return kept | {"PATH": f"{self.python.parent}{os.pathsep}{kept['PATH']}", "PYTHONHASHSEED": "0"}


class Workshop:
    """The folder in which both revisions are built; what it has is used again."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        self._tree = folder / "tree"

    def benches(self, head: Revision) -> Path:
        """The head's benches, in a folder of their own."""
        place = self._folder / "benches"
        shutil.rmtree(place, ignore_errors=True)
        extract(self._repository, head, place, *BENCHES)
        return place

    def environment(self, revision: Revision, benches: Path) -> Environment:
        """Builds and installs a revision. Raises GateError."""
        wheel = self._wheel(revision)
        place = self._folder / revision.side
        python = self._requirements(place, self._tree / "requirements-dev.lock")
        _run(f"install {revision.side}", [*_pip(python), "--no-deps", "--force-reinstall", str(wheel)])
        return Environment(revision.side, python, benches)

    def _wheel(self, revision: Revision) -> Path:
        check_out(self._repository, self._tree, revision)
        out = self._folder / f"wheel-{revision.side}"
        shutil.rmtree(out, ignore_errors=True)
        self._begin_with_built()
        maturin = Path(sys.executable).with_name("maturin")
        command = [str(maturin), "build", "--release", "--locked", "--quiet", "--out", str(out)]
        # Not the repository's own target: cargo gives the extension of both one file there.
        _run(f"build {revision.side}", command, self._tree, CARGO_TARGET_DIR=str(self._folder / "cargo"))
        return next(out.glob("*.whl"))

    def _begin_with_built(self) -> None:
        """Takes a copy of what `make wheel` has built of other people's crates: most of the time of a first build."""
        built, ours = self._repository / "target/release", self._folder / "cargo/release"
        if built.exists() and not ours.exists():
            shutil.copytree(built, ours, symlinks=True)

    @staticmethod
    def _requirements(place: Path, lock: Path) -> Path:
        """An environment with everything locked, made anew where the lock has changed."""
        python, stamp = place / "bin/python", place / "lock"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            _run("make an environment", [sys.executable, "-m", "venv", str(place)])
            _run("install what the benches need", [*_pip(python), "--require-hashes", "-r", str(lock)])
            stamp.write_text(wanted)
        return python


def _pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _run(what: str, command: list[str], folder: Path | None = None, **variables: str) -> None:
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GateError(f"cannot {what}:\n{done.stderr[-4000:]}")
