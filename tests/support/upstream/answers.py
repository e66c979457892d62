"""An answer before it is sent: what faults change and what the connection renders."""

import json
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus

from tests.support.upstream.requests import Request, selection


class Framing(Enum):
    LENGTH = "Content-Length"
    CHUNKED = "Transfer-Encoding: chunked"
    CLOSE = "until the connection closes"


class Ending(Enum):
    """How a cut ends a connection."""

    RST = "reset"
    FIN = "orderly"


@dataclass(frozen=True)
class Stop:
    """What happens once `at` bytes of this answer's body were sent: wait at a gate, or end the connection."""

    at: int
    gate: str | None = None
    ending: Ending | None = None


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    content: memoryview | bytes = b""
    digest: str | None = None
    """Digest of the content where it is a blob or manifest: only such answers meet the faults of bodies."""
    part: tuple[int, int] | None = None
    """The range of `content` to send, where one was asked for."""
    framing: Framing = Framing.LENGTH
    delay: float = 0
    rate: float | None = None
    """Bytes per second of this body, beside the upstream's own limits."""
    gate: str | None = None
    """Waited at before the status line."""
    silent: bool = False
    head: bytes | None = None
    """Sent in place of the status line and headers."""
    replaced: dict[str, str | None] = field(default_factory=dict)
    lines: bytes = b""
    """Sent after the headers as they are: what no header may look like."""
    stops: list[Stop] = field(default_factory=list)
    flips: dict[int, int] = field(default_factory=dict)
    """Offset in `content` to a mask its byte is XORed with."""

    @property
    def begin(self) -> int:
        return self.part[0] if self.part else 0

    @property
    def end(self) -> int:
        return self.part[1] if self.part else len(self.content)

    def choose(self, request: Request) -> None:
        """Takes the request's range: 206 or 416. Ranges are for GET."""
        if request.method != "GET" or self.status != HTTPStatus.OK:
            return
        self.headers.append(("Accept-Ranges", "bytes"))
        size = len(self.content)
        try:
            self.part = selection(request.header("range"), size)
        except ValueError:
            self.become(error(416, "UNSUPPORTED", "no such range", (("Content-Range", f"bytes */{size}"),)))
            return
        if self.part:
            self.status = HTTPStatus.PARTIAL_CONTENT

    def become(self, other: "Answer") -> None:
        """Takes another answer's status, headers and content."""
        self.status, self.headers, self.content = other.status, other.headers, other.content
        self.digest, self.part = other.digest, other.part

    def render(self) -> bytes:
        """Status line and headers."""
        if self.head is not None:
            return self.head
        headers = [("Date", formatdate(usegmt=True)), *self.headers]
        if self.part:
            headers.append(("Content-Range", f"bytes {self.begin}-{self.end - 1}/{len(self.content)}"))
        if self.framing is Framing.LENGTH:
            headers.append(("Content-Length", str(self.end - self.begin)))
        elif self.framing is Framing.CHUNKED:
            headers.append(("Transfer-Encoding", "chunked"))
        if not self.keeps_alive:
            headers.append(("Connection", "close"))
        headers = [(name, value) for name, value in headers if name.lower() not in self.replaced]
        headers += [(name, value) for name, value in self.replaced.items() if value is not None]
        lines = [f"HTTP/1.1 {self.status} {_reason(self.status)}", *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n").encode("latin-1") + self.lines + b"\r\n"

    @property
    def keeps_alive(self) -> bool:
        """Whether the client knows where this answer ends, so that another may follow."""
        length = str(self.end - self.begin)
        honest = self.framing is Framing.CHUNKED or self.replaced.get("content-length", length) == length
        plain = self.head is None and not self.lines and "connection" not in self.replaced
        return self.framing is not Framing.CLOSE and honest and plain


def error(status: int, code: str, message: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """The distribution spec's error body."""
    content = json.dumps({"errors": [{"code": code, "message": message or code.lower(), "detail": None}]}).encode()
    return Answer(status, [("Content-Type", "application/json"), *headers], content)


def document(value: object, media_type: str = "application/json") -> Answer:
    return Answer(200, [("Content-Type", media_type)], json.dumps(value, separators=(",", ":")).encode())


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
