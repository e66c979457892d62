"""A real image: Debian's root file system, made by debootstrap, in several layers."""

import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.images import Image, image
from tests.support.layout import adopt, read_layout, write_layout
from tests.support.tools import find

SUITE = "bookworm"
TAG = SUITE
CACHE = "DEBIAN_LAYOUT"
"""Environment variable: where the layout is kept, and found by the next run. Default: a folder of the user in /tmp."""

_EPOCH = 1_700_000_000
# Downloads, logs and devices: no part of an image, and different each time.
_LEFT_OUT = ("dev/", "proc/", "sys/", "var/cache/apt/", "var/cache/ldconfig/", "var/lib/apt/lists/", "var/log/")


def debian_layout() -> Path:
    """An OCI layout with the image under the tag `bookworm`; made once (root, debootstrap and a mirror are needed, it
    takes half a minute), then kept. Tests of one machine share it."""
    default = Path(tempfile.gettempdir()) / f"pyregistry-debian-{os.getuid()}"
    folder = Path(os.environ.get(CACHE, default))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        layout = folder / SUITE
        if not layout.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                _make(Path(work), Path(work) / "layout").rename(layout)
    return layout


def debian_image() -> Image:
    """The image, its blobs mapped; for the scripted upstream."""
    return read_layout(debian_layout(), TAG)


def pack(root: Path, layout: Path) -> Image:
    """Packs a root file system into a layout: documentation, libraries, programs, and the rest, a layer each."""
    parts: tuple[Callable[[str], bool], ...] = (
        lambda name: name.startswith("usr/share"),
        lambda name: name.startswith("usr/lib"),
        lambda name: name.startswith(("usr/bin", "usr/sbin")),
        lambda name: not name.startswith(("usr/share", "usr/lib", "usr/bin", "usr/sbin")),
    )
    layers, diff_ids = [], []
    for number, belongs in enumerate(parts):
        file = layout.parent / f"layer{number}"
        diff_ids.append(_tar(root, file, belongs))
        layers.append(adopt(layout, file))
    made = image(layers=layers, diff_ids=diff_ids, seed="debian", platform=("linux", _architecture()))
    write_layout(layout, {TAG: made})
    return made


def _make(work: Path, layout: Path) -> Path:
    root = work / "root"
    log = work / "log"
    with log.open("w") as output:
        command = [find("debootstrap"), "--variant=minbase", SUITE, str(root)]
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"debootstrap ended with {done.returncode}:\n{log.read_text()[-4000:]}")
    pack(root, layout)
    shutil.rmtree(root)
    return layout


class _Hashing:
    """A file that hashes what is written to it: the layer's diff id is the digest of the tar before gzip."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _tar(root: Path, target: Path, belongs: Callable[[str], bool]) -> str:
    """Same files, same bytes: names in order, one time for all, numbers for owners."""
    with target.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        hashing = _Hashing(packed)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            for name, path in _names(root):
                if belongs(name) and not name.startswith(_LEFT_OUT):
                    entry = archive.gettarinfo(path, name)
                    if entry is None:
                        continue
                    entry.mtime, entry.uname, entry.gname = _EPOCH, "", ""
                    if entry.isreg():
                        with path.open("rb") as content:
                            archive.addfile(entry, content)
                    else:
                        archive.addfile(entry)
        return hashing.digest


def _names(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            path = Path(folder) / name
            yield str(path.relative_to(root)), path


def _architecture() -> str:
    return subprocess.run(
        [find("dpkg"), "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
