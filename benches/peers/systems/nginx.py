"""nginx: the limit (files by sendfile), and the mirror that many people build (proxy_cache with cache_lock)."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, ClassVar

from benches.peers.system import Ability, Peer, said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.images import Image


class _Nginx(Peer):
    programs: ClassVar[tuple[str, ...]] = ("nginx",)

    @classmethod
    def version(cls, program: str) -> str:
        return said(program, "-v").rpartition("/")[2]

    def _command(self, file: Path) -> list[str]:
        return [self._program, "-p", str(self._root), "-e", "errors", "-c", str(file)]

    def _words(self) -> dict[str, str]:
        fresh = 60 if self._freshness is None else self._freshness
        server = self._upstream.host if self._upstream else ""
        # Workers of a server that root started would be nobody, who cannot read here.
        return super()._words() | {"user": pwd.getpwuid(os.getuid()).pw_name, "server": server, "fresh": f"{fresh}s"}


class NginxCache(_Nginx):
    name: ClassVar[str] = "nginx proxy_cache"
    configuration: ClassVar[str] = "nginx-cache.conf"
    cannot: ClassVar[Mapping[Ability, str]] = {Ability.PUSH: "no registry: a cache of GETs"}


class NginxStatic(_Nginx):
    name: ClassVar[str] = "nginx static"
    configuration: ClassVar[str] = "nginx-static.conf"
    cannot: ClassVar[Mapping[Ability, str]] = {
        Ability.MIRROR: "files only",
        Ability.PUSH: "files only",
    }

    def stock(self, repository: str, image: Image, tag: str) -> bool:
        folder = self._root / "data" / "v2" / repository
        for part in ("blobs", "manifests"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for blob in image.blobs:
            with (folder / "blobs" / blob.digest).open("wb") as file:
                file.write(blob.data)
        for name in (tag, image.digest):
            (folder / "manifests" / name).write_bytes(image.manifest)
        return True
