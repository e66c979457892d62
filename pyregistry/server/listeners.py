"""Listening sockets: one per worker slot on one port, the kernel spreads new connections over them (SO_REUSEPORT).

Main keeps them open while workers come and go: connections a dead worker had not accepted wait for its successor.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Any

from pyregistry.config import ConfigError, split_address

#: The kernel takes the smaller of this and net.core.somaxconn.
BACKLOG = 65535
#: Bytes the kernel takes of a response before they can be sent. Without it a client that reads nothing holds
#: tcp_wmem's maximum (4 MiB) of kernel memory, and looks like one that reads until that is full.
UNSENT = 256 << 10
#: linux/tcp.h; Python's socket module has no name for it before 3.12.
_TCP_NOTSENT_LOWAT = 25

_REASONS = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port",
    errno.EACCES: "this user may not listen there; ports below 1024 need the right to",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and the setting that says so (for messages)."""

    setting: str
    text: str
    host: str
    port: int

    @classmethod
    def parse(cls, setting: str, text: str) -> Address:
        """An address as the configuration has it; `[::]` takes IPv4 too."""
        return cls(setting, text, *split_address(text))

    def refusal(self, error: OSError) -> ConfigError:
        """Why one cannot listen here."""
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        return ConfigError(f"{self.setting}: cannot listen on {self.text}: {reason}")


def bind(address: Address) -> socket.socket:
    """A bound socket that does not listen yet. Fails if anybody listens on the port, whatever options they chose."""
    try:
        candidates = [
            (socket.AddressFamily(family), target)
            for family, _, _, _, target in socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        ]
    except socket.gaierror as error:
        raise ConfigError(f"{address.setting}: cannot listen on {address.text}: {error.strerror}") from error
    # A name may have both kinds (localhost): IPv4 is what every client of it tries or falls back to.
    candidates.sort(key=lambda candidate: candidate[0] != socket.AF_INET)
    unavailable = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, target in candidates:
        try:
            return _bound(family, target)
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise address.refusal(error) from error
            unavailable = error
    raise address.refusal(unavailable)


def _bound(family: socket.AddressFamily, target: Any, *, shared: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, target[0] != "::")
        # Accepted connections inherit these. Those whose client's machine is gone end after two minutes: nothing else
        # looks at one that is idle in HTTP/2.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        listener.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT)
        listener.bind(target)
    except OSError:
        listener.close()
        raise
    return listener


class Listeners:
    """The listening sockets of all slots; one may be closed while its worker cannot live, never the last."""

    def __init__(self, address: Address, slots: int) -> None:
        # The first is bound without SO_REUSEPORT: that alone tells a port in use. It joins the group before it listens,
        # so there is no moment in which another program could take the port.
        first = bind(address)
        self._family = socket.AddressFamily(first.family)
        self._target = first.getsockname()
        self._sockets: list[socket.socket | None] = [first]
        try:
            if slots > 1:
                first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.listen(BACKLOG)
            for _ in range(1, slots):
                self._sockets.append(self._another())
        except OSError as error:
            self.close()
            raise address.refusal(error) from error

    @property
    def location(self) -> str:
        """Host and port as in a URL, the port as the kernel gave it."""
        return location(self._target)

    def open(self, slot: int) -> int:
        """The slot's listening descriptor, bound again if it was closed."""
        listener = self._sockets[slot]
        if listener is None:
            listener = self._sockets[slot] = self._another()
        return listener.fileno()

    def give_up(self, slot: int) -> bool:
        """Closes the slot's socket, so that new connections go to the others; refuses for the last one."""
        listener = self._sockets[slot]
        if listener is None or sum(other is not None for other in self._sockets) == 1:
            return False
        listener.close()
        self._sockets[slot] = None
        return True

    def close(self) -> None:
        """No new connections; workers hold descriptors of their own."""
        for slot, listener in enumerate(self._sockets):
            if listener is not None:
                listener.close()
                self._sockets[slot] = None

    def _another(self) -> socket.socket:
        listener = _bound(self._family, self._target, shared=True)
        try:
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener


def location(target: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """A socket's name as in a URL."""
    host, port = target[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
