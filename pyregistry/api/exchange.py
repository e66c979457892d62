"""One request and its response, with what the log and the metrics tell of it at its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyregistry.api.asgi import Message, Receive, Send
    from pyregistry.api.request import Request
    from pyregistry.errors import Cause
    from pyregistry.store.answers import Result
    from pyregistry.store.target import Target


class Exchange:
    """Carries a request through its handler."""

    __slots__ = (
        "_send",
        "_start",
        "began",
        "cause",
        "ended",
        "error",
        "first_byte",
        "method",
        "receive",
        "reference",
        "request",
        "result",
        "route",
        "sent",
        "status",
        "target",
    )

    def __init__(self, method: str, receive: Receive, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self.receive = receive
        self.method = method
        self.began = time.perf_counter()
        self.request: Request | None = None
        #: Label of the metrics.
        self.route = "none"
        self.target: Target | None = None
        self.reference: str | None = None
        self.result: Result | None = None
        #: Why an answer is an error, stale or short.
        self.cause: Cause | None = None
        #: The same for people, for the log.
        self.error: str | None = None
        #: 0 until a response has begun.
        self.status = 0
        #: Body bytes handed to the server.
        self.sent = 0
        #: Seconds from the request to its body's first byte.
        self.first_byte: float | None = None
        #: The response has its final message.
        self.ended = False

    async def send(self, message: Message) -> None:
        """Passes a message on and notes what it says.

        The start waits for the body's first piece, as it would in the server: a body that fails before it has a byte
        is then answered as the error it is.
        """
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._start = message
            return
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)
        size = len(message["body"])
        if size and not self.sent:
            self.first_byte = time.perf_counter() - self.began
        self.sent += size
        self.ended = not message["more_body"]
        await self._send(message)

    def begun(self) -> bool:
        """Whether some of the response has gone to the server; a start that has not is taken back."""
        if self._start is not None:
            self._start = None
            self.status = 0
        return self.status != 0
