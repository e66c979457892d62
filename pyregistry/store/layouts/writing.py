"""Layouts as they are written: a folder, or a tar archive, that is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tarfile
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pyregistry.errors import Cause, Failure
from pyregistry.oci.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK = 512
#: What tar programs read at once; an archive's length is a multiple of it.
_RECORD = 20 * _BLOCK
_FULL = (errno.ENOSPC, errno.EDQUOT)


class LayoutWriter(Protocol):
    """Takes the files of a layout, one after another. Blocking."""

    def begin(self, name: str, size: int) -> None:
        """The next file, once the one before has all its bytes."""

    def write(self, data: bytes) -> None:
        """Its next bytes."""

    def end(self) -> None:
        """The file is whole."""


def write_file(writer: LayoutWriter, name: str, content: bytes) -> None:
    """One small file."""
    writer.begin(name, len(content))
    writer.write(content)
    writer.end()


def finish(writer: LayoutWriter, index: bytes) -> None:
    """The last two files. An archive that was cut short on its way has no index, and is no layout."""
    write_file(writer, LAYOUT_FILE, LAYOUT)
    write_file(writer, INDEX_FILE, index)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._folders = {path}

    def begin(self, name: str, size: int) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folders |= {path.parent, *(parent for parent in path.parents if self._path in parent.parents)}
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)

    def end(self) -> None:
        os.fsync(self._descriptor)
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def sync(self) -> None:
        for folder in self._folders:
            _sync_folder(folder)


class _Archive:
    """A tar archive with nothing in it that is not the layout's: the same content is the same bytes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._length = 0
        self._folders: set[str] = set()

    def begin(self, name: str, size: int) -> None:
        parts = name.split("/")[:-1]
        for folder in ("/".join(parts[: count + 1]) for count in range(len(parts))):
            if folder not in self._folders:
                self._folders.add(folder)
                self._header(folder, 0, tarfile.DIRTYPE, 0o755)
        self._header(name, size, tarfile.REGTYPE, 0o644)

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)
        self._length += len(data)

    def end(self) -> None:
        self.write(bytes(-self._length % _BLOCK))

    def finish(self) -> None:
        self.write(bytes(2 * _BLOCK))
        self.write(bytes(-self._length % _RECORD))

    def _header(self, name: str, size: int, kind: bytes, mode: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.type, member.mode = size, kind, mode
        # Longer than any ustar name: SHA-512; larger than any ustar size: 8 GiB.
        self.write(member.tobuf(tarfile.PAX_FORMAT))


@contextmanager
def write_layout(path: Path | None) -> Iterator[LayoutWriter]:
    """Writes a layout: a tar archive where the name ends so, and to standard output for None; else a folder.

    It appears by rename once the block has ended well. Raises Failure, also for errors of writing in the block.
    """
    try:
        if path is None:
            archive = _Archive(1)
            yield archive
            archive.finish()
        elif path.suffix == ".tar":
            with _archive(path) as archive:
                yield archive
        else:
            with _folder(path) as folder:
                yield folder
    except OSError as error:
        where = path or "standard output"
        cause = Cause.STORAGE_FULL if error.errno in _FULL else Cause.STORAGE
        raise Failure(cause, f"{where}: {error.strerror}") from None


@contextmanager
def _archive(path: Path) -> Iterator[_Archive]:
    _refuse(path, "is there and is no file", allowed=stat.S_ISREG)
    temporary = _beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        archive = _Archive(descriptor)
        yield archive
        archive.finish()
        os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)


@contextmanager
def _folder(path: Path) -> Iterator[_Folder]:
    _refuse(path, "is there and is no folder; an archive's name ends in .tar", allowed=stat.S_ISDIR)
    if path.is_dir() and any(path.iterdir()):
        raise Failure(Cause.STORAGE, f"{path} is not empty; export to a new folder")
    temporary = _beside(path)
    temporary.mkdir()
    folder = _Folder(temporary)
    try:
        yield folder
        folder.sync()
        # Takes the place of an empty folder, and of no other.
        temporary.rename(path)
    except BaseException:
        folder.close()
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _refuse(path: Path, why: str, *, allowed: Callable[[int], bool]) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not allowed(mode):
        raise Failure(Cause.STORAGE, f"{path} {why}")


def _beside(path: Path) -> Path:
    """A name in the same folder that nobody has: `rename` does not leave the file system."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.partial"


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
