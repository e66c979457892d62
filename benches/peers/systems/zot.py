"""zot, by the path of its program: a build with the sync extension."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from benches.peers.system import Peer, said

if TYPE_CHECKING:
    from pathlib import Path


class Zot(Peer):
    name: ClassVar[str] = "zot"
    configuration: ClassVar[str] = "zot.json"
    programs: ClassVar[tuple[str, ...]] = ("zot",)

    @classmethod
    def version(cls, program: str) -> str:
        # One JSON object among lines of log.
        for line in said(program, "--version").splitlines():
            if '"distribution-spec"' in line or '"commit"' in line:
                return str(json.loads(line[line.index("{") :]).get("commit"))
        return "unknown"

    def _command(self, file: Path) -> list[str]:
        return [self._program, "serve", str(file)]

    def _configured(self, text: str) -> str:
        config = json.loads(super()._configured(text))
        if self._upstream is None:
            del config["extensions"]
        return json.dumps(config)
