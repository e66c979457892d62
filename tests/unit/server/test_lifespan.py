from typing import Any

import pytest

from pyregistry.server.lifespan import Lifespan, LifespanError


async def polite(scope: Any, receive: Any, send: Any) -> None:
    scope["state"]["seen"] = [(await receive())["type"]]
    await send({"type": "lifespan.startup.complete"})
    scope["state"]["seen"].append((await receive())["type"])
    await send({"type": "lifespan.shutdown.complete"})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no disk"})


async def raising(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError("a bug")


async def leaving(scope: Any, receive: Any, send: Any) -> None:
    return


async def raising_at_the_end(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise ValueError("a bug")


async def test_start_and_end() -> None:
    lifespan = Lifespan(polite)
    await lifespan.startup()
    assert lifespan.state == {"seen": ["lifespan.startup"]}
    await lifespan.shutdown()
    assert lifespan.state == {"seen": ["lifespan.startup", "lifespan.shutdown"]}


async def test_what_the_application_says() -> None:
    with pytest.raises(LifespanError, match="no disk"):
        await Lifespan(failing).startup()


async def test_what_the_application_raises() -> None:
    with pytest.raises(ValueError, match="a bug"):
        await Lifespan(raising).startup()


async def test_an_application_without_a_lifespan() -> None:
    with pytest.raises(RuntimeError, match="without an answer to startup"):
        await Lifespan(leaving).startup()


async def test_an_end_that_raises() -> None:
    lifespan = Lifespan(raising_at_the_end)
    await lifespan.startup()
    with pytest.raises(ValueError, match="a bug"):
        await lifespan.shutdown()
