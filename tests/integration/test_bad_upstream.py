"""I4, I6 and I7 from outside: what an upstream that breaks or lies does to clients."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.support.clients import fetch, get
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.storms import run_storm
from tests.support.upstream import (
    NO_BLOB_HEAD,
    Cut,
    Headers,
    IgnoreRange,
    Kind,
    LocalUpstream,
    Match,
    Reply,
    Upstream,
    too_many,
)
from tests.support.upstream.answers import Ending

MIB = 1 << 20


def blobs_on_disk(server: Serve) -> set[str]:
    return {path.name for path in (server.root / "blobs").rglob("*") if path.is_file()}


def test_wrong_bytes_never_make_a_complete_body(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4 * MIB], seed="wrong")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    fault = upstream.corrupt(layer.digest, 1 * MIB)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"

    async def storm() -> None:
        replies = await asyncio.gather(*(fetch(url, keep=False) for _ in range(8)))
        assert not any(reply.complete and reply.status == 200 for reply in replies)

    asyncio.run(storm())
    assert layer.digest.partition(":")[2] not in blobs_on_disk(server)
    upstream.remove_fault(fault)

    async def until_right() -> None:
        # The failure is on record for a second; then a request begins a new generation.
        while True:
            reply = await fetch(url, expect=layer)
            if reply.right:
                return
            assert not reply.complete or reply.status == 502

    asyncio.run(asyncio.wait_for(until_right(), 30))
    assert layer.digest.partition(":")[2] in blobs_on_disk(server)


def test_wrong_manifest_is_refused(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="wrong manifest")
    upstream.add("team/app", made, "v1")
    upstream.always(Match("GET", Kind.MANIFEST), Reply(200, body=b'{"schemaVersion":2}'))
    server = serve(upstreams={"docker.io": upstream.url})
    reply = get(f"{server.url}/v2/team/app/manifests/{made.digest}")
    assert reply.status == 502, reply.body


@pytest.mark.parametrize("ending", [Ending.RST, Ending.FIN])
def test_upstream_cut_at_half_is_not_noticed(ending: Ending, upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([8 * MIB], seed=f"cut {ending}")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.once(Match("GET", reference=layer.digest), Cut(4 * MIB, ending))
    server = serve(upstreams={"docker.io": upstream.url})
    pulls = run_storm(server.url, [("team/app", "v1")], made, 8)
    assert [wrong for one in pulls for wrong in one.wrong()] == []
    assert upstream.gets(layer.digest) == 2
    assert upstream.overlap(layer.digest) <= 1 * MIB


def test_cut_upstream_without_ranges_costs_bytes_only(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4 * MIB], seed="no ranges")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.once(Match("GET", reference=layer.digest), Cut(2 * MIB))
    upstream.always(Match("GET", reference=layer.digest), IgnoreRange())
    server = serve(upstreams={"docker.io": upstream.url})
    assert get(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer).right


def test_blob_heads_are_never_needed(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([MIB], seed="no head")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(NO_BLOB_HEAD, Reply(401))
    server = serve(upstreams={"docker.io": upstream.url})
    head = get(f"{server.url}/v2/team/app/blobs/{layer.digest}", method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(MIB))
    # HEAD never fills.
    assert upstream.body_bytes(layer.digest) <= 1
    assert get(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer).right


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Reply(404, "BLOB_UNKNOWN"), 404, b"BLOB_UNKNOWN"),
        (Reply(401), 404, b"BLOB_UNKNOWN"),
        (Reply(403, "DENIED"), 404, b"BLOB_UNKNOWN"),
        (too_many(7), 429, b"TOOMANYREQUESTS"),
        (Reply(500), 502, b"UNAVAILABLE"),
    ],
)
def test_upstreams_answer_becomes_ours(
    answer: Reply, status: int, code: bytes, upstream: Upstream, serve: Callable[..., Serve]
) -> None:
    made = image([4096], seed="answers")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(Match("GET", reference=layer.digest), answer)
    server = serve(upstreams={"docker.io": upstream.url})
    reply = get(f"{server.url}/v2/team/app/blobs/{layer.digest}")
    assert (reply.status, code in reply.body) == (status, True), reply.body
    if status == 429:
        assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-9"}])
def test_a_body_that_fails_before_its_first_byte_is_an_error(
    headers: dict[str, str], upstream: Upstream, serve: Callable[..., Serve]
) -> None:
    """Its size was known, so there was a status already; none of it had reached the client."""
    made = image([MIB], seed=f"no byte {headers}")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(Match("GET", reference=layer.digest), Cut(0))
    server = serve(upstreams={"docker.io": upstream.url})
    reply = get(f"{server.url}/v2/team/app/blobs/{layer.digest}", headers=headers)
    assert (reply.status, b'"cause":"UNREACHABLE"' in reply.body) == (502, True), reply.body
    assert (reply.headers["content-type"], "etag" in reply.headers) == ("application/json", False)


def test_a_failure_answers_everyone_and_asks_once(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """I6: one generation, one request upstream, the same cause for all."""
    made = image([4096], seed="i6")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(Match("GET", reference=layer.digest), too_many(30))
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/{made.digest}").status == 200
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"

    async def storm() -> set[int]:
        return {reply.status for reply in await asyncio.gather(*(fetch(url) for _ in range(32)))}

    assert asyncio.run(storm()) == {429}
    assert asyncio.run(storm()) == {429}
    assert upstream.gets(layer.digest) == 1


def test_upstream_down_serves_what_is_cached(serve: Callable[..., Serve]) -> None:
    made = image([MIB], seed="down")
    with LocalUpstream() as upstream:
        upstream.add("team/app", made, "v1")
        server = serve(upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s"}})
        assert run_storm(server.url, [("team/app", "v1")], made, 1)[0].wrong() == []
        upstream.down()
        again = run_storm(server.url, [("team/app", "v1")], made, 4)
        assert [wrong for one in again for wrong in one.wrong()] == []
        stale = get(f"{server.url}/v2/team/app/manifests/v1")
        assert stale.status == 200
        assert "stale" in stale.headers["warning"]
        assert get(f"{server.url}/v2/team/app/manifests/v2").status == 502


def test_removed_tag_goes_and_a_refusal_keeps_it(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="removed")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s", "negative_ttl": "0s"}})
    url = f"{server.url}/v2/team/app/manifests/v1"
    assert get(url).status == 200
    refusal = upstream.always(Match(kind=Kind.MANIFEST, reference="v1"), Reply(403, "DENIED"))
    assert get(url).status == 200
    upstream.remove_fault(refusal)
    upstream.tag("team/app", "v1", None)

    async def until_gone() -> None:
        # The refusal answers the same question for a second.
        while (await fetch(url)).status != 404:
            pass

    asyncio.run(asyncio.wait_for(until_gone(), 30))


def test_a_tag_whose_manifest_is_missing_upstream_is_kept(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """HEAD names a digest that GET does not find: replicas that differ, not a tag that was removed."""
    made = image([4096], seed="half a tag")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s", "negative_ttl": "0s"}})
    url = f"{server.url}/v2/team/app/manifests/v1"
    assert get(url).status == 200
    named = Headers({"Docker-Content-Digest": "sha256:" + "0" * 64})
    fault = upstream.always(Match("HEAD", Kind.MANIFEST), named)
    for _ in range(2):
        stale = get(url)
        assert (stale.status, stale.body, "stale" in stale.headers["warning"]) == (200, made.manifest, True)
    unknown = get(f"{server.url}/v2/team/app/manifests/v2")
    assert unknown.status == 404
    upstream.remove_fault(fault)
    # What failed is answered for a second before it is asked again.
    deadline = time.monotonic() + 20
    while "warning" in get(url).headers:
        assert time.monotonic() < deadline
        time.sleep(0.1)
