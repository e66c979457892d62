"""One client, in this process: for scenarios in which one request's way matters, not how many there can be."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from benches.load import body_length, discard, read_head
from tests.support.storms import ACCEPT

#: Seconds without a byte after which a client gives up.
PATIENCE = 60.0


@dataclass
class Got:
    """An answer. Times are seconds from the request on."""

    status: int = 0
    """200 or 206; 0: another, or none."""
    first_byte: float = 0.0
    seconds: float = 0.0
    whole: bool = False
    """Everything that was to be read came."""
    failure: str = ""
    """Why it did not: the status line, or how the connection ended."""


def get(port: int, path: str, *, wanted: tuple[int, int] | None = None, leave_after: int | None = None) -> Got:
    """GETs `path`, bodies thrown away.

    `wanted`: bytes (offset, count) asked for by Range; of a 200 they are read up to, and the connection closed.
    `leave_after`: leaves after so many bytes of the body.
    """
    got = Got()
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Accept: {ACCEPT}"]
    if wanted:
        lines.append(f"Range: bytes={wanted[0]}-{sum(wanted) - 1}")
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall("\r\n".join([*lines, "", ""]).encode())
            head = read_head(sock)
            got.status = int(head.split(b" ", 2)[1])
            length = body_length(head)
            if wanted and got.status == 200:
                length = sum(wanted)
            if leave_after is not None:
                length = min(length, leave_after)
            sock.recv(1, socket.MSG_PEEK)
            got.first_byte = time.monotonic() - began
            discard(sock, length)
            got.whole = True
    except (ValueError, OSError) as failure:
        got.failure = f"{failure}".partition("\r\n")[0]
    got.seconds = time.monotonic() - began
    return got


def get_until_whole(port: int, path: str, tries: int = 10) -> tuple[int, float]:
    """How often a client had to ask for the whole blob, and the seconds it took; RuntimeError if it never came."""
    began = time.monotonic()
    for count in range(1, tries + 1):
        got = get(port, path)
        if got.whole:
            return count, time.monotonic() - began
    raise RuntimeError(f"{path} did not come whole in {tries} tries: {got.failure}")
