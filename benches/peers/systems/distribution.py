"""distribution, the reference registry (its image is `registry:3`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benches.peers.system import Peer, said

if TYPE_CHECKING:
    from pathlib import Path


class Distribution(Peer):
    name: ClassVar[str] = "distribution"
    configuration: ClassVar[str] = "distribution.yaml"
    programs: ClassVar[tuple[str, ...]] = ("registry", "docker-registry")

    @classmethod
    def version(cls, program: str) -> str:
        return said(program, "--version").rpartition(" ")[2]

    def _command(self, file: Path) -> list[str]:
        return [self._program, "serve", str(file)]

    def _configured(self, text: str) -> str:
        # A registry of its own is the same without the last section.
        return super()._configured(text if self._upstream else text.partition("proxy:")[0])
