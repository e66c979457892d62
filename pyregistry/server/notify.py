"""Telling the service manager (systemd's `sd_notify` protocol) how the server is."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Sends `READY=1`, `STOPPING=1`, `STATUS=…` to whoever set NOTIFY_SOCKET; to nobody where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux' abstract names
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.send("\n".join(lines).encode())
