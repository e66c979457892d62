"""A server under comparison."""

from __future__ import annotations

import shutil
import subprocess
from abc import abstractmethod
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from tests.support.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.images import Image
    from tests.support.upstream import Upstream

CONFIGURATIONS = Path(__file__).parent / "systems"


class Ability(Enum):
    """What a scenario needs beyond serving what is there; `cannot` of a system says why it lacks it."""

    MIRROR = "fetches from an upstream"
    PUSH = "takes pushes"


class Cannot(Exception):
    """The system cannot do this; the message says why, in a few words."""


class System(Protocol):
    """A server with a store of its own, started and stopped by whoever compares.

    It mirrors `upstream`, or is a registry of its own without one. `freshness`: seconds for which a tag's answer needs
    no question upstream, where a system has such a setting; None leaves what it has by default.
    """

    name: ClassVar[str]
    cannot: ClassVar[Mapping[Ability, str]]
    configuration: ClassVar[str]
    """Its file under benches/peers/systems."""

    def __init__(self, program: str, root: Path, upstream: Upstream | None, freshness: int | None = None) -> None: ...

    @classmethod
    def find(cls) -> str | None:
        """The program's path; None where it is not installed."""

    @classmethod
    def version(cls, program: str) -> str:
        """What it says of itself, in a line."""

    @property
    def port(self) -> int: ...

    def start(self) -> None:
        """Starts it, again after `kill`; it serves when this returns."""

    def stock(self, repository: str, image: Image, tag: str) -> bool:
        """Puts an image there by other means than a pull; False: it has none, pull it."""

    def processes(self) -> list[int]: ...

    def kill(self) -> None:
        """SIGKILL to all processes."""

    def close(self) -> None: ...


class Peer:
    """What the others have in common: a program with one configuration file, whose `{{words}}` are filled in."""

    name: ClassVar[str]
    cannot: ClassVar[Mapping[Ability, str]] = {}
    configuration: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, program: str, root: Path, upstream: Upstream | None, freshness: int | None = None) -> None:
        self._daemon = Daemon(root, {"OTEL_TRACES_EXPORTER": "none"})
        self._program = program
        self._root = root
        self._upstream = upstream
        self._freshness = freshness

    @classmethod
    def find(cls) -> str | None:
        places = ":".join([str(Path.home() / "go/bin"), "/usr/sbin", "/sbin"])
        found = (shutil.which(name) or shutil.which(name, path=places) for name in cls.programs)
        return next((path for path in found if path), None)

    @classmethod
    @abstractmethod
    def version(cls, program: str) -> str: ...

    @abstractmethod
    def _command(self, file: Path) -> list[str]:
        """What starts it on that configuration."""

    def _words(self) -> dict[str, str]:
        """What fills in the configuration."""
        return {
            "root": str(self._root / "data"),
            "port": str(self.port),
            "host": self._daemon.host,
            "upstream": self._upstream.url if self._upstream else "",
        }

    def _configured(self, text: str) -> str:
        for word, value in self._words().items():
            text = text.replace(f"{{{{{word}}}}}", value)
        return text

    @property
    def port(self) -> int:
        return self._daemon.port

    def start(self) -> None:
        (self._root / "data").mkdir(exist_ok=True)
        source = CONFIGURATIONS / self.configuration
        file = self._root / source.name
        file.write_text(self._configured(source.read_text()))
        self._daemon.start(self._command(file))

    def stock(self, _repository: str, _image: Image, _tag: str) -> bool:
        return False

    def processes(self) -> list[int]:
        return self._daemon.processes()

    def kill(self) -> None:
        self._daemon.kill()

    def close(self) -> None:
        self._daemon.close()


def said(program: str, *arguments: str) -> str:
    """What a program prints about its version, on either stream."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()
