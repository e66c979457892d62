"""What is wrong with one base URL, told to all workers of a storage root by a small file in `run/breakers`.

No file: nothing is wrong. A look costs one stat. Written when a request fails and when the state changes, which the
breaker itself keeps rare; the last writer wins, so a failure may go uncounted where two meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import orjson

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "breakers"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures in a row of one base URL. Times are of the wall clock, since workers share them."""

    upstream: str
    base: str
    #: When the first and the last of them came.
    since: float
    last: float
    failures: int = 0
    #: Not asked until then; 0: asked as ever.
    until: float = 0.0
    #: Length of the last pause in seconds; 0: there was none yet.
    pause: float = 0.0
    cause: Cause = Cause.TIMEOUT
    status: int | None = None
    message: str = ""
    #: What the last 5xx was the answer to.
    asked: str = ""
    #: A probe has found it up, and no request since.
    trial: bool = False

    @property
    def is_limit(self) -> bool:
        """It is not down: it wants no more requests for now (429)."""
        return self.cause is Cause.RATE_LIMITED

    def of(self, failure: Failure) -> Trouble:
        """With this failure as its reason."""
        return replace(self, cause=failure.cause, status=failure.status, message=failure.message[:500])


class TroubleFile:
    """The file of one base URL. A file that cannot be written leaves the state to this process alone."""

    def __init__(self, run_dir: Path, upstream: str, base: str) -> None:
        name = hashlib.sha256(f"{upstream}\0{base}".encode()).hexdigest()[:32]
        self._path = run_dir / FOLDER / name
        self._text = str(self._path)
        self._signature: tuple[int, int] | None = None
        self._known: Trouble | None = None
        #: Where the file cannot be written.
        self._own: Trouble | None = None

    def read(self) -> Trouble | None:
        """What all workers know; None: nothing is wrong."""
        try:
            found = os.stat(self._text)  # noqa: PTH116  on the way of every request upstream
        except OSError:
            return self._own
        signature = (found.st_ino, found.st_mtime_ns)
        if signature != self._signature:
            self._known = read_trouble(self._path)
            self._signature = signature
        return self._known

    def write(self, trouble: Trouble) -> None:
        """Tells all workers."""
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(orjson.dumps({**asdict(trouble), "cause": trouble.cause.name}))
            temporary.rename(self._path)
            self._own = None
        except OSError:
            self._own = trouble

    def clear(self) -> None:
        """Nothing is wrong any more."""
        self._own = None
        with contextlib.suppress(OSError):
            self._path.unlink()


def read_trouble(path: Path) -> Trouble | None:
    """A file as a worker wrote it; None where it has gone or makes no sense."""
    try:
        document = orjson.loads(path.read_bytes())
        return Trouble(**{**document, "cause": Cause[document["cause"]]})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def troubles(run_dir: Path) -> list[Trouble]:
    """Every base URL that is in trouble, for `status`."""
    try:
        paths = sorted((run_dir / FOLDER).iterdir())
    except OSError:
        return []
    found = (read_trouble(path) for path in paths if not path.name.startswith("."))
    return sorted((one for one in found if one is not None), key=lambda one: (one.upstream, one.base))
