"""`pyregistry` as its users run it, on a storage root."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.surroundings import quiet_environment


class Cli:
    """Commands under one configuration: `Cli(tmp_path, root, hosted=["team/*"])("ls", "team/app")`."""

    def __init__(self, folder: Path, root: Path, **config: Any) -> None:
        self.root = root
        self.file = folder / f"{root.name}.yaml"
        self.file.write_text(yaml.safe_dump({"storage": {"root": str(root)}, **config}))

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, whatever that is."""
        command = [*self._program(), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment(), timeout=60, check=False)

    def out(self, *arguments: str | Path) -> str:
        """What a command printed that did well."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str | Path) -> str:
        """The last line of a command that refused: exit code 2, no traceback."""
        done = self(*arguments)
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1].removeprefix("pyregistry: ")

    def begun(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """A command under way, its output to be read."""
        command = [*self._program(), *map(str, arguments)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(),
        )

    @staticmethod
    def _program() -> list[str]:
        return [sys.executable, "-m", "pyregistry"]

    def _environment(self) -> dict[str, str]:
        return {**quiet_environment(), "PYREGISTRY_CONFIG": str(self.file), "COLUMNS": "120"}
