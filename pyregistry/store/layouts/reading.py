"""Layouts as they are read: a folder, or a tar archive of one that is read where its files lie in it."""

from __future__ import annotations

import os
import stat
import tarfile
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from pyregistry.oci.layout import (
    INDEX_FILE,
    LAYOUT_FILE,
    Entry,
    InvalidLayout,
    blob_path,
    check_layout_file,
    parse_index,
)
from pyregistry.oci.manifests import MAX_MANIFEST_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyregistry.oci.digests import Digest

#: Indexes of archives that hold thousands of images are longer than any manifest.
_MAX_INDEX_SIZE = MAX_MANIFEST_SIZE
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


class Part:
    """The bytes of one file of a layout. Blocking, and safe for one thread at a time."""

    def __init__(self, descriptor: int, offset: int, size: int, where: str) -> None:
        self.size = size
        self._descriptor = descriptor
        self._next = offset
        self._end = offset + size
        self._where = where

    def read(self, limit: int) -> bytes:
        """Up to `limit` next bytes; b"" at the end. Raises InvalidLayout where the file ends before its size says."""
        wanted = min(limit, self._end - self._next)
        if not wanted:
            return b""
        try:
            data = os.pread(self._descriptor, wanted, self._next)
        except OSError as error:
            raise InvalidLayout(f"{self._where}: {error.strerror}") from None
        if not data:
            raise InvalidLayout(f"{self._where} ends {self._end - self._next} bytes short")
        self._next += len(data)
        return data

    def whole(self) -> bytes:
        """All that is left."""
        return b"".join(iter(lambda: self.read(self._end - self._next), b""))


class _Files(Protocol):
    """The files of a layout by their path in it."""

    path: Path

    def hint(self) -> str:
        """What to say further where a file that a layout must have is missing."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""

    def open(self, name: str) -> AbstractContextManager[Part]:
        """A file that `size` has found. Raises InvalidLayout."""


class Layout:
    """An image layout. Blocking."""

    def __init__(self, files: _Files) -> None:
        self._files = files

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._files.path

    def entries(self) -> tuple[Entry, ...]:
        """What `index.json` names. Raises InvalidLayout."""
        for name in (LAYOUT_FILE, INDEX_FILE):
            if self._files.size(name) is None:
                raise InvalidLayout(f"{self.path} is no image layout: it has no {name}{self._files.hint()}")
        with self._located():
            check_layout_file(self._small(LAYOUT_FILE))
            return parse_index(self._small(INDEX_FILE))

    def size(self, digest: Digest) -> int | None:
        """Bytes of a blob or manifest; None if the layout has it not."""
        return self._files.size(blob_path(digest))

    @contextmanager
    def open(self, digest: Digest) -> Iterator[Part]:
        """A blob or manifest that `size` has found. Raises InvalidLayout."""
        with self._files.open(blob_path(digest)) as part:
            yield part

    def where(self, digest: Digest) -> str:
        """What messages call a blob."""
        return f"{self.path}: {blob_path(digest)}"

    def _small(self, name: str) -> bytes:
        with self._files.open(name) as part:
            if part.size > _MAX_INDEX_SIZE:
                raise InvalidLayout(f"{name} has {part.size} bytes; at most {_MAX_INDEX_SIZE} are read")
            return part.whole()

    @contextmanager
    def _located(self) -> Iterator[None]:
        try:
            yield
        except InvalidLayout as error:
            text = str(error)
            raise InvalidLayout(text if text.startswith(str(self.path)) else f"{self.path}: {text}") from None


class _Folder:
    """A layout's folder. Links are followed: some tools share blobs between layouts so."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def hint(self) -> str:
        return ""

    def size(self, name: str) -> int | None:
        try:
            found = (self.path / name).stat()
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    @contextmanager
    def open(self, name: str) -> Iterator[Part]:
        descriptor = _opened(self.path / name)
        try:
            yield Part(descriptor, 0, os.fstat(descriptor).st_size, f"{self.path}: {name}")
        finally:
            os.close(descriptor)


class _Archive:
    """A tar archive of a layout: its headers are read once, its files from where they lie. Nothing is unpacked."""

    def __init__(self, path: Path, descriptor: int, members: Mapping[str, tuple[int, int]]) -> None:
        self.path = path
        self._descriptor = descriptor
        self._members = members

    def hint(self) -> str:
        for name in self._members:
            if name.endswith(f"/{LAYOUT_FILE}"):
                folder = name.removesuffix(f"/{LAYOUT_FILE}")
                return f"; it has {name}: pack what is in the folder (tar -C {folder} -cf {self.path.name} .)"
        if "manifest.json" in self._members:
            return "; `docker save` writes one since Docker 25"
        return ""

    def size(self, name: str) -> int | None:
        found = self._members.get(name)
        return None if found is None else found[1]

    @contextmanager
    def open(self, name: str) -> Iterator[Part]:
        # Parts share the descriptor: `pread` has no position.
        yield Part(self._descriptor, *self._members[name], f"{self.path}: {name}")


@contextmanager
def open_layout(path: Path) -> Iterator[Layout]:
    """The layout in a folder or a tar archive. Raises InvalidLayout."""
    descriptor = _opened(path)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            yield Layout(_Folder(path))
        elif stat.S_ISREG(kind):
            yield Layout(_Archive(path, descriptor, _members(path, descriptor)))
        else:
            raise InvalidLayout(
                f"{path} is neither a folder nor a file; an archive is read twice, so a pipe will not do"
            )
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    try:
        # Not to wait for who writes into a pipe: it is refused anyway.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidLayout(f"{path}: {error.strerror}") from None


def _members(path: Path, descriptor: int) -> dict[str, tuple[int, int]]:
    """Offset and size of every file of an archive by its name."""
    start = os.pread(descriptor, 8, 0)
    for magic, program in _MAGIC.items():
        if start.startswith(magic):
            raise InvalidLayout(f"{path} is compressed; unpack it with {program} -d first")
    members: dict[str, tuple[int, int]] = {}
    try:
        with open(descriptor, "rb", closefd=False) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.islnk():
                    target = members.get(member.linkname.removeprefix("./"))
                    if target is not None:
                        members[name] = target
                elif member.isreg() and not member.issparse():
                    members[name] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise InvalidLayout(f"{path} is no whole tar archive: {error}") from None
    except OSError as error:
        raise InvalidLayout(f"{path}: {error.strerror}") from None
    return members
