"""Blobs of an upstream: their size without their bytes, and sources for their bytes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pyregistry._native import Store
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.upstream import Upstream
from tests.support.blobs import Blob, blob, random_blob
from tests.support.upstream import (
    NO_BLOB_HEAD,
    Frame,
    Headers,
    IgnoreRange,
    Kind,
    LocalUpstream,
    Match,
    Place,
    Redirect,
    Reply,
    Tokens,
    too_many,
)
from tests.support.upstream import Upstream as Scripted

Make = Callable[..., Upstream]
SECRET = "s3cr3t-word"
MISSING = "sha256:" + "0" * 64


@pytest.fixture
def layer(upstream: Scripted) -> Blob:
    made = random_blob(300_000, "layer")
    upstream.add_blob("app", made)
    return made


async def fill(store: Store, up: Upstream, digest: str, path: str = "app", base_index: int = 0) -> bytes:
    """Brings the blob as the driver of fills does, denials only."""
    reader = store.attach(digest)
    owned = await store.own_or_follow(digest)
    assert owned is not None
    failure: Failure | None = None
    while True:
        try:
            body = await up.blob_body(path, digest, base_index=base_index, failure=failure)
            assert await owned.run(body.source) == "committed"
            break
        except Failure as error:
            if error is failure or error.cause is not Cause.DENIED:
                owned.fail(error)
                raise
            failure = error
    await reader.ready()
    plan = reader.plan()
    content = b""
    while piece := await plan.next(1 << 20):
        content += piece
    return content


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "contents"))


# Sizes


async def test_a_size_by_head(make: Make, upstream: Scripted, layer: Blob) -> None:
    assert await make().stat_blob("app", layer.digest) == layer.size
    assert (upstream.heads(), upstream.gets()) == (1, 0)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 501])
async def test_an_upstream_that_refuses_head_is_not_asked_so_again(
    make: Make, upstream: Scripted, layer: Blob, status: int
) -> None:
    upstream.always(NO_BLOB_HEAD, Reply(status))
    up = make()
    for _ in range(2):
        assert await up.stat_blob("app", layer.digest) == layer.size
    assert len(upstream.counters().select(method="HEAD")) == 1
    assert upstream.body_bytes(layer.digest) == 2


async def test_a_404_to_head_is_not_believed(make: Make, upstream: Scripted, layer: Blob) -> None:
    """Harbor's proxy answers so for what it would give to a GET."""
    upstream.always(NO_BLOB_HEAD, Reply(404))
    up = make()
    assert await up.stat_blob("app", layer.digest) == layer.size
    with pytest.raises(Failure) as caught:
        await up.stat_blob("app", MISSING)
    assert caught.value.cause is Cause.NOT_FOUND
    assert upstream.heads() == 2


@pytest.mark.parametrize("reply", [Reply(503), too_many(3)])
async def test_an_outage_is_no_refusal_of_head(make: Make, upstream: Scripted, layer: Blob, reply: Reply) -> None:
    upstream.always(NO_BLOB_HEAD, reply)
    with pytest.raises(Failure) as caught:
        await make().stat_blob("app", layer.digest)
    assert caught.value.status == reply.status
    assert upstream.gets() == 0


async def test_a_head_without_a_size(make: Make, upstream: Scripted, layer: Blob) -> None:
    upstream.always(NO_BLOB_HEAD, Headers({"Content-Length": None}))
    assert await make().stat_blob("app", layer.digest) == layer.size


async def test_a_size_nobody_tells(make: Make, upstream: Scripted, layer: Blob) -> None:
    upstream.always(NO_BLOB_HEAD, Reply(405))
    upstream.always(Match("GET", Kind.BLOB), Headers({"Content-Range": "bytes 0-0/*"}))
    assert await make().stat_blob("app", layer.digest) is None


async def test_an_upstream_that_knows_neither_head_nor_range(make: Make, upstream: Scripted, layer: Blob) -> None:
    small = blob(b"small")
    upstream.add_blob("app", small)
    upstream.always(NO_BLOB_HEAD, Reply(405))
    upstream.always(Match("GET", Kind.BLOB), IgnoreRange())
    up = make()
    assert await up.stat_blob("app", small.digest) == 5
    # It is there, and its bytes are not read for its size.
    assert await up.stat_blob("app", layer.digest) is None
    with pytest.raises(Failure) as caught:
        await up.stat_blob("app", MISSING)
    assert caught.value.cause is Cause.NOT_FOUND


async def test_the_empty_blob_has_no_first_byte(make: Make, upstream: Scripted) -> None:
    empty = blob(b"")
    upstream.add_blob("app", empty)
    up = make()
    assert await up.stat_blob("app", empty.digest) == 0
    upstream.always(NO_BLOB_HEAD, Reply(405))
    assert await up.stat_blob("app", empty.digest) == 0


@pytest.mark.parametrize("heads", [True, False])
async def test_a_size_over_a_redirect_to_another_host(
    make: Make, upstream: Scripted, layer: Blob, *, heads: bool
) -> None:
    """I11: the other host sees no Authorization (the scripted one answers 400 to any)."""
    upstream.configure(auth=Tokens(), redirect=Redirect(Place.OTHER_PORT, heads=heads))
    assert await make().stat_blob("app", layer.digest) == layer.size
    away = [r for r in upstream.records() if r.request.place is not Place.REGISTRY]
    assert all(r.request.authorization is None and r.status < 400 for r in away)


async def test_a_challenge_from_where_a_redirect_led_is_not_met(make: Make, upstream: Scripted, layer: Blob) -> None:
    upstream.configure(redirect=Redirect(Place.OTHER_HOST))
    evil = f'Bearer realm="{upstream.url}/token",service="x"'
    upstream.always(Match(place=Place.OTHER_PORT), Reply(401, headers=(("WWW-Authenticate", evil),)))
    upstream.always(Match(place=Place.OTHER_HOST), Reply(401, headers=(("WWW-Authenticate", evil),)))
    with pytest.raises(Failure) as caught:
        await make(username="me", password=SECRET).stat_blob("app", layer.digest)
    # As bodies have it: it is the address that was refused.
    assert (caught.value.cause, caught.value.challenge) == (Cause.UPSTREAM, None)
    assert upstream.tokens() == 0


# Bodies


@pytest.mark.parametrize("known", [True, False], ids=["warm", "cold"])
async def test_a_body(make: Make, upstream: Scripted, layer: Blob, store: Store, *, known: bool) -> None:
    upstream.configure(auth=Tokens(users={"me": SECRET}, anonymous=False))
    up = make(username="me", password=SECRET)
    if known:
        await up.stat_blob("app", layer.digest)
        upstream.forget()
    content = await fill(store, up, layer.digest)
    assert "sha256:" + hashlib.sha256(content).hexdigest() == layer.digest
    assert [r.status for r in upstream.counters().select(kind=Kind.BLOB)] == ([200] if known else [401, 200])
    assert upstream.tokens() == (0 if known else 1)


async def test_a_body_after_its_token_has_ended(make: Make, upstream: Scripted, layer: Blob, store: Store) -> None:
    upstream.configure(auth=Tokens())
    up = make()
    await up.stat_blob("app", layer.digest)
    upstream.expire_tokens()
    upstream.forget()
    await fill(store, up, layer.digest)
    assert [r.status for r in upstream.counters().select(kind=Kind.BLOB)] == [401, 200]
    assert upstream.tokens() == 1


async def test_a_body_that_is_denied_ends(make: Make, upstream: Scripted, layer: Blob, store: Store) -> None:
    upstream.add_blob("private", layer)
    upstream.configure(auth=Tokens(private=("private",)))
    with pytest.raises(Failure) as caught:
        await fill(store, make(), layer.digest, "private")
    assert caught.value.cause is Cause.DENIED
    assert upstream.tokens() == 1
    assert len(upstream.counters().select(kind=Kind.BLOB)) == 2


async def test_a_denial_without_a_challenge_is_final(make: Make, layer: Blob) -> None:
    refused = Failure(Cause.DENIED, "no", status=403)
    with pytest.raises(Failure) as caught:
        await make().blob_body("app", layer.digest, failure=refused)
    assert caught.value is refused


async def test_a_body_over_a_redirect_shows_no_authorization(
    make: Make, upstream: Scripted, layer: Blob, store: Store
) -> None:
    upstream.configure(auth=Tokens(), redirect=Redirect(Place.OTHER_PORT))
    await fill(store, make(), layer.digest)
    away = [r for r in upstream.records() if r.request.place is not Place.REGISTRY]
    assert [(r.status, r.request.authorization) for r in away] == [(200, None)]


async def test_a_body_without_a_size(make: Make, upstream: Scripted, layer: Blob, store: Store) -> None:
    upstream.always(Match("GET", Kind.BLOB), Frame())
    assert len(await fill(store, make(), layer.digest)) == layer.size


async def test_bodies_from_each_url(make: Make, upstream: Scripted, layer: Blob, tmp_path: Path) -> None:
    with LocalUpstream(auth=Tokens()) as second:
        second.add_blob("app", layer)
        up = make(upstream.url, second.url)
        for index in range(3):
            await fill(Store(str(tmp_path / str(index))), up, layer.digest, base_index=index)
        assert upstream.gets(layer.digest) == 2
        assert second.gets(layer.digest) == 1
        assert second.tokens() == 1


async def test_a_refused_address_is_no_word_of_the_upstream(make: Make, upstream: Scripted, layer: Blob) -> None:
    """An object store's 403 to what was signed badly: the blob is not said to be missing, nor kept from us."""
    upstream.configure(redirect=Redirect(lifetime=0))
    with pytest.raises(Failure) as caught:
        await make().stat_blob("app", layer.digest)
    assert (caught.value.cause, caught.value.status) == (Cause.UPSTREAM, 403)
