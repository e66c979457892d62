"""Who is told how copying goes."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """What a copy says while it runs; how people see it is the command line's."""

    def expect(self, size: int) -> None:
        """So many more bytes are to be copied."""

    def begin(self, digest: str, size: int) -> None:
        """A blob is begun."""

    def moved(self, digest: str, count: int) -> None:
        """So many more of its bytes are copied."""

    def end(self, digest: str, size: int, how: str) -> None:
        """It is done: `copied`, or how it came to be there without copying."""
