"""A secret that the processes of one storage root share, made by the first of them."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 32


def shared_secret(run_dir: Path) -> bytes:
    """The secret in `run_dir`; only our user can read it. Raises OSError."""
    path = run_dir / "secret"
    run_dir.mkdir(parents=True, exist_ok=True)
    while True:
        with contextlib.suppress(FileNotFoundError):
            found = path.read_bytes()
            if len(found) == _BYTES:
                return found
            # Cut short by a crash of the machine.
            path.unlink(missing_ok=True)
        temporary = run_dir / f".secret.{os.getpid()}.{secrets.token_hex(8)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_BYTES))
            # Whole or not at all, and only the first: others read it in the next round.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            os.close(descriptor)
            temporary.unlink()
