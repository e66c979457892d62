"""What is done with the pulls that an upstream grants."""

import time
from typing import Any, cast

import pytest

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.pulls import Pulls, is_spent


class Answer:
    """What upstream answers, as far as it matters here."""

    def __init__(self, status: int = 200, **headers: str) -> None:
        self.status = status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self._headers.get(name)


def answer(status: int = 200, **headers: str) -> Any:
    return cast("Any", Answer(status, **headers))


def test_few_pulls_left() -> None:
    told: list[int] = []
    pulls = Pulls("docker.io", 10, told.append)
    assert not pulls.is_low
    for remaining, low in [(100, False), (10, False), (9, True), (0, True), (50, False)]:
        pulls.heard(answer(ratelimit_limit="100;w=21600", ratelimit_remaining=f"{remaining};w=21600"))
        assert pulls.is_low is low
    pulls.heard(answer())
    assert told == [100, 10, 9, 0, 50]


def test_without_a_reserve_nothing_is_spared() -> None:
    pulls = Pulls("docker.io", 0)
    pulls.heard(answer(ratelimit_remaining="0"))
    assert not pulls.is_low
    pulls.check()


def test_what_was_told_long_ago_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    pulls = Pulls("docker.io", 10)
    pulls.heard(answer(ratelimit_remaining="3;w=60"))
    assert pulls.is_low
    assert "3 more pulls" in pulls.low().message
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert not pulls.is_low


@pytest.mark.parametrize(("header", "seconds"), [({}, 60), ({"retry_after": "7"}, 7), ({"retry_after": "9999"}, 3600)])
def test_no_pulls_left(header: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pulls = Pulls("docker.io", 0)
    pulls.heard(answer(429, ratelimit_remaining="0;w=21600", **header))
    with pytest.raises(Failure) as caught:
        pulls.check()
    assert caught.value.cause is Cause.RATE_LIMITED
    assert caught.value.retry_after == pytest.approx(seconds)
    monkeypatch.setattr(time, "monotonic", lambda: now + seconds)
    pulls.check()


def test_which_limit_a_429_is_about() -> None:
    assert is_spent(answer(429, ratelimit_remaining="0;w=21600"))
    assert not is_spent(answer(429, ratelimit_remaining="5"))
    assert not is_spent(answer(429))
    assert not is_spent(answer(200, ratelimit_remaining="0"))
