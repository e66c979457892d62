"""The application's start and end, by ASGI's lifespan protocol."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class LifespanError(Exception):
    """The application says itself that it cannot start, or did not end well."""


class Lifespan:
    """One run of an application's lifespan. `state` is what it shares with its requests."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Returns when the application is up; raises what it raised, or LifespanError with what it said."""
        self._task = asyncio.create_task(self._run())
        await self._pass("startup")

    async def shutdown(self) -> None:
        """Returns when the application has ended what it wants to end; raises likewise."""
        await self._pass("shutdown")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._events.get, self._answers.put)

    async def _pass(self, phase: str) -> None:
        if self._task is None:
            return
        self._events.put_nowait({"type": f"lifespan.{phase}"})
        answer = asyncio.create_task(self._answers.get())
        try:
            await asyncio.wait((answer, self._task), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                message = answer.result()
                if message["type"] != f"lifespan.{phase}.complete":
                    raise LifespanError(message.get("message") or f"the application's {phase} failed")
                return
            self._task.result()  # raises what the application raised
            raise RuntimeError(f"the application left its lifespan without an answer to {phase}")
        finally:
            answer.cancel()
