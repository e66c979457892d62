"""Bearer tokens that the workers of one storage root share: a small file each, for our user alone, in `run/tokens`."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import orjson

from pyregistry.mirror.token_realm import Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Writes after which expired files are looked for. Reading one removes it, too; most are never read again.
_SWEEP_EVERY = 256


class TokenFiles:
    """The files. Blocking: call it off the loop. A file that cannot be read or written only costs another token."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._writes = 0

    def read(self, name: str) -> Token | None:
        """The token called `name`, None if there is none that still serves."""
        path = self._folder / name
        try:
            document = orjson.loads(path.read_bytes())
            token = Token(
                str(document["token"]),
                float(document["fetched"]),
                float(document["renew"]),
                float(document["expires"]),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if token.expires <= self._clock():
            # Between the look and the unlink another worker may have put a new one there: it then costs one more fetch.
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return token

    def write(self, name: str, token: Token) -> None:
        """Puts the token there for every worker. Its mtime is the token's end, so that sweeping reads no file."""
        document = {"token": token.value, "fetched": token.fetched, "renew": token.renew, "expires": token.expires}
        temporary = self._folder / f".{name}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                # Of a worker that died with our number: never written through, its mode may be another.
                temporary.unlink()
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, orjson.dumps(document))
                os.utime(descriptor, (token.expires, token.expires))
            finally:
                os.close(descriptor)
            temporary.rename(self._folder / name)
        self._writes += 1
        if self._writes % _SWEEP_EVERY == 0:
            self.sweep()

    def sweep(self) -> None:
        """Removes what has expired."""
        now = self._clock()
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime <= now:
                        (self._folder / entry.name).unlink()
