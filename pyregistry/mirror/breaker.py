"""The circuit breaker of one base URL: after some failures in a row it is not asked any more until a probe finds it up.

Failures are no connection, no answer in time, and 5xx; those for one and the same thing count once as long as nothing
else fails, since they tell of that thing. An answer ends the count. Open: everybody is refused at once, in all workers;
one process waits out the pause and asks for `/v2/`, with pauses that double. After a good answer requests pass again,
on trial: the next failure opens it anew. A 429 opens it for as long as its Retry-After says, and needs no probe.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyregistry._native import Lock
    from pyregistry.config import BreakerConfig
    from pyregistry.mirror.trouble import TroubleFile

log = logging.getLogger(__name__)

_DOWN = frozenset({Cause.UPSTREAM, Cause.UNREACHABLE, Cause.TIMEOUT})
#: Seconds after a failure in which it is remembered without another.
MEMORY = 60.0
#: The longest that a limit holds, whatever upstream wishes (as `single_flight`).
LONGEST_LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens, and for how long; times in seconds."""

    failures: int
    pause: float
    longest_pause: float

    @classmethod
    def of(cls, config: BreakerConfig) -> BreakerRules:
        """From the configuration."""
        return cls(config.failures, config.pause.total_seconds(), config.longest_pause.total_seconds())


class Breaker:
    """Safe for any number of tasks of one loop; workers share its state through the file."""

    def __init__(
        self,
        upstream: str,
        base: str,
        rules: BreakerRules,
        *,
        file: TroubleFile,
        lock: Callable[[], Lock | None],
        probe: Callable[[], Awaitable[Failure | None]],
        on_change: Callable[[], None],
    ) -> None:
        """`lock` gives the lock of whoever looks after it while it is open, None while another process has it; `probe`
        asks once and answers how it failed; `on_change` is told when it has opened or closed."""
        self._upstream = upstream
        self._base = base
        self._rules = rules
        self._file = file
        self._lock = lock
        self._probe = probe
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not asked now."""
        return self._opened(self._file.read())

    def doubt(self) -> Failure | None:
        """The last that was heard of it, not long ago, if that was a failure or nothing at all."""
        trouble = self._file.read()
        if trouble is None or trouble.trial or not self._recent(trouble):
            return None
        return Failure(trouble.cause, trouble.message, status=trouble.status)

    def refusal(self) -> Failure | None:
        """Why it is not asked now; None: ask."""
        trouble = self._file.read()
        if trouble is None or not self._opened(trouble):
            return None
        now = time.time()
        if now >= trouble.until:
            # A probe is due. Whoever should see to it may have died with its server: then the request goes ahead.
            lock = self._lock()
            if lock is not None:
                with lock:
                    self._on_trial(trouble)
                return None
        wait = max(trouble.until - now, 0.0)
        where = f"upstream {self._upstream} ({self._base})"
        what = "wants no requests" if trouble.is_limit else f"is not asked: {trouble.failures} failures in a row"
        return Failure(
            trouble.cause,
            f"{where} {what}; next try in {wait:.0f} s (last: {trouble.message})",
            status=trouble.status,
            retry_after=max(wait, 1.0),
        )

    def check(self) -> None:
        """Raises why it is not asked now."""
        refused = self.refusal()
        if refused is not None:
            raise refused

    def answered(self, asked: float | None = None) -> None:
        """It gave an answer that is no failure of its own. `asked`: when, if that was long before its end (bodies):
        then it tells nothing of a failure since."""
        trouble = self._file.read()
        if trouble is None or (asked is not None and trouble.last > asked):
            return
        if trouble.is_limit and self._opened(trouble):
            return  # what was under way already says nothing of a limit
        self._file.clear()
        if trouble.until:
            self._closed("it answers again")

    def failed(self, failure: Failure, asked: str) -> None:
        """A request for `asked` failed; what is no fault of the host (404, 401) is an answer."""
        if failure.cause is Cause.RATE_LIMITED:
            self._limited(failure)
        elif failure.cause in _DOWN and failure.status != 501:
            self._count(failure, asked)
        else:
            self.answered()

    def overdue(self, failure: Failure) -> None:
        """A request has taken longer than a client would wait; it may still be answered."""
        trouble = self._file.read()
        now = time.time()
        if trouble is None or not self._recent(trouble):
            self._file.write(Trouble(self._upstream, self._base, now, now).of(failure))

    async def close(self) -> None:
        """Ends the probing; another process goes on with it, or the next one that asks."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @staticmethod
    def _opened(trouble: Trouble | None) -> bool:
        if trouble is None or not trouble.until:
            return False
        left = trouble.until - time.time()
        # A clock that was set back must not keep it open.
        return 0 < left <= LONGEST_LIMIT if trouble.is_limit else left <= LONGEST_LIMIT

    @staticmethod
    def _recent(trouble: Trouble) -> bool:
        return bool(trouble.until) or trouble.trial or abs(time.time() - trouble.last) < MEMORY

    def _count(self, failure: Failure, asked: str) -> None:
        trouble = self._file.read()
        now = time.time()
        if trouble is None or not self._recent(trouble) or (trouble.is_limit and not self._opened(trouble)):
            trouble = Trouble(self._upstream, self._base, now, now)
        if trouble.until:
            return  # of a request that was under way when it opened
        repeated = failure.cause is Cause.UPSTREAM and trouble.asked == asked
        failures = trouble.failures + (not repeated)
        trouble = replace(trouble.of(failure), last=now, failures=failures, asked=asked, trial=False)
        if failures < self._rules.failures or repeated:
            self._file.write(trouble)
            return
        self._open(trouble, min(trouble.pause * 2 or self._rules.pause, self._rules.longest_pause))

    def _limited(self, failure: Failure) -> None:
        now = time.time()
        trouble = self._file.read()
        if trouble is None or not self._recent(trouble):
            trouble = Trouble(self._upstream, self._base, now, now)
        pause = failure.retry_after
        if pause is None:
            pause = self._rules.pause
        pause = min(pause, LONGEST_LIMIT)
        if trouble.is_limit and trouble.until >= now + pause:
            return
        self._open(replace(trouble.of(failure), last=now), pause)

    def _open(self, trouble: Trouble, pause: float) -> None:
        already = self._opened(trouble)
        opened = replace(trouble, until=time.time() + pause, pause=0.0 if trouble.is_limit else pause)
        self._file.write(opened)
        if not already:
            log.warning(
                "upstream %s (%s) is not asked for %.1f s: %s", self._upstream, self._base, pause, trouble.message
            )
            self._on_change()
        if self._task is None or self._task.done():
            lock = self._lock()
            if lock is not None:
                self._task = asyncio.get_running_loop().create_task(self._watch())
                # Not in the task: one that is cancelled before it began would keep it.
                self._task.add_done_callback(lambda _: lock.release())

    def _on_trial(self, trouble: Trouble) -> None:
        if trouble.is_limit:
            self._file.clear()
        else:
            self._file.write(replace(trouble, until=0.0, trial=True, failures=self._rules.failures - 1))
        self._closed("it is asked again")

    def _closed(self, why: str) -> None:
        log.warning("upstream %s (%s): %s", self._upstream, self._base, why)
        self._on_change()

    async def _watch(self) -> None:
        """Waits out the pauses and probes, until it is closed."""
        while (trouble := self._file.read()) is not None and trouble.until:
            wait = trouble.until - time.time()
            if 0 < wait <= LONGEST_LIMIT:
                await asyncio.sleep(wait)
                continue  # it may have been put off meanwhile
            failure = None if trouble.is_limit else await self._probe()
            if self._file.read() != trouble:
                continue
            if failure is None:
                self._on_trial(trouble)
            elif failure.cause is Cause.RATE_LIMITED:
                self._limited(failure)
            else:
                pause = min(trouble.pause * 2 or self._rules.pause, self._rules.longest_pause)
                self._file.write(replace(trouble.of(failure), until=time.time() + pause, pause=pause))
