"""The scripted upstream as tests see it, in this process or in one of its own."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from tests.support.blobs import Blob
from tests.support.images import Image
from tests.support.upstream.counters import Counters
from tests.support.upstream.faults import Action, Corrupt, Fault, Hold, Match
from tests.support.upstream.journal import Record
from tests.support.upstream.requests import Kind, Place

TIMEOUT = 30.0
"""Seconds that waits last at most: long enough for a busy machine; a test that needs it has failed."""


class Upstream(ABC):
    # Contents

    @abstractmethod
    def add(self, repository: str, image: Image, *tags: str) -> None:
        """An image (index, artifact) with everything in it, under these tags."""

    @abstractmethod
    def add_blob(self, repository: str, blob: Blob) -> None: ...

    @abstractmethod
    def tag(self, repository: str, tag: str, digest: str | None) -> None:
        """Points the tag at a digest; None removes it."""

    @abstractmethod
    def remove(self, repository: str, digest: str | None = None) -> None:
        """Removes a blob or a manifest with its tags; without a digest the whole repository."""

    # Behaviour

    @abstractmethod
    def configure(self, **changes: Any) -> None:
        """Changes fields of `Settings`; also for bodies under way (rates)."""

    @abstractmethod
    def add_fault(self, fault: Fault) -> int:
        """Its number, for `remove_fault` and `spent`."""

    @abstractmethod
    def remove_fault(self, number: int | None = None) -> None:
        """One fault, or all."""

    @abstractmethod
    def spent(self, number: int) -> int:
        """How many requests met the fault."""

    @abstractmethod
    def release(self, gate: str) -> None:
        """Opens a gate, for those who wait and those to come."""

    @abstractmethod
    def shut(self, gate: str) -> None:
        """Shuts a gate again."""

    @abstractmethod
    def expire_tokens(self) -> None:
        """Every token given so far is good no more."""

    @abstractmethod
    def expire_addresses(self) -> None:
        """Every signed address given so far is good no more."""

    @abstractmethod
    def down(self) -> None:
        """Connections are reset and new ones refused, until `up`."""

    @abstractmethod
    def up(self) -> None: ...

    # What happened

    @abstractmethod
    def address(self, place: Place) -> str:
        """http(s)://host:port of a place."""

    @abstractmethod
    def records(self) -> list[Record]: ...

    @abstractmethod
    def forget(self) -> None:
        """Begins a new record of requests."""

    @abstractmethod
    def wait_sent(self, digest: str, count: int, timeout: float = TIMEOUT) -> None:
        """Returns when `count` body bytes of the content were sent, over all requests since `forget`."""

    @abstractmethod
    def wait_held(self, gate: str, count: int = 1, timeout: float = TIMEOUT) -> None:
        """Returns when `count` answers wait at the gate."""

    @abstractmethod
    def wait_requests(self, match: Match, count: int = 1, timeout: float = TIMEOUT, *, ended: bool = False) -> None:
        """Returns when `count` such requests have come in, or have `ended`."""

    @abstractmethod
    def close(self) -> None: ...

    # In terms of the above

    @property
    def url(self) -> str:
        return self.address(Place.REGISTRY)

    @property
    def host(self) -> str:
        """host:port, as image names have it."""
        return self.url.partition("//")[2]

    def once(self, match: Match, *actions: Action) -> int:
        return self.add_fault(Fault(match, actions))

    def times(self, times: int, match: Match, *actions: Action) -> int:
        return self.add_fault(Fault(match, actions, times))

    def always(self, match: Match, *actions: Action) -> int:
        return self.add_fault(Fault(match, actions, None))

    def hold(self, digest: str, at: int, gate: str = "hold") -> str:
        """Every body of the content waits at the gate before byte `at`."""
        self.always(Match("GET", reference=digest), Hold(at, gate))
        return gate

    def corrupt(self, digest: str, offset: int, times: int | None = None) -> int:
        """Bodies of the content carry a wrong byte."""
        return self.add_fault(Fault(Match("GET", reference=digest), (Corrupt(offset),), times))

    def counters(self) -> Counters:
        return Counters(self.records())

    def gets(self, reference: str | None = None, kind: Kind | None = None) -> int:
        return self.counters().gets(reference, kind)

    def heads(self, reference: str | None = None, kind: Kind | None = None) -> int:
        return self.counters().heads(reference, kind)

    def tokens(self) -> int:
        return self.counters().tokens()

    def body_bytes(self, reference: str | None = None) -> int:
        return self.counters().body_bytes(reference)

    def ranges(self, digest: str) -> list[tuple[int, int]]:
        return self.counters().ranges(digest)

    def overlap(self, digest: str) -> int:
        return self.counters().overlap(digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
