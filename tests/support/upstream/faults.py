"""Faults as data: which requests, how often, what goes wrong with their answers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import ClassVar

from tests.support.upstream.answers import Answer, Ending, Framing, Stop, error
from tests.support.upstream.requests import Kind, Place, Request


@dataclass(frozen=True)
class Match:
    """Which requests: every field that is set must agree."""

    method: str | None = None
    kind: Kind | None = None
    repository: str | None = None
    reference: str | None = None
    """A tag or digest as it stands in the path."""
    place: Place | None = None
    ranged: bool | None = None
    """Whether there is a Range header."""
    authorized: bool | None = None
    """Whether there is an Authorization header."""

    def covers(self, request: Request) -> bool:
        def agree(wanted: object, actual: object) -> bool:
            return wanted is None or wanted == actual

        return (
            agree(self.method, request.method)
            and agree(self.kind, request.kind)
            and agree(self.repository, request.repository)
            and agree(self.reference, request.reference)
            and agree(self.place, request.place)
            and agree(self.ranged, request.header("range") is not None)
            and agree(self.authorized, request.authorization is not None)
        )


@dataclass(frozen=True)
class Action:
    """One thing that goes wrong. Those `of_content` meet only answers that carry a blob or manifest, never a challenge,
    a redirect or an error, so a cut is not used up by the 401 before it."""

    of_content: ClassVar[bool] = True

    def apply(self, answer: Answer) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Fault:
    """`actions` for the next `times` requests that match; `times=None`: for all of them, always.

    Every lasting fault that matches applies; of those with times left, the first that was added.
    """

    match: Match
    actions: tuple[Action, ...]
    times: int | None = 1

    def covers(self, request: Request, answer: Answer) -> bool:
        if any(action.of_content for action in self.actions) and answer.digest is None:
            return False
        return self.match.covers(request)


@dataclass(frozen=True)
class Reply(Action):
    """Another answer instead, whatever it would have been."""

    of_content: ClassVar[bool] = False
    status: int
    code: str = "UNKNOWN"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def apply(self, answer: Answer) -> None:
        answer.become(error(self.status, self.code, headers=self.headers))
        if self.body is not None:
            answer.content = self.body


def too_many(retry_after: float | None = None, *, as_date: bool = False) -> Reply:
    """429 with Retry-After in seconds or, `as_date`, as the date that many seconds ahead (whole ones)."""
    if retry_after is None:
        return Reply(429, "TOOMANYREQUESTS")
    value = formatdate(time.time() + retry_after, usegmt=True) if as_date else f"{retry_after:g}"
    return Reply(429, "TOOMANYREQUESTS", (("Retry-After", value),))


@dataclass(frozen=True)
class Delay(Action):
    """Seconds before the status line, beside the upstream's latency."""

    of_content: ClassVar[bool] = False
    seconds: float

    def apply(self, answer: Answer) -> None:
        answer.delay += self.seconds


@dataclass(frozen=True)
class Wait(Action):
    """Waits at `gate` before the status line."""

    of_content: ClassVar[bool] = False
    gate: str = "wait"

    def apply(self, answer: Answer) -> None:
        answer.gate = self.gate


@dataclass(frozen=True)
class Silence(Action):
    """Takes the request and never answers."""

    of_content: ClassVar[bool] = False

    def apply(self, answer: Answer) -> None:
        answer.silent = True


@dataclass(frozen=True)
class Headers(Action):
    """Sets headers (None: leaves one out). A Content-Length or Content-Range of one's own is sent as it is."""

    of_content: ClassVar[bool] = False
    values: Mapping[str, str | None]

    def apply(self, answer: Answer) -> None:
        answer.replaced.update({name.lower(): value for name, value in self.values.items()})


@dataclass(frozen=True)
class Lines(Action):
    """These bytes among the headers, each line with its own end: what no header may look like."""

    of_content: ClassVar[bool] = False
    data: bytes

    def apply(self, answer: Answer) -> None:
        answer.lines += self.data


@dataclass(frozen=True)
class Head(Action):
    """These bytes in place of status line and headers."""

    of_content: ClassVar[bool] = False
    data: bytes

    def apply(self, answer: Answer) -> None:
        answer.head = self.data


@dataclass(frozen=True)
class Cut(Action):
    """Ends the connection after so many body bytes of this answer; a reset waits until the client's kernel has them."""

    after: int
    ending: Ending = Ending.RST

    def apply(self, answer: Answer) -> None:
        answer.stops.append(Stop(self.after, ending=self.ending))


@dataclass(frozen=True)
class Hang(Action):
    """Ends the connection in place of an answer."""

    of_content: ClassVar[bool] = False
    ending: Ending = Ending.RST

    def apply(self, answer: Answer) -> None:
        answer.head = b""
        answer.stops.append(Stop(0, ending=self.ending))


@dataclass(frozen=True)
class Stall(Action):
    """Waits at `gate` after so many body bytes of this answer."""

    after: int
    gate: str = "stall"

    def apply(self, answer: Answer) -> None:
        answer.stops.append(Stop(self.after, gate=self.gate))


@dataclass(frozen=True)
class Hold(Action):
    """Waits at `gate` before the content's byte `at`, in every answer that would send it."""

    at: int
    gate: str = "hold"

    def apply(self, answer: Answer) -> None:
        if answer.begin <= self.at <= answer.end:
            answer.stops.append(Stop(self.at - answer.begin, gate=self.gate))


@dataclass(frozen=True)
class Corrupt(Action):
    """Flips bits of the content's byte `offset`, in every answer that sends it."""

    offset: int
    mask: int = 0xFF

    def apply(self, answer: Answer) -> None:
        answer.flips[self.offset] = self.mask


@dataclass(frozen=True)
class Slow(Action):
    """Bytes per second of this body, beside the upstream's own limits."""

    rate: float

    def apply(self, answer: Answer) -> None:
        answer.rate = self.rate


@dataclass(frozen=True)
class IgnoreRange(Action):
    """200 and everything, as if no Range had been sent."""

    def apply(self, answer: Answer) -> None:
        if answer.part:
            answer.part, answer.status = None, 200


@dataclass(frozen=True)
class Length(Action):
    """Announces a Content-Length that is `by` bytes too large; negative: more comes than announced."""

    by: int

    def apply(self, answer: Answer) -> None:
        answer.replaced["content-length"] = str(answer.end - answer.begin + self.by)


@dataclass(frozen=True)
class Misplace(Action):
    """The bytes asked for, with a Content-Range `by` bytes further on, of a whole that is `grow` bytes larger."""

    by: int = 0
    grow: int = 0

    def apply(self, answer: Answer) -> None:
        if answer.part:
            first, last = answer.begin + self.by, answer.end - 1 + self.by
            answer.replaced["content-range"] = f"bytes {first}-{last}/{len(answer.content) + self.grow}"


@dataclass(frozen=True)
class Clip(Action):
    """No more than `most` bytes of a range, honestly announced: a server may (RFC 9110 section 15.3.7)."""

    most: int

    def apply(self, answer: Answer) -> None:
        if answer.part:
            answer.part = (answer.begin, min(answer.end, answer.begin + self.most))


@dataclass(frozen=True)
class Frame(Action):
    """No Content-Length: chunked, or the body ends with the connection."""

    framing: Framing = Framing.CHUNKED

    def apply(self, answer: Answer) -> None:
        answer.framing = self.framing


NO_BLOB_HEAD = Match("HEAD", Kind.BLOB)
"""With `Reply(401)`, `Reply(404)` or `Reply(405)`: what ECR Public and others do."""
