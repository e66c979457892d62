"""granian's HTTP server on our event loop and our listening socket. The only file that touches granian's internals.

`granian.server.embed.Server` is this and more: it binds its own socket, reconfigures logging, has no moment that says
"accepting", and a lifespan that cannot tell an application without one from an application that failed. So we take its
`ASGIWorker` directly; the version is pinned. Measured equal to `granian --interface asgi`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from granian._futures import _future_watcher_wrapper, _new_cbscheduler
from granian._granian import ASGIWorker, SocketHolder, WorkerSignal
from granian.asgi import _callback_wrapper
from granian.constants import HTTPModes, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings

from pyregistry.server.listeners import BACKLOG
from pyregistry.server.preflight import most_connections

if TYPE_CHECKING:
    from pyregistry.config import TlsConfig
    from pyregistry.server.lifespan import App

# Untyped, or typed for another version.
make: Any = ASGIWorker
holder: Any = SocketHolder
watched: Any = _future_watcher_wrapper
scheduler: Any = _new_cbscheduler
with_scope: Any = _callback_wrapper

_HTTP1 = HTTP1Settings(
    # Closes slow connections and idle keep-alive ones, but not those that never sent a byte, nor HTTP/2's.
    header_read_timeout=30_000,
    # granian's default. What a request's head may take, what one read of an upload brings (the smaller, the more CPU
    # uploads cost), and what hyper buffers of a response that its client does not take: of small chunks 16 at most.
    max_buffer_size=408 * 1024,
)
_HTTP2 = HTTP2Settings(max_headers_size=64 * 1024, max_send_buffer_size=64 * 1024)


class EmbeddedServer:
    """Serves one ASGI application on one inherited listening socket until stopped; requests run on the current loop."""

    def __init__(self, app: App, state: dict[str, Any], listener: int, tls: TlsConfig | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._signal = WorkerSignal()
        self._stopped: asyncio.Future[None] = self._loop.create_future()
        self._signal.add_cb(lambda: self._loop.call_soon_threadsafe(self._ended))
        callback = watched(with_scope(app, {}, state))
        self._scheduler = scheduler(self._loop, callback, impl_asyncio=True)
        self._worker = make(
            1,
            (None, holder(listener, False, BACKLOG)),
            None,  # no metrics pipe
            1,  # runtime threads
            512,  # threads for blocking calls (files of pathsend), made as needed
            1,  # threads for Python
            30,  # seconds they idle
            # Idle ones count too, and what is beyond waits in the kernel: the limit on work is the application's.
            most_connections(),
            HTTPModes.auto,
            _HTTP1,
            _HTTP2,
            False,  # websockets
            None,  # static files
            tls is not None,
            str(tls.cert.resolve()) if tls else None,
            str(tls.key.resolve()) if tls else None,
            None,  # key password
            str(SSLProtocols.tls12),
            None,  # client certificates: authority, revocations, demanded
            [],
            False,
            (None, None),  # no metrics
        )

    def start(self) -> None:
        """Accepts connections from now on."""
        # On its own thread with one tokio runtime; joined by `_stopped`. (`serve_mtr` can lose its end's wake-up.)
        self._worker.serve_async(self._scheduler, self._loop, self._signal)

    def stop(self) -> None:
        """Accepts no more, closes idle connections, lets responses finish."""
        self._signal.set()

    async def stopped(self) -> None:
        """Returns when the last response has ended; a client that reads nothing delays this for ever."""
        await asyncio.shield(self._stopped)

    def _ended(self) -> None:
        if not self._stopped.done():
            self._stopped.set_result(None)
