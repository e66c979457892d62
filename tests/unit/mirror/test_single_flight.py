"""What a question's failure answers, and for how long."""

import hashlib
import time
from pathlib import Path

import pytest

from pyregistry._native import Store
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.single_flight import MOST_FAILURES, SingleFlight


@pytest.fixture
def flights(tmp_path: Path) -> SingleFlight:
    return SingleFlight(Store(str(tmp_path)))


async def ask(flights: SingleFlight, key: str, failure: Failure) -> None:
    async def work() -> None:
        raise failure

    with pytest.raises(Failure):
        await flights.run(key, work)


async def test_names_made_up_while_upstream_limits_us_are_not_remembered_without_end(flights: SingleFlight) -> None:
    for number in range(MOST_FAILURES + 50):
        await ask(flights, f"tag {number}", Failure(Cause.RATE_LIMITED, "slow down", retry_after=86_400))
    assert flights.failed("tag 0") is None
    assert flights.failed(f"tag {MOST_FAILURES + 49}") is not None
    assert len(flights._failures) == MOST_FAILURES


async def test_only_a_limit_says_for_how_long(flights: SingleFlight, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(flights, "down", Failure(Cause.UPSTREAM, "503", retry_after=86_400))
    await ask(flights, "limited", Failure(Cause.RATE_LIMITED, "429", retry_after=60))
    await ask(flights, "limited for ever", Failure(Cause.RATE_LIMITED, "429", retry_after=86_400))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2)
    assert flights.failed("down") is None
    assert flights.failed("limited") is not None
    monkeypatch.setattr(time, "monotonic", lambda: now + 3601)
    assert flights.failed("limited for ever") is None


async def test_a_questions_lock_cannot_be_foretold(tmp_path: Path) -> None:
    """Clients choose what is asked for: its lock must not be one that they can make something else hold."""
    store = Store(str(tmp_path))
    key = "tag docker.io/library/nginx latest"

    def foretold(secret: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, key=secret).digest()) >> 1

    async with SingleFlight(store, b"secret").exclusive(key):
        assert store.try_lock(foretold(b"secret")) is None, "this test knows how it is done"
        free = store.try_lock(foretold(b""))
        assert free is not None
        free.release()
    await store.close()
