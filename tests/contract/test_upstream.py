"""One upstream, asked for manifests, tags and referrers, over one URL or several."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyregistry._native import Store
from pyregistry.config import UpstreamConfig
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.quota import Quota
from pyregistry.mirror.upstream import ManifestHead, Upstream
from tests.support.images import DOCKER_MANIFEST, Flavor, Image, artifact, image
from tests.support.upstream import Hang, Headers, Kind, LocalUpstream, Match, Reply, too_many
from tests.support.upstream import Quota as ScriptedQuota
from tests.support.upstream import Upstream as Scripted

Make = Callable[..., Upstream]
MISSING = "sha256:" + "0" * 64


# Manifests


@pytest.mark.parametrize("flavor", list(Flavor))
async def test_a_manifest_is_told_and_fetched_as_it_is(make: Make, upstream: Scripted, flavor: Flavor) -> None:
    made = image(flavor=flavor)
    upstream.add("library/app", made, "v1")
    up = make()
    assert await up.head_manifest("library/app", "v1") == ManifestHead(made.digest, made.media_type, len(made.manifest))
    for reference in ("v1", made.digest):
        fetched = await up.get_manifest("library/app", reference)
        assert fetched.content == made.manifest
        assert fetched.media_type == made.media_type
        assert fetched.digest == made.digest
    request = upstream.counters().select(made.digest, method="GET")[0].request
    accepted = request.header("accept") or ""
    assert request.header("accept-encoding") == "identity"
    assert made.media_type in accepted or any(made.media_type in value for _, value in request.headers)


async def test_what_upstream_does_not_tell_is_none(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(
        Match("HEAD", Kind.MANIFEST),
        Headers({"Docker-Content-Digest": None, "Content-Type": None, "Content-Length": None}),
    )
    head = await make().head_manifest("app", "v1")
    assert (head.digest, head.media_type) == (None, None)


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:" + "0" * 32, "../../etc/passwd"])
async def test_a_digest_that_is_none_is_not_believed(
    make: Make, upstream: Scripted, small_image: Image, digest: str
) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(Match(kind=Kind.MANIFEST), Headers({"Docker-Content-Digest": digest}))
    assert (await make().head_manifest("app", "v1")).digest is None
    assert (await make().get_manifest("app", "v1")).digest is None


async def test_a_media_type_is_without_its_parameters(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(Match(), Headers({"Content-Type": f"{DOCKER_MANIFEST.upper()}; charset=utf-8"}))
    assert (await make().get_manifest("app", "v1")).media_type == DOCKER_MANIFEST


async def test_an_upstream_without_head_is_one_that_tells_nothing(
    make: Make, upstream: Scripted, small_image: Image
) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(Match("HEAD"), Reply(405))
    assert await make().head_manifest("app", "v1") == ManifestHead(None, None, None)


@pytest.mark.parametrize(
    ("reply", "cause", "status", "retry_after"),
    [
        (Reply(404), Cause.NOT_FOUND, 404, None),
        (Reply(401), Cause.DENIED, 401, None),
        (Reply(403), Cause.DENIED, 403, None),
        (too_many(7), Cause.RATE_LIMITED, 429, 7.0),
        (too_many(), Cause.RATE_LIMITED, 429, None),
        (Reply(500), Cause.UPSTREAM, 500, None),
        (Reply(503, headers=(("Retry-After", "3"),)), Cause.UPSTREAM, 503, 3.0),
        (Reply(418), Cause.UPSTREAM, 418, None),
        (Hang(), Cause.UNREACHABLE, None, None),
    ],
)
async def test_failures(
    *, make: Make, upstream: Scripted, reply: Any, cause: Cause, status: int | None, retry_after: float | None
) -> None:
    upstream.always(Match(), reply)
    up = make()
    asks: dict[str, Awaitable[object]] = {
        "head_manifest": up.head_manifest("app", "v1"),
        "get_manifest": up.get_manifest("app", "v1"),
        "tags": up.tags("app"),
        "referrers": up.referrers("app", MISSING),
    }
    for name, ask in asks.items():
        if name == "referrers" and status == 404:
            # No API, and nothing under the tag schema either.
            assert await ask == []
            continue
        with pytest.raises(Failure) as caught:
            await ask
        assert caught.value.cause is cause, name
        assert caught.value.status == status
        if cause is not Cause.RATE_LIMITED or name == "head_manifest":
            # A limit holds for all requests: what is left of it.
            assert caught.value.retry_after == retry_after
        assert "up.example" in caught.value.message or upstream.url in caught.value.message


async def test_an_unreachable_upstream(make: Make, upstream: Scripted) -> None:
    upstream.down()
    with pytest.raises(Failure) as caught:
        await make().get_manifest("app", "v1")
    assert caught.value.cause is Cause.UNREACHABLE


async def test_a_manifest_over_the_limit(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(Match("GET"), Reply(200, body=b" " * ((8 << 20) + 1)))
    with pytest.raises(Failure) as caught:
        await make().get_manifest("app", "v1")
    assert caught.value.cause is Cause.TOO_LARGE


async def test_requests_are_counted_by_kind_and_status(tmp_path: Path, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    seen: list[tuple[str, int]] = []
    up = Upstream(
        "up.example",
        UpstreamConfig(url=upstream.url),
        store=Store(str(tmp_path)),
        run_dir=tmp_path / "run",
        on_request=lambda kind, status: seen.append((kind, status)),
    )
    await up.head_manifest("app", "v1")
    await up.get_manifest("app", "v1")
    await up.stat_blob("app", small_image.layers[0].digest)
    await up.tags("app")
    await up.referrers("app", small_image.digest)
    upstream.down()
    with pytest.raises(Failure):
        await up.tags("app")
    assert seen == [("manifest", 200), ("manifest", 200), ("blob", 200), ("tags", 200), ("referrers", 200), ("tags", 0)]


async def test_the_quota_is_read_where_it_is_told(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    up = make()
    await up.head_manifest("app", "v1")
    assert up.quota is None
    upstream.configure(quota=ScriptedQuota(limit=100, window=21600))
    await up.get_manifest("app", "v1")
    assert up.quota == Quota(99, 100, 21600)
    await up.head_manifest("app", "v1")
    assert up.quota == Quota(99, 100, 21600)


# Several URLs


async def test_the_next_url_is_asked_while_one_is_down(make: Make, upstream: Scripted, small_image: Image) -> None:
    with LocalUpstream() as first:
        for one in (first, upstream):
            one.add("app", small_image, "v1")
        up = make(first.url, upstream.url)
        assert up.base_count == 2
        await up.get_manifest("app", "v1")
        assert (first.gets(), upstream.gets()) == (1, 0)
        first.down()
        await up.head_manifest("app", "v1")
        await up.get_manifest("app", "v1")
        await up.tags("app")
        assert await up.stat_blob("app", small_image.layers[0].digest) == small_image.layers[0].size
        first.up()
        first.always(Match(), Reply(502))
        await up.get_manifest("app", "v1")
        assert first.gets(small_image.digest) == 1


async def test_the_next_url_is_asked_while_one_limits_us(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    with LocalUpstream() as first:
        first.always(Match(), too_many(100))
        up = make(first.url, upstream.url)
        for _ in range(3):
            await up.get_manifest("app", "v1")
        assert len(first.records()) == 1
        upstream.always(Match(), too_many(50))
        for _ in range(3):
            with pytest.raises(Failure) as caught:
                await up.get_manifest("app", "v1")
            assert caught.value.cause is Cause.RATE_LIMITED
        assert len(upstream.records()) == 4


@pytest.mark.parametrize("reply", [Reply(404), Reply(403)])
async def test_an_answer_that_is_no_outage_is_the_answer(
    make: Make, upstream: Scripted, small_image: Image, reply: Reply
) -> None:
    upstream.add("app", small_image, "v1")
    with LocalUpstream() as first:
        first.always(Match(), reply)
        with pytest.raises(Failure) as caught:
            await make(first.url, upstream.url).get_manifest("app", "v1")
        assert caught.value.status == reply.status
        assert upstream.records() == []


async def test_the_last_failure_is_raised_when_all_are_down(make: Make, upstream: Scripted) -> None:
    upstream.always(Match(), Reply(503))
    with LocalUpstream() as first:
        first.down()
        with pytest.raises(Failure) as caught:
            await make(first.url, upstream.url).get_manifest("app", "v1")
        assert caught.value.status == 503


async def test_a_base_url_may_have_a_path(make: Make, upstream: Scripted) -> None:
    upstream.always(Match(), Reply(404))
    with pytest.raises(Failure):
        await make(f"{upstream.url}/prefix/").get_manifest("app", "v1")
    assert upstream.records()[-1].request.target.startswith("/prefix/v2/app/manifests/v1")
    upstream.forget()


# Tags and referrers


async def test_tags_over_all_pages(
    make: Make, upstream: Scripted, small_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [f"v{number}" for number in range(7)]
    upstream.add("library/app", small_image, *tags)
    monkeypatch.setattr("pyregistry.mirror.pages._PAGE", 2)
    assert await make().tags("library/app") == tags
    assert upstream.gets(kind=Kind.TAGS) == 4


async def test_tags_of_an_upstream_that_allows_smaller_pages(
    make: Make, upstream: Scripted, small_image: Image
) -> None:
    upstream.add("app", small_image, "v1")
    upstream.once(Match(kind=Kind.TAGS), Reply(400, "PAGINATION_NUMBER_INVALID"))
    assert await make().tags("app") == ["v1"]


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        (b'{"name": "app", "tags": null}', []),
        (b'{"name": "app"}', []),
        (b'{"tags": ["v1", 7, null, "no tag", "", "v1", "v2"]}', ["v1", "v2"]),
        (b'{"tags": "v1"}', []),
    ],
)
async def test_odd_tag_lists(make: Make, upstream: Scripted, body: bytes, tags: list[str]) -> None:
    upstream.always(Match(kind=Kind.TAGS), Reply(200, body=body))
    assert await make().tags("app") == tags


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
async def test_tags_that_are_no_json(make: Make, upstream: Scripted, body: bytes) -> None:
    upstream.always(Match(kind=Kind.TAGS), Reply(200, body=body))
    with pytest.raises(Failure) as caught:
        await make().tags("app")
    assert caught.value.cause is Cause.PROTOCOL


async def test_a_link_that_goes_round_ends(make: Make, upstream: Scripted, small_image: Image) -> None:
    upstream.add("app", small_image, "v1")
    upstream.always(Match(kind=Kind.TAGS), Headers({"Link": '</v2/app/tags/list?n=1000>; rel="next"'}))
    assert await make().tags("app") == ["v1"]
    assert upstream.gets(kind=Kind.TAGS) == 1


@pytest.mark.parametrize("api", [True, False])
async def test_referrers_by_the_api_or_the_tag_schema(make: Make, upstream: Scripted, api: bool) -> None:
    subject = image()
    signatures = [artifact(b"", f"application/vnd.test.{number}", subject=subject) for number in range(3)]
    upstream.configure(referrers=api, referrers_page=2 if api else None)
    upstream.add("app", subject, "v1")
    for signature in signatures:
        upstream.add("app", signature)
    found = await make().referrers("app", subject.digest)
    assert {one.digest: one.artifact_type for one in found} == {one.digest: one.artifact_type for one in signatures}
    assert await make().referrers("app", MISSING) == []


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_an_upstream_without_referrers_has_none(make: Make, upstream: Scripted, status: int) -> None:
    upstream.always(Match(kind=Kind.REFERRERS), Reply(status))
    assert await make().referrers("app", MISSING) == []
    assert upstream.gets("sha256-" + "0" * 64) == 1


async def test_a_page_for_people_is_no_list_of_referrers(make: Make, upstream: Scripted) -> None:
    upstream.always(Match(kind=Kind.REFERRERS), Reply(200, body=b"<html>"), Headers({"Content-Type": "text/html"}))
    assert await make().referrers("app", MISSING) == []


async def test_entries_that_are_no_descriptors_are_left_out(make: Make, upstream: Scripted) -> None:
    body = b'{"manifests": [null, {"digest": "x"}, {"mediaType": "a/b", "digest": "%s", "size": 2}]}' % MISSING.encode()
    upstream.always(Match(kind=Kind.REFERRERS), Reply(200, body=body))
    assert [one.digest for one in await make().referrers("app", MISSING)] == [MISSING]


async def test_a_long_digest_has_a_short_tag(make: Make, upstream: Scripted) -> None:
    upstream.configure(referrers=False)
    assert await make().referrers("app", "sha512:" + "ab" * 64) == []
    assert upstream.records()[-1].request.reference == "sha512-" + "ab" * 32
