"""Bandwidth limits, smooth over milliseconds."""

import threading
import time

STEP = 0.004
"""Seconds of a limit's bytes that are sent at once, by all connections together."""
SLACK = 0.010
"""Seconds of lateness that may be caught up."""
LARGEST = 256 << 10
SMALLEST = 2 << 10


class Bucket:
    """Hands out times at which bytes may go, in the order asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0
        self._users = 0

    def join(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1

    def piece(self, rate: float) -> int:
        """Bytes to ask for at once."""
        return int(max(SMALLEST, min(LARGEST, rate * STEP / max(1, self._users))))

    def turn(self, count: int, rate: float) -> float:
        """When `count` bytes may go: a time.monotonic()."""
        with self._lock:
            now = time.monotonic()
            begin = self._next if self._next > now - SLACK else now
            self._next = begin + count / rate
            return begin
