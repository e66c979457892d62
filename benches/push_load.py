"""Pushes blobs cheaply: bodies by sendfile from memory, in a process of its own.

`python -m benches.push_load PORT REPOSITORY CHUNK SEED COUNT SIZE` makes COUNT blobs of SIZE bytes, pushes them at once
on as many connections (CHUNK 0: POST then PUT; else PATCHes of so many bytes) and prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pushed:
    """Bytes pushed, seconds for all, and the client's own CPU seconds meanwhile."""

    sent: int
    seconds: float
    client_cpu: float


def push(port: int, repository: str, *, chunk: int, seed: str, count: int, size: int) -> Pushed:
    """Runs the load in a process of its own."""
    arguments = [str(port), repository, str(chunk), seed, str(count), str(size)]
    done = subprocess.run(
        [sys.executable, "-m", "benches.push_load", *arguments],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return Pushed(**json.loads(done.stdout))


class Session:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._host = f"127.0.0.1:{port}"
        self._file = self._sock.makefile("rb")

    def send(self, method: str, target: str, body: tuple[int, int, int] | None, **fields: str) -> dict[str, str]:
        """One request with `body` (descriptor, offset, bytes); answers the headers, lower-cased. Not 2xx fails."""
        target = target.removeprefix(f"http://{self._host}")
        length = body[2] if body else 0
        head = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {length}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self._sock.sendall("\r\n".join([*head, "", ""]).encode())
        if body:
            descriptor, offset, left = body
            while left:
                sent = os.sendfile(self._sock.fileno(), descriptor, offset, left)
                offset, left = offset + sent, left - sent
        status = self._file.readline().split(b" ", 2)[1]
        answer: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            answer[name.lower()] = value.strip()
        self._file.read(int(answer.get("content-length", "0")))
        assert status.startswith(b"2"), (method, target, status)
        return answer

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def _blob(seed: str, size: int) -> tuple[int, str]:
    """Descriptor and digest of `size` bytes that nobody has pushed before."""
    descriptor = os.memfd_create("push")
    piece = hashlib.shake_128(seed.encode()).digest(1 << 20)
    digest = hashlib.sha256()
    for start in range(0, size, len(piece)):
        part = (start.to_bytes(8) + piece[8:])[: size - start]
        os.write(descriptor, part)
        digest.update(part)
    return descriptor, f"sha256:{digest.hexdigest()}"


def _push(session: Session, repository: str, chunk: int, blob: tuple[int, str], size: int) -> None:
    descriptor, digest = blob
    where = session.send("POST", f"/v2/{repository}/blobs/uploads/", None)["location"]
    rest: tuple[int, int, int] | None = (descriptor, 0, size)
    if chunk:
        for start in range(0, size, chunk):
            count = min(chunk, size - start)
            fields = {"Content_Range": f"{start}-{start + count - 1}", "Content_Type": "application/octet-stream"}
            where = session.send("PATCH", where, (descriptor, start, count), **fields)["location"]
        rest = None
    mark = "&" if "?" in where else "?"
    session.send("PUT", f"{where}{mark}digest={digest}", rest, Content_Type="application/octet-stream")


def main(arguments: list[str]) -> None:
    """The process behind `push`."""
    port, repository, chunk, seed = int(arguments[0]), arguments[1], int(arguments[2]), arguments[3]
    count, size = int(arguments[4]), int(arguments[5])
    blobs = [_blob(f"{seed} {number}", size) for number in range(count)]
    sessions = [Session(port) for _ in blobs]
    failures: list[BaseException] = []

    def one(session: Session, blob: tuple[int, str]) -> None:
        try:
            _push(session, repository, chunk, blob, size)
        except BaseException as error:  # noqa: BLE001  told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=one, args=pair) for pair in zip(sessions, blobs, strict=True)]
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    if failures:
        raise SystemExit(f"{failures[0]!r}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"sent": count * size, "seconds": seconds, "client_cpu": cpu}))
    for session in sessions:
        session.close()


if __name__ == "__main__":
    main(sys.argv[1:])
