"""The base URLs of one upstream in their order: which of them is asked, and whether any is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pyregistry.mirror.endpoint import Endpoint

T = TypeVar("T")

#: Failures of one base URL after which the next is asked.
_ELSEWHERE = frozenset({Cause.UNREACHABLE, Cause.TIMEOUT, Cause.PROTOCOL, Cause.RATE_LIMITED})


class Bases:
    """At least one."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = endpoints

    @property
    def shut(self) -> int:
        """How many are not asked now."""
        return sum(endpoint.breaker.is_open for endpoint in self.endpoints)

    def refusal(self) -> Failure | None:
        """Why none is asked now; None: ask."""
        refused: Failure | None = None
        for endpoint in self.endpoints:
            refused = endpoint.breaker.refusal()
            if refused is None:
                return None
        return refused

    def doubt(self) -> Failure | None:
        """Why an answer is not to be waited for where there is another: the last request failed, or is overdue."""
        return self._next().breaker.doubt()

    def overdue(self, failure: Failure) -> None:
        """A request has taken longer than its client would wait."""
        self._next().breaker.overdue(failure)

    async def ask(self, ask: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Asks one after the other while they are down or limit us; the last failure is raised."""
        *others, last = self.endpoints
        for endpoint in others:
            try:
                return await ask(endpoint)
            except Failure as failure:
                if failure.cause not in _ELSEWHERE and (failure.status or 0) < 500:
                    raise
        return await ask(last)

    def index(self, first: int) -> int:
        """Which to ask for a body: `first` (wrapped around), or the next that is asked at all. Raises Failure."""
        refused: Failure | None = None
        for step in range(len(self.endpoints)):
            index = (first + step) % len(self.endpoints)
            refused = self.endpoints[index].breaker.refusal()
            if refused is None:
                return index
        assert refused is not None
        raise refused

    async def close(self) -> None:
        """Ends their probing."""
        for endpoint in self.endpoints:
            await endpoint.breaker.close()

    def _next(self) -> Endpoint:
        return next((one for one in self.endpoints if not one.breaker.is_open), self.endpoints[0])
