"""Ports that stay ours until a server takes them."""

import socket


def reserve(host: str = "127.0.0.1") -> socket.socket:
    """A socket bound to a free port that never listens: nobody else is given the port, and a server that sets
    SO_REUSEADDR or SO_REUSEPORT, as servers do, can bind it. Close it when the server is gone."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, 0))
    return sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])
