"""The other end of `UpstreamProcess`: serves until standard input ends."""

import os
import sys
import threading
from multiprocessing.connection import Connection, Listener

from tests.support.upstream.api import Upstream
from tests.support.upstream.server import LocalUpstream

_METHODS = frozenset(Upstream.__abstractmethods__ - {"close"})


def _serve(connection: Connection, upstream: LocalUpstream) -> None:
    while True:
        try:
            method, arguments, named = connection.recv()
        except EOFError:
            connection.close()
            return
        try:
            if method not in _METHODS:
                raise AttributeError(method)
            reply = (True, getattr(upstream, method)(*arguments, **named))
        except Exception as failure:  # noqa: BLE001 it is raised where the call was made
            reply = (False, failure)
        connection.send(reply)


def _accept(listener: Listener, upstream: LocalUpstream) -> None:
    while True:
        threading.Thread(target=_serve, args=(listener.accept(), upstream), daemon=True).start()


def main() -> None:
    upstream = LocalUpstream()
    listener = Listener(family="AF_UNIX", backlog=128)
    threading.Thread(target=_accept, args=(listener, upstream), daemon=True).start()
    print(listener.address, flush=True)
    sys.stdin.buffer.read()
    listener.close()
    os._exit(0)


if __name__ == "__main__":
    main()
