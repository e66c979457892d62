"""Tokens, Basic and realms: what is asked for how often, and who sees our credentials (I11)."""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.upstream import Upstream
from tests.support.images import Image, image
from tests.support.upstream import Basic, Kind, Match, Place, Record, Reply, Tokens, Wait, too_many
from tests.support.upstream import Upstream as Scripted

Make = Callable[..., Upstream]
SECRET = "s3cr3t-word"
USERS = {"me": SECRET}
MINE = {"username": "me", "password": SECRET}
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
STORM = 50


@pytest.fixture(autouse=True)
def contents(upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    upstream.add("private", small_image, "v1")
    upstream.configure(auth=Tokens(users=USERS, private=("private",)))


def asked(upstream: Scripted, status: int | None = None) -> list[Record]:
    """Requests for manifests."""
    return [r for r in upstream.counters().select(kind=Kind.MANIFEST) if status in (None, r.status)]


def tokens(upstream: Scripted) -> list[Record]:
    return upstream.counters().select(kind=Kind.TOKEN)


async def denied(up: Upstream, path: str = "app") -> Failure:
    with pytest.raises(Failure) as caught:
        await up.get_manifest(path, "v1")
    assert caught.value.cause is Cause.DENIED
    assert SECRET not in caught.value.message
    return caught.value


# Bearer


async def test_the_first_request_learns_and_the_next_one_knows(make: Make, upstream: Scripted) -> None:
    up = make()
    await up.get_manifest("app", "v1")
    assert [r.status for r in asked(upstream)] == [401, 200]
    await up.get_manifest("app", "v1")
    assert [r.status for r in asked(upstream)] == [401, 200, 200]
    [token] = tokens(upstream)
    assert token.request.method == "GET"
    assert dict(token.request.query) == {"service": "upstream", "scope": "repository:app:pull"}
    assert token.request.authorization is None


async def test_a_storm_fetches_one_token(make: Make, upstream: Scripted) -> None:
    up = make()
    await asyncio.gather(*(up.get_manifest("app", "v1") for _ in range(STORM)))
    assert len(tokens(upstream)) == 1
    upstream.forget()
    await asyncio.gather(*(up.get_manifest("app", "v1") for _ in range(STORM)))
    assert len(asked(upstream, 200)) == STORM
    assert len(asked(upstream)) == STORM
    assert tokens(upstream) == []


async def test_a_storm_over_two_workers_fetches_one_token(make: Make, upstream: Scripted) -> None:
    workers = [make(), make()]
    upstream.once(Match(kind=Kind.TOKEN), Wait("token"))
    storm = asyncio.gather(*(worker.get_manifest("app", "v1") for worker in workers for _ in range(STORM)))
    # Every request has met its 401 before the first token comes.
    refused = Match(kind=Kind.MANIFEST, authorized=False)
    await asyncio.to_thread(upstream.wait_requests, refused, 2 * STORM, ended=True)
    await asyncio.to_thread(upstream.wait_held, "token")
    upstream.release("token")
    await storm
    assert len(tokens(upstream)) == 1
    assert len(asked(upstream, 200)) == 2 * STORM


async def test_a_worker_that_comes_later_finds_the_token(make: Make, upstream: Scripted) -> None:
    await make().get_manifest("app", "v1")
    await make().get_manifest("app", "v1")
    assert len(tokens(upstream)) == 1


async def test_each_repository_has_a_token_of_its_own(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("other/app", small_image, "v1")
    up = make()
    await up.get_manifest("app", "v1")
    await up.get_manifest("other/app", "v1")
    assert [dict(r.request.query)["scope"] for r in tokens(upstream)] == [
        "repository:app:pull",
        "repository:other/app:pull",
    ]
    assert [r.status for r in asked(upstream)] == [401, 200, 200]


async def test_the_scope_is_ours_whatever_the_challenge_says(make: Make, upstream: Scripted) -> None:
    realm = f'Bearer realm="{upstream.url}/token",service="upstream",scope="repository:user/image:pull,push"'
    upstream.configure(auth=Tokens(challenge=realm))
    await make().get_manifest("app", "v1")
    assert dict(tokens(upstream)[0].request.query)["scope"] == "repository:app:pull"


async def test_a_realm_without_service_and_with_a_query(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Tokens(challenge=f'Bearer realm="{upstream.url}/token?x=a%20b"'))
    await make().get_manifest("app", "v1")
    assert tokens(upstream)[0].request.query == (("x", "a b"), ("scope", "repository:app:pull"))


@pytest.mark.parametrize("field", ["token", "access_token"])
async def test_either_name_of_the_token(make: Make, upstream: Scripted, field: str) -> None:
    upstream.configure(auth=Tokens(field=field, expires_in=None))
    await make().get_manifest("app", "v1")


async def test_a_token_that_is_refused_is_replaced_once_for_all(make: Make, upstream: Scripted) -> None:
    workers = [make(), make()]
    for worker in workers:
        await worker.get_manifest("app", "v1")
    upstream.expire_tokens()
    upstream.forget()
    await asyncio.gather(*(worker.get_manifest("app", "v1") for worker in workers for _ in range(STORM)))
    assert len(tokens(upstream)) == 1


async def test_a_worker_with_another_workers_stale_token_gets_a_new_one(make: Make, upstream: Scripted) -> None:
    await make().get_manifest("app", "v1")
    upstream.expire_tokens()
    upstream.forget()
    await make().get_manifest("app", "v1")
    assert [r.status for r in asked(upstream)] == [401, 401, 200]
    assert len(tokens(upstream)) == 1


async def test_a_token_that_does_not_help_is_not_fetched_over_and_over(make: Make, upstream: Scripted) -> None:
    """Docker Hub gives a token for a repository that is missing or private, and then refuses it."""
    up = make()
    for _ in range(5):
        await denied(up, "private")
    assert len(tokens(upstream)) == 1
    assert [r.status for r in asked(upstream)] == [401] * 6
    await up.get_manifest("app", "v1")


async def test_a_realm_that_always_gives_the_same_token(make: Make, upstream: Scripted) -> None:
    upstream.always(Match(kind=Kind.TOKEN), Reply(200, body=b'{"token": "same"}'))
    up = make()
    await denied(up)
    await denied(up)
    await denied(make())


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply(401), Cause.DENIED),
        (Reply(403), Cause.DENIED),
        (Reply(404), Cause.DENIED),
        (Reply(400), Cause.DENIED),
        (too_many(9), Cause.RATE_LIMITED),
        (Reply(503), Cause.UPSTREAM),
        (Reply(200, body=b"<html>"), Cause.PROTOCOL),
        (Reply(200, body=b'{"token": ""}'), Cause.PROTOCOL),
        (Reply(200, body=b'{"token": "a\\r\\nx: y"}'), Cause.PROTOCOL),
        (Reply(200, body=b"[]"), Cause.PROTOCOL),
    ],
)
async def test_a_realm_that_gives_none(make: Make, upstream: Scripted, reply: Reply, cause: Cause) -> None:
    upstream.always(Match(kind=Kind.TOKEN), reply)
    with pytest.raises(Failure, match="token realm") as caught:
        await make().get_manifest("app", "v1")
    assert caught.value.cause is cause
    assert len(asked(upstream)) == 1


async def test_one_request_that_leaves_does_not_take_the_token_from_the_others(make: Make, upstream: Scripted) -> None:
    upstream.once(Match(kind=Kind.TOKEN), Wait("token"))
    up = make()
    leaves, stays = (asyncio.create_task(up.get_manifest("app", "v1")) for _ in range(2))
    await asyncio.to_thread(upstream.wait_held, "token")
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    upstream.release("token")
    await stays
    assert len(tokens(upstream)) == 1


async def test_another_realm_after_a_token_has_ended(make: Make, upstream: Scripted) -> None:
    """nvcr.io names another realm then, where the anonymous get nothing."""
    up = make()
    await up.get_manifest("app", "v1")
    elsewhere = upstream.address(Place.OTHER_HOST)
    upstream.configure(auth=Tokens(challenge=f'Bearer realm="{elsewhere}/token",error="invalid_token"'))
    upstream.always(Match(kind=Kind.TOKEN, place=Place.OTHER_HOST), Reply(401))
    upstream.always(Match(kind=Kind.TOKEN, place=Place.OTHER_PORT), Reply(401))
    upstream.expire_tokens()
    await up.get_manifest("app", "v1")
    assert [r.request.place for r in tokens(upstream)] == [Place.REGISTRY] * 2


# Credentials


@pytest.mark.parametrize("auth", [None, Tokens(place=Place.OTHER_PORT)])
async def test_a_realm_that_has_gone_is_forgotten(make: Make, upstream: Scripted, auth: Tokens | None) -> None:
    """Whether upstream has another by now, or wants no token any more, its next challenge tells."""
    up = make()
    await up.get_manifest("app", "v1")
    upstream.configure(auth=auth)
    gone = Match(kind=Kind.TOKEN, place=Place.REGISTRY)
    upstream.always(gone, Reply(404))
    # Another repository needs another token.
    upstream.add("other", image([10]), "v1")
    await up.get_manifest("other", "v1")
    assert upstream.counters().select(kind=Kind.TOKEN)[-1].status == (404 if auth is None else 200)


async def test_credentials_go_to_the_realm_and_not_to_the_registry(make: Make, upstream: Scripted) -> None:
    up = make(**MINE)
    assert not up.anonymous
    await up.get_manifest("private", "v1")
    assert [r.request.authorization for r in tokens(upstream)] == [BASIC]
    assert all(not (r.request.authorization or "").startswith("Basic") for r in asked(upstream))


async def test_tokens_of_other_credentials_are_not_shared(make: Make, upstream: Scripted) -> None:
    await make().get_manifest("app", "v1")
    await make(**MINE).get_manifest("app", "v1")
    assert [r.request.authorization for r in tokens(upstream)] == [None, BASIC]


async def test_wrong_credentials_are_denied(make: Make, upstream: Scripted) -> None:
    failure = await denied(make(username="me", password=SECRET + "x"))
    assert failure.status == 401
    assert len(tokens(upstream)) == 1


async def test_an_anonymous_mirror_is_known_as_one(make: Make, upstream: Scripted) -> None:
    up = make()
    assert up.anonymous
    await denied(up, "private")
    assert up.anonymous


@pytest.mark.parametrize(
    ("place", "realms", "seen"),
    [
        (Place.REGISTRY, [], True),
        (Place.OTHER_PORT, [], True),
        (Place.OTHER_HOST, [], False),
        (Place.OTHER_HOST, ["localhost"], True),
        (Place.OTHER_HOST, ["other.example"], False),
    ],
)
async def test_which_realms_see_credentials(
    make: Make, upstream: Scripted, *, place: Place, realms: list[str], seen: bool
) -> None:
    """I11, CVE-2026-33540."""
    upstream.configure(auth=Tokens(place=place, users=USERS))
    await make(realms=realms, **MINE).get_manifest("app", "v1")
    [token] = tokens(upstream)
    assert token.request.authorization == (BASIC if seen else None)


async def test_credentials_withheld_are_explained(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Tokens(place=Place.OTHER_HOST, users=USERS, anonymous=False))
    failure = await denied(make(**MINE))
    assert "realms" in failure.message
    assert "localhost" in failure.message


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "/token", "https://", "http://a b/", "http://user@127.0.0.1/"])
async def test_a_realm_that_is_none_is_not_asked(make: Make, upstream: Scripted, realm: str) -> None:
    upstream.configure(auth=Tokens(challenge=f'Bearer realm="{realm}",service="x"'))
    with pytest.raises(Failure):
        await make(**MINE).get_manifest("app", "v1")
    assert tokens(upstream) == []


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", 'Bearer scope="x"', "Digest realm=x"])
async def test_a_challenge_nobody_can_meet_is_a_denial(make: Make, upstream: Scripted, challenge: str) -> None:
    upstream.configure(auth=Tokens(challenge=challenge))
    failure = await denied(make(**MINE))
    assert failure.status == 401
    assert len(asked(upstream)) == 1


async def test_a_new_password_is_read_when_the_old_one_is_refused(
    make: Make, upstream: Scripted, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    upstream.configure(auth=Tokens(users={"me": "old"}, anonymous=False))
    up = make(username="me", password_file=file)
    await up.get_manifest("app", "v1")
    upstream.configure(auth=Tokens(users={"me": "new"}, anonymous=False))
    upstream.expire_tokens()
    file.write_text("new")
    await up.get_manifest("app", "v1")
    assert [r.status for r in tokens(upstream)] == [200, 401, 200]


async def test_a_helper_program(
    make: Make, upstream: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.dumps({"ServerURL": "x", "Username": "me", "Secret": SECRET})
    program = tmp_path / "docker-credential-test"
    program.write_text(f"#!/bin/sh\ncat > {tmp_path}/asked\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    up = make(credential_helper="test")
    await up.get_manifest("private", "v1")
    assert (tmp_path / "asked").read_text() == upstream.host
    assert [r.request.authorization for r in tokens(upstream)] == [BASIC]


async def test_an_identity_token_of_docker_login(
    make: Make, upstream: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {upstream.host: {"identitytoken": SECRET}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    await make(docker_config=True).get_manifest("app", "v1")
    [token] = tokens(upstream)
    assert token.request.method == "POST"
    assert token.request.authorization is None
    assert parse_qs(token.request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["upstream"],
        "client_id": ["pyregistry"],
        "scope": ["repository:app:pull"],
        "refresh_token": [SECRET],
    }


# Basic


async def test_basic(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Basic(USERS))
    up = make(**MINE)
    await up.get_manifest("app", "v1")
    await up.get_manifest("app", "v1")
    assert [r.request.authorization for r in asked(upstream)] == [None, BASIC, BASIC]
    assert tokens(upstream) == []


async def test_basic_without_credentials_is_a_denial(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Basic(USERS))
    await denied(make())
    assert len(asked(upstream)) == 1


async def test_basic_with_wrong_credentials_is_not_tried_over_and_over(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Basic(USERS))
    up = make(username="me", password="wrong")
    await denied(up)
    await denied(up)
    assert len(asked(upstream)) == 3


async def test_basic_with_a_new_password(make: Make, upstream: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    upstream.configure(auth=Basic({"me": "old"}))
    up = make(username="me", password_file=file)
    await up.get_manifest("app", "v1")
    upstream.configure(auth=Basic({"me": "new"}))
    file.write_text("new")
    await up.get_manifest("app", "v1")
    assert [r.status for r in asked(upstream)] == [401, 200, 401, 200]


async def test_a_realm_that_is_refused_leaves_basic(make: Make, upstream: Scripted) -> None:
    upstream.configure(auth=Basic(USERS))
    upstream.always(
        Match(authorized=False),
        Reply(401, headers=(("WWW-Authenticate", 'Bearer realm="/token", Basic realm="x"'),)),
    )
    await make(**MINE).get_manifest("app", "v1")
