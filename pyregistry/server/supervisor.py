"""Main's loop: keeps one worker alive in every slot until told to stop.

One thread, one selector: signals, the workers' deaths (pidfd) and words (pipe), and the clock. Workers are spawned from
this thread and no other, because the kernel's "kill me when my parent dies" means the thread that spawned.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pyregistry.server.handover import Handover
from pyregistry.server.notify import notify
from pyregistry.server.slot import Slot, State, Timing, end_of
from pyregistry.telemetry import metrics as telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pyregistry.server.heartbeat import Heartbeats
    from pyregistry.server.listeners import Listeners

logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
#: Not for workers: main's own dealings, and settings (secrets among them) that they are handed otherwise.
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "PROMETHEUS_MULTIPROC_DIR", "PYREGISTRY_")


class Supervisor:
    """Runs the workers of one server."""

    def __init__(
        self,
        slots: int,
        *,
        command: Sequence[str],
        config: int,
        listeners: Listeners,
        heartbeats: Heartbeats,
        run: Path,
        drain: float,
        status: str = "",
        timing: Timing | None = None,
    ) -> None:
        """`command` takes a `Handover`'s arguments; `config` is the memory file's descriptor, `run` the folder of
        counters; `status` is told to the service manager."""
        self.refusal: str | None = None  #: why the first start came to nothing
        self.stopping = False
        self._slots = [Slot(number) for number in range(slots)]
        self._command = command
        self._config = config
        self._listeners = listeners
        self._heartbeats = heartbeats
        self._run = run
        self._drain = drain
        self._status = status
        self._timing = timing or Timing()
        self._metrics = telemetry.current()
        self._selector = selectors.DefaultSelector()
        self._awake_since = self._ticked = time.monotonic()
        self._deadline = float("inf")
        self._ever_ready = False
        self._announced = False

    def run(self) -> None:
        """Returns when all workers have ended after SIGTERM or SIGINT, or after a first start that was refused."""
        with self._signals():
            for slot in self._slots:
                self._spawn(slot)
            while any(slot.state is not State.STOPPED for slot in self._slots):
                for key, _ in self._selector.select(self._patience()):
                    react: Callable[[], None] = key.data
                    react()
                self._tick(time.monotonic())
        self._selector.close()

    def report(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether some worker answers requests, and each slot's state. For other threads: reads, and no more."""
        now = time.monotonic()
        answers = False
        slots = []
        for slot in self._slots:
            beat = self._heartbeats.last(slot.number)
            age = None if beat is None else round(now - beat, 3)
            answers |= slot.state is State.READY and age is not None and age <= self._timing.heartbeat
            slots.append(
                {
                    "slot": slot.number,
                    "state": slot.state.value,
                    "pid": slot.pid,
                    "restarts": slot.restarts,
                    "heartbeat_age": age,
                }
            )
        return answers and not self.stopping, slots

    def _spawn(self, slot: Slot) -> None:
        slot.killed, slot.words = False, bytearray()
        self._heartbeats.clear(slot.number)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        slot.spawned_at = time.monotonic()
        try:
            handover = Handover(slot.number, os.getpid(), self._config, self._listeners.open(slot.number), theirs)
            environment = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
            # A worker begins with these signals blocked: one that comes before its handlers are set is not lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                slot.process = subprocess.Popen(
                    [*self._command, *handover.arguments],
                    stdin=subprocess.DEVNULL,
                    pass_fds=handover.descriptors,
                    env=environment,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        except OSError as error:
            os.close(ours)
            logger.error("worker %d cannot be started: %s", slot.number, error)
            self._wait(slot)
            return
        finally:
            os.close(theirs)
        slot.state = State.STARTING
        slot.status = ours
        slot.pidfd = os.pidfd_open(slot.process.pid)
        self._selector.register(slot.status, selectors.EVENT_READ, partial(self._hear, slot))
        self._selector.register(slot.pidfd, selectors.EVENT_READ, partial(self._bury, slot))
        logger.info("worker %d started, process %d", slot.number, slot.process.pid)

    def _hear(self, slot: Slot) -> None:
        if slot.status == -1:  # buried by an earlier event of the same turn
            return
        try:
            data = os.read(slot.status, 65536)
        except BlockingIOError:
            return
        if not data:
            self._deafen(slot)
        for word, text in slot.hear(data):
            if word == "ready":
                self._ready(slot)
            elif word == "refused" and not self._ever_ready:
                self.refusal = self.refusal or text
                self._stop()
            else:
                logger.error("worker %d: %s", slot.number, text)

    def _deafen(self, slot: Slot) -> None:
        self._selector.unregister(slot.status)
        os.close(slot.status)
        slot.status = -1

    def _ready(self, slot: Slot) -> None:
        slot.state = State.READY
        self._ever_ready = True
        logger.info("worker %d ready after %.2f s", slot.number, time.monotonic() - slot.spawned_at)
        self._count()
        if not self._announced and all(other.state is State.READY for other in self._slots):
            self._announced = True
            logger.info("all %d workers ready", len(self._slots))
            notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={self._status}")

    def _bury(self, slot: Slot) -> None:
        if slot.process is None or slot.process.poll() is None:
            return
        self._hear(slot)  # its last words
        if slot.status != -1:
            self._deafen(slot)
        end, lived, pid = end_of(slot.process.returncode), time.monotonic() - slot.spawned_at, slot.process.pid
        self._selector.unregister(slot.pidfd)
        os.close(slot.pidfd)
        slot.process, slot.pidfd = None, -1
        self._heartbeats.clear(slot.number)
        try:
            telemetry.forget(self._run, slot.number)
        except OSError as error:  # a root that became read-only must not end those who still serve from it
            logger.warning("gauges of worker %d stay as they are: %s", slot.number, error)
        if self.stopping:
            slot.state = State.STOPPED
            logger.info("worker %d ended (process %d, %s)", slot.number, pid, end)
        else:
            logger.warning("worker %d died after %.1f s (process %d, %s)", slot.number, lived, pid, end)
            self._wait(slot)
        self._count()

    def _wait(self, slot: Slot) -> None:
        delay = slot.died(time.monotonic(), self._timing)
        if delay:
            closed = delay > self._timing.patience and self._listeners.give_up(slot.number)
            elsewhere = ", its share of new connections goes to the others" if closed else ""
            logger.warning("worker %d is started again in %g s%s", slot.number, delay, elsewhere)

    def _tick(self, now: float) -> None:
        if now - self._ticked > 5 * self._timing.tick:  # we were stopped (a paused container), so workers were too
            self._awake_since = now
        self._ticked = now
        for slot in self._slots:
            if slot.state is State.WAITING and slot.restart_at <= now:
                slot.restarts += 1
                self._metrics.worker_restarted(slot.number)
                self._spawn(slot)
                continue
            beat = self._heartbeats.last(slot.number)
            if (age := slot.late(now, beat, self._awake_since, self._timing)) is not None:
                slot.killed = True
                logger.error("worker %d is killed: no heartbeat for %.1f s", slot.number, age)
                self._signal(slot, signal.SIGKILL)
        if now >= self._deadline:
            self._deadline = float("inf")
            self._kill("they did not end in time")

    def _patience(self) -> float:
        now = time.monotonic()
        due = [slot.restart_at for slot in self._slots if slot.state is State.WAITING]
        return max(0.0, min(self._ticked + self._timing.tick, self._deadline, *due) - now)

    def _stop(self) -> None:
        """Workers drain; those that wait for a new life do not get one."""
        self.stopping = True
        notify("STOPPING=1")
        self._listeners.close()
        self._deadline = time.monotonic() + self._drain + self._timing.grace
        for slot in self._slots:
            if slot.process is None:
                slot.state = State.STOPPED
            else:
                self._signal(slot, signal.SIGTERM)

    def _kill(self, reason: str) -> None:
        living = [slot for slot in self._slots if slot.process is not None]
        logger.warning("%d workers are killed: %s", len(living), reason)
        for slot in living:
            self._signal(slot, signal.SIGKILL)

    def _signal(self, slot: Slot, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(slot.pidfd, number)

    def _count(self) -> None:
        self._metrics.workers_ready.set(sum(slot.state is State.READY for slot in self._slots))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        before = {number: signal.signal(number, _noted) for number in _SIGNALS}
        wakeup = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ, partial(self._told, receiver))
        try:
            yield
        finally:
            self._selector.unregister(receiver)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            receiver.close()
            sender.close()

    def _told(self, receiver: socket.socket) -> None:
        for number in receiver.recv(4096):
            if number not in _SIGNALS:
                continue
            if not self.stopping:
                logger.info("%s: responses may run on for %g s", signal.Signals(number).name, self._drain)
                self._stop()
            else:
                self._kill(f"{signal.Signals(number).name} came again")


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor tells; a handler must be there for it to."""
