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


async def test_no_digest_can_be_made_to_be_a_questions_lock(tmp_path: Path) -> None:
    """The lock of a digest is its first 63 bits, and a client chooses those."""
    store = Store(str(tmp_path))
    key = "tag docker.io/library/nginx latest"

    def crafted(secret: bytes) -> str:
        return f"sha256:{hashlib.blake2b(key.encode(), digest_size=8, key=secret).hexdigest()}{'0' * 48}"

    async with SingleFlight(store, b"secret").exclusive(key):
        assert store.in_flight(crafted(b"secret")), "this test knows how it is done"
        assert not store.in_flight(crafted(b""))
    await store.close()
