"""The main process of `serve`: takes what is to be had once (the lock on the root, ports), then supervises the workers.
It never opens the store."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyregistry import __version__
from pyregistry.config import ConfigError
from pyregistry.server import preflight
from pyregistry.server.handover import write_config
from pyregistry.server.heartbeat import Heartbeats
from pyregistry.server.listeners import Address, Listeners
from pyregistry.server.probes import Probes
from pyregistry.server.supervisor import Supervisor
from pyregistry.telemetry import logs, metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyregistry.config import Config
    from pyregistry.server.slot import Timing

logger = logging.getLogger(__name__)

# -P: a file in the current folder must not pass for a module.
WORKER = (sys.executable, "-P", "-m", "pyregistry.worker")


def serve(config: Config, *, worker: Sequence[str] = WORKER, timing: Timing | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. `worker` is the command line of a worker process.

    Raises ConfigError, before anything is served, where the machine, the root or the application refuses.
    """
    logs.configure(config.log)
    slots = preflight.worker_count(config.http.workers)
    listen = Address.parse("http.listen", config.http.listen)
    observe = Address.parse("metrics.listen", config.metrics.listen) if config.metrics.listen else None
    root = config.storage.root
    with ExitStack() as stack:
        run = preflight.prepare_root(root)
        stack.callback(os.close, preflight.lock_root(root))
        preflight.raise_descriptor_limit()
        listeners = Listeners(listen, slots)
        stack.callback(listeners.close)
        probes = Probes(observe, run) if observe else None
        for counters in run.glob("*.db"):  # of an earlier server; ours begin at zero
            counters.unlink(missing_ok=True)
        metrics.install(run, "main")
        heartbeats = Heartbeats.create(run / "heartbeats", slots)
        memory = write_config(config)
        stack.callback(os.close, memory)

        scheme = "https" if config.http.tls else "http"
        status = f"listening on {scheme}://{listeners.location}"
        if probes:
            status += f", metrics on http://{probes.location}/metrics"
        _announce(config, slots, status)
        supervisor = Supervisor(
            slots,
            command=worker,
            config=memory,
            listeners=listeners,
            heartbeats=heartbeats,
            run=run,
            drain=config.http.drain.total_seconds(),
            status=status,
            timing=timing,
        )
        if probes:
            probes.start(supervisor.report)
            stack.callback(probes.close)
        supervisor.run()
        if supervisor.refusal is not None:
            raise ConfigError(supervisor.refusal)
    return 0


def _announce(config: Config, slots: int, status: str) -> None:
    """One line for people; where standard error is a stream of JSON lines, it is the text of one."""
    workers = "1 worker" if slots == 1 else f"{slots} workers"
    line = f"pyregistry {__version__}: {status}; root {config.storage.root.resolve()}, {workers}, {_names(config)}"
    if config.log.format == "json" and not sys.stderr.isatty():
        logger.info(line)
    else:
        sys.stderr.write(line + "\n")


def _names(config: Config) -> str:
    """Which names are answered for."""
    upstreams, hosted = config.mirror.upstreams, config.hosted_names
    said = []
    if upstreams is None or upstreams:
        said.append("mirroring " + ("the well-known registries" if upstreams is None else ", ".join(upstreams)))
    if hosted:
        said.append("hosting " + ("every name" if hosted == ("*",) else ", ".join(hosted)))
    return ", ".join(said) or "mirroring and hosting nothing"
