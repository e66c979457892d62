"""One worker process: the application on a uvloop loop behind granian, from its start to its drained end."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import uvloop

from pyregistry.config import ConfigError
from pyregistry.errors import Failure
from pyregistry.server.embedded import EmbeddedServer
from pyregistry.server.handover import Handover, read_config
from pyregistry.server.heartbeat import Heartbeats
from pyregistry.server.lifespan import Lifespan, LifespanError
from pyregistry.telemetry import logs, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyregistry.config import Config
    from pyregistry.server.lifespan import App

    AppFactory = Callable[[Config, int], App]

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
#: How long the application may take to end after its last response.
SHUTDOWN_SECONDS = 5.0

#: What retrying does not help: at a server's first start it ends the server.
_REFUSALS = (ConfigError, Failure, LifespanError)
_PR_SET_PDEATHSIG = 1


def run(arguments: Sequence[str], load: Callable[[], AppFactory]) -> NoReturn:
    """The process `main` spawned with `Handover.arguments`. `load` imports the application, after metrics have their
    place: what it counts at import is counted in its slot."""
    handover = Handover.parse(arguments)
    die_with_parent(handover.parent)
    handover.own()
    # Ctrl-C reaches the whole group of a terminal; main alone decides. SIGTERM was blocked by main, see `_work`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 1
    try:
        config = read_config(handover.config)
        os.close(handover.config)
        logs.configure(config.log, handover.slot)
        metrics.install(config.storage.root / "run", handover.slot)
        # Not as a context manager: its end would wait for threads that may never end.
        code = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_work(handover, config, load))
    except BaseException as error:  # noqa: BLE001  panics of the extension included: main hears of every end
        _report(handover, error)
        code = 2 if isinstance(error, _REFUSALS) else 1
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # The interpreter's own way out would wait for stalled readers' threads.
        os._exit(code)


def die_with_parent(parent: int) -> None:
    """From now on the kernel kills this process when main dies; if main is dead already, this ends here."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)


async def _work(handover: Handover, config: Config, load: Callable[[], AppFactory]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    _beat(loop, Heartbeats.open(config.storage.root / "run" / "heartbeats"), handover.slot)

    app = load()(config, handover.slot)
    lifespan = Lifespan(app)
    if not await _started(lifespan, stop):
        return 0
    server = EmbeddedServer(app, lifespan.state, handover.listener, config.http.tls)
    server.start()
    handover.say("ready")

    await stop.wait()
    server.stop()
    drain = config.http.drain.total_seconds()
    try:
        await asyncio.wait_for(server.stopped(), drain)
    except TimeoutError:
        logger.warning("cutting the responses that still run after %g s (http.drain)", drain)
    try:
        await asyncio.wait_for(lifespan.shutdown(), SHUTDOWN_SECONDS)
    except Exception as error:  # noqa: BLE001  the end comes anyway; a kill must be safe at any instant
        logger.warning("the application did not end well: %s: %s", type(error).__name__, error)
    return 0


async def _started(lifespan: Lifespan, stop: asyncio.Event) -> bool:
    """False: told to stop before the application was up."""
    starting = asyncio.create_task(lifespan.startup())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        return False
    starting.result()
    return True


def _beat(loop: asyncio.AbstractEventLoop, heartbeats: Heartbeats, slot: int) -> None:
    heartbeats.beat(slot)
    loop.call_later(HEARTBEAT_SECONDS, _beat, loop, heartbeats, slot)


def _report(handover: Handover, error: BaseException) -> None:
    if isinstance(error, _REFUSALS):
        handover.say("refused", str(error))
    else:
        handover.say("failed", f"{type(error).__name__}: {error}")
        logger.debug("could not start", exc_info=error)
