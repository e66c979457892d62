"""Everything the upstream was asked and sent, and waiting for it to happen."""

import copy
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.upstream.answers import Answer
from tests.support.upstream.faults import Match
from tests.support.upstream.requests import Request


@dataclass
class Record:
    """One request. Times are time.monotonic(), which all processes of a machine share."""

    number: int
    request: Request
    started: float
    """When its head had been read."""
    status: int = 0
    """0: not answered yet, or never."""
    digest: str | None = None
    """Of the content the answer carries."""
    begin: int = 0
    """Offset in the content of the body's first byte."""
    length: int = 0
    """Bytes of the body, framing not counted, if sent whole."""
    sent: int = 0
    """Of those, handed to the kernel so far; a piece counts just before, so that no client sees more. HEAD: 0."""
    headed: float | None = None
    """When status line and headers were sent."""
    first_byte: float | None = None
    """When the first bytes of the body were sent."""
    ended: float | None = None
    finished: bool = False
    """Ended with everything sent; False after `ended`: cut, or the client left."""
    held: str | None = None
    """The gate it waits at now."""
    ending: bool = False
    """The last byte is being handed over; `ended` follows."""


class Journal:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._sent: Counter[str] = Counter()
        self._numbers = itertools.count(1)

    def begin(self, request: Request) -> Record:
        record = Record(next(self._numbers), request, time.monotonic())
        with self._changed:
            self._records.append(record)
            self._changed.notify_all()
        return record

    def answered(self, record: Record, answer: Answer) -> None:
        with self._changed:
            record.status, record.digest, record.begin = int(answer.status), answer.digest, answer.begin
            record.length = answer.end - answer.begin if record.request.method != "HEAD" else 0
            record.ending = record.length == 0 and not answer.stops

    def headed(self, record: Record) -> None:
        record.headed = time.monotonic()

    def sending(self, record: Record, count: int, *, last: bool) -> None:
        with self._changed:
            record.sent += count
            record.ending = last

    def sent(self, record: Record, count: int, tried: int) -> None:
        """Of the `tried` bytes that `sending` counted, the kernel took `count`."""
        now = time.monotonic()
        with self._changed:
            if count < tried:
                record.sent -= tried - count
                record.ending = False
            if count:
                record.first_byte = record.first_byte or now
            if record.digest is not None:
                self._sent[record.digest] += count
            self._changed.notify_all()

    def held(self, record: Record, gate: str | None) -> None:
        with self._changed:
            record.held = gate
            self._changed.notify_all()

    def ended(self, record: Record, *, finished: bool) -> None:
        with self._changed:
            record.ended, record.finished, record.held = time.monotonic(), finished, None
            self._changed.notify_all()

    def records(self) -> list[Record]:
        with self._changed:
            # A client may know the end of an answer microseconds before we have written it down.
            self._changed.wait_for(lambda: not any(r.ending and r.ended is None for r in self._records), 2)
            return [copy.copy(record) for record in self._records]

    def forget(self) -> None:
        """Forgets the past; requests under way are forgotten too."""
        with self._changed:
            self._records.clear()
            self._sent.clear()

    def wait_sent(self, digest: str, count: int, timeout: float) -> None:
        self._wait(lambda: self._sent[digest] >= count, timeout, f"{count} bytes of {digest} sent")

    def wait_held(self, gate: str, count: int, timeout: float) -> None:
        self._wait(lambda: sum(r.held == gate for r in self._records) >= count, timeout, f"{count} held at {gate!r}")

    def wait_requests(self, match: Match, count: int, timeout: float, *, ended: bool) -> None:
        def seen() -> bool:
            found = (r for r in self._records if match.covers(r.request) and (r.ended is not None or not ended))
            return sum(1 for _ in found) >= count

        self._wait(seen, timeout, f"{count} requests {'ended' if ended else 'begun'} for {match}")

    def _wait(self, happened: Callable[[], bool], timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(happened, timeout):
                seen = "\n".join(
                    f"  {r.request.method} {r.request.target} -> {r.status}, {r.sent} of {r.length} bytes"
                    for r in self._records[-20:]
                )
                raise TimeoutError(f"not within {timeout} s: {what}. Last requests:\n{seen}")
