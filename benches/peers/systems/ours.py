"""pyregistry, as this tree has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml

from benches.peers.system import CONFIGURATIONS, Ability
from pyregistry import __version__
from tests.support.serve import Serve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.images import Image
    from tests.support.upstream import Upstream


class Pyregistry:
    name: ClassVar[str] = "pyregistry"
    cannot: ClassVar[Mapping[Ability, str]] = {}
    configuration: ClassVar[str] = "pyregistry.yaml"

    def __init__(self, program: str, root: Path, upstream: Upstream | None, freshness: int | None = None) -> None:
        config = yaml.safe_load((CONFIGURATIONS / self.configuration).read_text())
        if freshness is not None:
            config["mirror"] = {"freshness": {"ttl": f"{freshness}s"}}
        self._serve = Serve(
            root,
            {"docker.io": upstream.url} if upstream else {},
            workers=os.cpu_count() or 1,
            program=[program, "-m", "pyregistry", "serve"],
            **config,
        )

    @classmethod
    def find(cls) -> str | None:
        return sys.executable

    @classmethod
    def version(cls, _program: str) -> str:
        tree = Path(__file__).parents[3]
        command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        return f"{__version__} ({done.stdout.strip() or 'no revision'}), Python {sys.version.split()[0]}"

    @property
    def port(self) -> int:
        return int(self._serve.host.rpartition(":")[2])

    def start(self) -> None:
        self._serve.start()

    def stock(self, _repository: str, _image: Image, _tag: str) -> bool:
        return False

    def processes(self) -> list[int]:
        return self._serve.processes()

    def kill(self) -> None:
        self._serve.kill_all()

    def close(self) -> None:
        self._serve.close()
