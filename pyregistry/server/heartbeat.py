"""Heartbeats: each worker's loop stores the time in its slot of one mapped file, main reads how old they are.

The clock is CLOCK_MONOTONIC, one for all processes; it stands still while the machine sleeps, so that is no delay.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WIDTH = 8


class Heartbeats:
    """The mapped file. A slot is one aligned 64-bit word, written by one process in one store: no reader sees half."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._map = mmap.mmap(descriptor, size)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls, path: Path, slots: int) -> Heartbeats:
        """A new file with all slots at zero; a new inode, since an older one may still be mapped."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, slots * _WIDTH)  # a full disk shows here, not as SIGBUS at a beat
            return cls(descriptor, slots * _WIDTH)
        finally:
            os.close(descriptor)

    @classmethod
    def open(cls, path: Path) -> Heartbeats:
        """The file that main made."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return cls(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def beat(self, slot: int) -> None:
        """The loop of `slot` turns."""
        self._words[slot] = time.monotonic_ns()

    def last(self, slot: int) -> float | None:
        """When `slot` beat last, in seconds of `time.monotonic`; None: not yet."""
        word = self._words[slot]
        return word / 1e9 if word else None

    def clear(self, slot: int) -> None:
        """Forgets a dead worker's beats."""
        self._words[slot] = 0

    def close(self) -> None:
        """Unmaps the file."""
        self._words.release()
        self._map.close()
