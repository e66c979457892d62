"""How copying is shown: bars on a terminal, else a line for each blob. On standard error: output may be an archive."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.filesize import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from pyregistry.store.layouts.report import Report


@contextmanager
def progress() -> Iterator[Report]:
    """Shows what is reported until the block ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def short(digest: str) -> str:
    """As much of a digest as tells it from others."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:12]}"


class _Lines:
    def expect(self, size: int) -> None:
        pass

    def begin(self, digest: str, size: int) -> None:
        pass

    def moved(self, digest: str, count: int) -> None:
        pass

    def end(self, digest: str, size: int, how: str) -> None:
        typer.echo(f"{short(digest)} {decimal(size)} {how}", err=True)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._all = bars.add_task("all", total=0)
        self._one: dict[str, TaskID] = {}
        self._left = 0

    def expect(self, size: int) -> None:
        self._left += size
        self._bars.update(self._all, total=self._left)

    def begin(self, digest: str, size: int) -> None:
        self._one[digest] = self._bars.add_task(short(digest), total=size)

    def moved(self, digest: str, count: int) -> None:
        self._bars.advance(self._one[digest], count)
        self._bars.advance(self._all, count)

    def end(self, digest: str, size: int, how: str) -> None:
        task = self._one.pop(digest)
        # What was not copied is done too.
        self._bars.advance(self._all, size - int(self._bars.tasks[self._bars.task_ids.index(task)].completed))
        self._bars.remove_task(task)
