"""One worker's place: its process, what it said, and when it is started again. Decides; does no I/O of its own."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


@dataclass(frozen=True, slots=True)
class Timing:
    """The supervision's times, in seconds."""

    #: A ready worker whose heartbeat is this old is killed.
    heartbeat: float = 30.0
    #: The same until it is ready.
    startup: float = 60.0
    #: Before a worker is started again: after its first death, its second, …; the last one goes on.
    backoff: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    #: A worker that lived this long has no deaths before it.
    settled: float = 60.0
    #: A slot that waits longer than this for its worker gives up its socket.
    patience: float = 1.0
    #: After SIGTERM, how long workers may take beyond `http.drain`.
    grace: float = 10.0
    #: Between two looks at heartbeats.
    tick: float = 1.0


class State(Enum):
    """What a slot's worker is doing."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  #: dead, to be started again at `restart_at`
    STOPPED = "stopped"  #: dead, for good


@dataclass(slots=True)
class Slot:
    """One worker's place."""

    number: int
    state: State = State.STOPPED
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    status: int = -1
    spawned_at: float = 0.0
    restart_at: float = 0.0
    deaths: int = 0  #: in a row, without a settled life between them
    restarts: int = 0
    killed: bool = False  #: we killed it, for its heartbeat
    words: bytearray = field(default_factory=bytearray)  #: what it said and we did not read yet

    @property
    def pid(self) -> int | None:
        """Of the living worker."""
        return self.process.pid if self.process else None

    def hear(self, data: bytes) -> list[tuple[str, str]]:
        """Takes bytes of the status pipe; the complete lines in them, as word and text."""
        self.words += data
        *lines, rest = bytes(self.words).split(b"\n")
        self.words[:] = rest
        heard = []
        for line in lines:
            word, _, text = line.decode("utf-8", "replace").partition(" ")
            heard.append((word, text))
        return heard

    def late(self, now: float, last_beat: float | None, awake_since: float, timing: Timing) -> float | None:
        """How long its heartbeat has been missing, if that is too long. Time in which main itself did not run does not
        count: then nobody did."""
        if self.process is None or self.killed:
            return None
        age = now - max(last_beat or 0.0, self.spawned_at, awake_since)
        return age if age > (timing.heartbeat if self.state is State.READY else timing.startup) else None

    def died(self, now: float, timing: Timing) -> float:
        """Its process ended; how long to wait before the next."""
        if now - self.spawned_at >= timing.settled:
            self.deaths = 0
        delay = timing.backoff[min(self.deaths, len(timing.backoff) - 1)]
        self.deaths += 1
        self.state = State.WAITING
        self.restart_at = now + delay
        return delay


def end_of(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
