"""The names of ASGI's types (asgi.readthedocs.io, HTTP connection scope)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: A header field as ASGI carries it: the name in lower case.
Header = tuple[bytes, bytes]
