"""Main's own small HTTP listener: `/metrics` of all processes, `/livez` and `/readyz` of the whole server."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST

from pyregistry.server.listeners import Address, bind, location
from pyregistry.telemetry.exposition import render

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    Report = Callable[[], tuple[bool, list[dict[str, Any]]]]

logger = logging.getLogger(__name__)

#: Connections answered at once, a thread each; further ones are closed.
CONNECTIONS = 32
#: Seconds a connection may be silent.
SILENCE = 30.0


class Probes:
    """The listener; answers from `start` until the process ends or `close`."""

    def __init__(self, address: Address, run: Path) -> None:
        listener = bind(address)
        try:
            listener.listen()
        except OSError as error:
            listener.close()
            raise address.refusal(error) from error
        self.location = location(listener.getsockname())
        self._server = _Server(listener, run)

    def start(self, report: Report) -> None:
        """`report` says whether some worker answers, and the state of each slot."""
        self._server.report = report
        threading.Thread(target=self._server.serve_forever, name="probes", daemon=True).start()

    def close(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()


def _trouble(folder: Path) -> str | None:
    """Why nothing can be written to the storage root now; None: it can."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(b"ready?")
    except OSError as error:
        return error.strerror or str(error)
    return None


class _Server(ThreadingHTTPServer):
    report: Report

    def __init__(self, listener: socket.socket, run: Path) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()  # the one the base class made
        self.socket = listener
        self.run = run
        self._places = threading.BoundedSemaphore(CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.debug("a probe's connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pyregistry"
    sys_version = ""
    timeout = SILENCE
    server: _Server

    def do_GET(self) -> None:
        try:
            status, kind, body = self._answer(self.path.partition("?")[0])
        except Exception:  # a file of counters just being made: the next scrape reads it
            logger.exception("cannot answer %s", self.path)
            status, kind, body = 500, "text/plain", b"internal error\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  the base class's naming

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/metrics":
                return 200, CONTENT_TYPE_LATEST, render(self.server.run)
            case "/livez":
                return 200, "application/json", b'{"alive":true}\n'
            case "/readyz":
                ready, workers = self.server.report()
                trouble = _trouble(self.server.run)
                ready = ready and trouble is None
                body = json.dumps({"ready": ready, "storage": trouble or "writable", "workers": workers}).encode()
                return (200 if ready else 503), "application/json", body + b"\n"
            case _:
                return 404, "text/plain", b"not found; there are /metrics, /livez and /readyz\n"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Nothing: probes come every few seconds."""
