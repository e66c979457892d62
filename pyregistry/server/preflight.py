"""What is checked and taken before anything is started; what is refused is one line."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from pyregistry.config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

MAX_AUTO_WORKERS = 16
MAX_CONNECTIONS = 65535
#: Fewer than this per worker are worth a warning.
FEW_CONNECTIONS = 1024
#: Descriptors that a worker has before anybody connects (some forty), and some to spare.
OWN_DESCRIPTORS = 64


def worker_count(setting: int | str) -> int:
    """`auto` is one per processor this process may use, at most 16."""
    if isinstance(setting, int):
        return setting
    return max(1, min(MAX_AUTO_WORKERS, len(os.sched_getaffinity(0))))


def prepare_root(root: Path) -> Path:
    """Makes sure that we can write under the root; returns its `run` folder, for what lives while the server runs."""
    run = root / "run"
    try:
        # Private images are in it, and what is private is upstream's to say. A folder that is there keeps its mode.
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(exist_ok=True)
        for folder in (root, run):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(root) else ""
        raise ConfigError(
            f"storage.root: cannot write to {root}: {error.strerror}{where}; "
            "name another folder, or give this user the right to write there"
        ) from error
    return run


def lock_root(root: Path) -> int:
    """The lock that says one `serve` runs on this root; it goes with this process. Returns the descriptor to keep."""
    path = root / "serve.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"storage.root: cannot open {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise ConfigError(
            f"storage.root: {root} is served by {who} already; stop it first, or give this server a root of its own"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(f"storage.root: cannot lock {path}: {error.strerror}; use a local file system") from error
    return descriptor


def raise_descriptor_limit() -> None:
    """As many open files as the system lets us have; workers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if (connections := most_connections()) < FEW_CONNECTIONS:
        logger.warning(
            "only %d open files are allowed (LimitNOFILE, ulimit -Hn): a worker takes %d connections, more wait",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            connections,
        )


def most_connections() -> int:
    """Connections one worker may hold. Without a bound, clients that only connect take every descriptor: no file opens
    for those who are served, and accepting fails in a busy loop. Each may need a file and a connection upstream too.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(1, (limit - OWN_DESCRIPTORS) // 3))
