"""The life of a token: kept, renewed before its end, replaced when refused; with a scripted realm and clock."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from pyregistry._native import Client, Store
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.credential import Credential
from pyregistry.mirror.single_flight import SingleFlight
from pyregistry.mirror.token_files import TokenFiles
from pyregistry.mirror.token_realm import Token, TokenRealm, TokenRequest
from pyregistry.mirror.tokens import Tokens

ASK = TokenRequest("up.example", "https://up.example/token", "up", "repository:app:pull", None)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Realm(TokenRealm):
    """Gives `token-1`, `token-2`, … good for 300 seconds, or fails as told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(cast("Client", None), on_request=lambda kind, status: None, clock=clock)
        self.fetched = 0
        self.failure: Failure | None = None
        self.clock = clock

    async def fetch(self, ask: TokenRequest) -> Token:
        self.fetched += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        now = self.clock.now
        return Token(f"token-{self.fetched}", now, now + 270, now + 300)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def realm(clock: Clock) -> Realm:
    return Realm(clock)


@pytest.fixture
async def worker(tmp_path: Path, clock: Clock, realm: Realm) -> AsyncIterator[Tokens]:
    flights = SingleFlight(Store(str(tmp_path)))
    yield Tokens(realm, TokenFiles(tmp_path / "tokens", clock=clock), flights, clock=clock)
    await flights.close()


@pytest.fixture
async def other_worker(tmp_path: Path, clock: Clock, realm: Realm) -> AsyncIterator[Tokens]:
    flights = SingleFlight(Store(str(tmp_path)))
    yield Tokens(realm, TokenFiles(tmp_path / "tokens", clock=clock), flights, clock=clock)
    await flights.close()


async def settled(tokens: Tokens) -> None:
    """Waits for renewals in the background."""
    flights = tokens._flights._tasks
    await asyncio.gather(*flights.values(), return_exceptions=True)


async def test_a_token_serves_until_it_is_near_its_end(worker: Tokens, clock: Clock, realm: Realm) -> None:
    assert await worker.get(ASK) == "token-1"
    clock.now += 269
    assert await worker.get(ASK) == "token-1"
    assert realm.fetched == 1


async def test_near_its_end_it_serves_on_while_another_is_fetched(worker: Tokens, clock: Clock, realm: Realm) -> None:
    await worker.get(ASK)
    clock.now += 271
    assert await worker.get(ASK) == "token-1"
    assert await worker.get(ASK) == "token-1"
    await settled(worker)
    assert await worker.get(ASK) == "token-2"
    assert realm.fetched == 2


async def test_a_renewal_that_fails_is_no_harm_before_the_end(worker: Tokens, clock: Clock, realm: Realm) -> None:
    await worker.get(ASK)
    realm.failure = Failure(Cause.UNREACHABLE, "down")
    clock.now += 271
    assert await worker.get(ASK) == "token-1"
    await settled(worker)
    assert await worker.get(ASK) == "token-1"
    clock.now += 30
    with pytest.raises(Failure, match="down"):
        await worker.get(ASK)


async def test_an_ended_token_is_never_served(worker: Tokens, clock: Clock) -> None:
    await worker.get(ASK)
    clock.now += 300
    assert await worker.get(ASK) == "token-2"


async def test_many_at_once_fetch_one(worker: Tokens, other_worker: Tokens, realm: Realm) -> None:
    found = await asyncio.gather(*(tokens.get(ASK) for tokens in (worker, other_worker) for _ in range(50)))
    assert set(found) == {"token-1"}
    assert realm.fetched == 1


async def test_one_renewal_over_all_workers(
    *, worker: Tokens, other_worker: Tokens, clock: Clock, realm: Realm
) -> None:
    both = (worker, other_worker)
    for tokens in both:
        await tokens.get(ASK)
    clock.now += 271
    for tokens in both:
        await tokens.get(ASK)
    for tokens in both:
        await settled(tokens)
    assert [await tokens.get(ASK) for tokens in both] == ["token-2", "token-2"]
    assert realm.fetched == 2


async def test_a_failure_is_for_everyone_who_waited(worker: Tokens, realm: Realm) -> None:
    realm.failure = Failure(Cause.DENIED, "no")
    found = await asyncio.gather(*(worker.get(ASK) for _ in range(10)), return_exceptions=True)
    assert {str(one) for one in found} == {"no"}
    assert realm.fetched == 1


async def test_a_refused_token_is_replaced(worker: Tokens, clock: Clock, realm: Realm) -> None:
    await worker.get(ASK)
    clock.now += 1
    assert await worker.instead_of("token-1", ASK, clock.now) == "token-2"
    # The next of those that were refused finds the new one.
    assert await worker.instead_of("token-1", ASK, clock.now) == "token-2"
    assert realm.fetched == 2


async def test_another_workers_replacement_will_do(
    *, worker: Tokens, other_worker: Tokens, clock: Clock, realm: Realm
) -> None:
    await worker.get(ASK)
    await other_worker.get(ASK)
    clock.now += 1
    await worker.instead_of("token-1", ASK, clock.now)
    assert await other_worker.instead_of("token-1", ASK, clock.now) == "token-2"
    assert realm.fetched == 2


async def test_a_token_fetched_for_the_request_that_was_refused_is_as_good_as_it_gets(
    worker: Tokens, clock: Clock, realm: Realm
) -> None:
    asked = clock.now
    await worker.get(ASK)
    assert await worker.instead_of("token-1", ASK, asked) is None
    # For later requests too, for a while.
    clock.now += 9
    assert await worker.instead_of("token-1", ASK, clock.now) is None
    clock.now += 2
    assert await worker.instead_of("token-1", ASK, clock.now) == "token-2"
    assert realm.fetched == 2


async def test_another_credential_is_another_token(worker: Tokens) -> None:
    assert await worker.get(ASK) == "token-1"
    assert await worker.get(replace(ASK, credential=Credential("me", "a"))) == "token-2"
    assert await worker.get(replace(ASK, credential=Credential("me", "b"))) == "token-3"
    assert await worker.get(ASK) == "token-1"


async def test_memory_is_bounded(worker: Tokens, monkeypatch: pytest.MonkeyPatch, realm: Realm) -> None:
    monkeypatch.setattr("pyregistry.mirror.tokens._MOST", 3)
    for number in range(6):
        await worker.get(replace(ASK, scope=f"repository:app{number}:pull"))
    assert len(worker._known) == 3
    # What was forgotten is in its file still.
    await worker.get(replace(ASK, scope="repository:app0:pull"))
    assert realm.fetched == 6


def test_names_tell_no_secret() -> None:
    ask = replace(ASK, credential=Credential("me", "s3cr3t-word"))
    assert "s3cr3t-word" not in repr(ask)
    assert ask.name.isalnum()
    assert ask.name != ASK.name


@pytest.mark.parametrize(
    ("body", "renew", "expires"),
    [
        (b'{"token": "t", "expires_in": 300}', 270, 300),
        (b'{"token": "t"}', 48, 60),
        (b'{"token": "t", "expires_in": 10}', 8, 10),
        (b'{"token": "t", "expires_in": "300"}', 270, 300),
        (b'{"token": "t", "expires_in": 0}', 48, 60),
        (b'{"token": "t", "expires_in": -5}', 48, 60),
        (b'{"token": "t", "expires_in": null}', 48, 60),
        (b'{"token": "t", "expires_in": "NaN"}', 48, 60),
        (b'{"token": "t", "expires_in": 1e300}', 86370, 86400),
        (b'{"token": null, "access_token": "t", "expires_in": []}', 48, 60),
    ],
)
def test_how_long_a_token_lives(clock: Clock, body: bytes, renew: float, expires: float) -> None:
    token = Realm(clock)._token(body, 1000.0, "realm")
    assert (token.value, token.renew, token.expires) == ("t", 1000 + renew, 1000 + expires)
    assert "'t'" not in repr(token)
