"""What passes between main and a worker: numbers on the command line, the configuration through a memory file, and a
worker's few words to main through a pipe. No secret is ever on a command line or in an environment."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from pyregistry.config import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A worker's words: it answers requests; it cannot start and no retry helps; it cannot start.
Word = Literal["ready", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Handover:
    """A worker's command line: its slot, main's pid, and three inherited descriptors."""

    slot: int
    parent: int
    config: int
    listener: int
    status: int

    @property
    def arguments(self) -> list[str]:
        """As words of a command line."""
        return [str(number) for number in astuple(self)]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those a worker inherits."""
        return (self.config, self.listener, self.status)

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Handover:
        """The reverse of `arguments`."""
        slot, parent, config, listener, status = map(int, arguments)
        return cls(slot, parent, config, listener, status)

    def own(self) -> None:
        """Keeps the inherited descriptors from programs this worker runs."""
        for descriptor in self.descriptors:
            os.set_inheritable(descriptor, False)

    def say(self, word: Word, text: str = "") -> None:
        """Tells main; a main that is gone hears nothing (and its death ends this process)."""
        line = f"{word} {' '.join(text.split())}".strip()
        try:
            os.write(self.status, line[:4000].encode() + b"\n")
        except OSError:
            return


def write_config(config: Config) -> int:
    """The configuration, secrets included, in a memory file; its descriptor."""
    data = json.dumps(config.model_dump(mode="python"), default=_plain).encode()
    descriptor = os.memfd_create("pyregistry-config", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor


def read_config(descriptor: int) -> Config:
    """What `write_config` wrote. Does not move the offset, which all workers share."""
    size = os.fstat(descriptor).st_size
    return Config.model_validate_json(os.pread(descriptor, size, 0))


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no plain form for {type(value).__name__}")
