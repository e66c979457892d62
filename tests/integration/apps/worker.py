"""A worker process like `pyregistry.worker`, with an application for tests: `worker.py BEHAVIOUR <handover…>`.

BEHAVIOUR: `serve`; `raise` or `refuse` at start; `crash-1`: slot 1 dies at start, the others serve.
A `gate` is the path of a Unix socket where the test listens: a connection says "I am there", its end says "go on".
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from pyregistry.config import Config, ConfigError
from pyregistry.server.worker import run

PIECE = b"x" * 65536
PIECES = 4


class App:
    def __init__(self, behaviour: str, config: Config, slot: int) -> None:
        self.behaviour, self.config, self.slot = behaviour, config, slot

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        match scope["path"]:
            case "/who":
                await self.answer(send, b"")
            case "/headers":
                await self.answer(send, b"%d" % sum(len(name) + len(value) for name, value in scope["headers"]))
            case "/held":  # half of a body, the rest when the gate opens
                await self.body(send, PIECES, at_half=lambda: through(query["gate"]))
            case "/endless":  # more than any client that reads nothing can take
                gate = asyncio.create_task(through(query["gate"]))
                await self.body(send, 1 << 20)
                await gate

    async def lifespan(self, receive: Any, send: Any) -> None:
        while True:
            phase = (await receive())["type"]
            if phase == "lifespan.startup" and self.behaviour == "raise":
                raise ValueError("no\nluck")
            if phase == "lifespan.startup" and self.behaviour == "refuse":
                raise ConfigError("storage.root: of the wrong kind")
            if phase == "lifespan.startup" and self.behaviour == f"crash-{self.slot}":
                os._exit(7)
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                (self.config.storage.root / f"ended-{self.slot}").touch()
                return

    async def answer(self, send: Any, body: bytes) -> None:
        await self.head(send, len(body))
        await send({"type": "http.response.body", "body": body})

    async def body(self, send: Any, pieces: int, at_half: Callable[[], Any] | None = None) -> None:
        await self.head(send, pieces * len(PIECE))
        for piece in range(pieces):
            if at_half is not None and piece == pieces // 2:
                await at_half()
            await send({"type": "http.response.body", "body": PIECE, "more_body": piece + 1 < pieces})

    async def head(self, send: Any, length: int) -> None:
        headers = [(b"content-length", b"%d" % length), (b"worker", b"%d %d" % (self.slot, os.getpid()))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def through(gate: str) -> None:
    reader, writer = await asyncio.open_unix_connection(gate)
    await reader.read()
    writer.close()


def main() -> None:
    behaviour, *handover = sys.argv[1:]
    run(handover, lambda: lambda config, slot: App(behaviour, config, slot))


if __name__ == "__main__":
    main()
