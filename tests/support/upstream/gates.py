"""Named gates at which answers wait until a test opens them."""

import os
import threading


class Gates:
    """Every gate is shut until it is opened; shutting it again holds later comers only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, int] = {}
        self._opened: set[str] = set()
        self._old: list[int] = []

    def descriptor(self, name: str) -> int | None:
        """What becomes readable when the gate opens; None if it stands open."""
        with self._lock:
            if name in self._opened:
                return None
            if name not in self._gates:
                self._gates[name] = os.eventfd(0)
            return self._gates[name]

    def open(self, name: str) -> None:
        with self._lock:
            self._opened.add(name)
            gate = self._gates.pop(name, None)
            if gate is not None:
                # Never read, so every waiter sees it; closed when nobody can wait any more.
                os.eventfd_write(gate, 1)
                self._old.append(gate)

    def shut(self, name: str) -> None:
        with self._lock:
            self._opened.discard(name)

    def close(self) -> None:
        """For when nobody waits any more."""
        with self._lock:
            for gate in (*self._gates.values(), *self._old):
                os.close(gate)
            self._gates.clear()
            self._old.clear()
