"""The pull side of the distribution API through the mirror, cold and warm."""

import asyncio
import json
from collections.abc import Callable
from email.parser import BytesParser
from typing import TYPE_CHECKING, cast

import pytest

from tests.support.clients import fetch, get
from tests.support.images import OCI_INDEX, Flavor, artifact, image, multi_platform
from tests.support.serve import Serve
from tests.support.storms import run_storm
from tests.support.upstream import Hold, Kind, Match, Quota, Upstream

if TYPE_CHECKING:
    from email.message import Message

MIB = 1 << 20


@pytest.mark.parametrize("flavor", list(Flavor))
def test_manifests_keep_bytes_and_types(flavor: Flavor, upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = multi_platform(seed="types", flavor=flavor)
    upstream.add("library/app", made, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream.url, "library": True}})
    assert run_storm(server.url, [("app", "v1")], made, 2)[0].wrong() == []
    reply = get(f"{server.url}/v2/app/manifests/v1")
    assert reply.headers["etag"] == f'"{made.digest}"'
    unchanged = get(f"{server.url}/v2/app/manifests/v1", headers={"If-None-Match": f'"{made.digest}"'})
    assert (unchanged.status, unchanged.body) == (304, b"")


@pytest.mark.parametrize("warm", [False, True])
def test_blob_ranges(warm: bool, upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([MIB + 17], seed="ranges")
    layer = made.layers[0]
    data, size = bytes(layer.data), layer.size
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
    if warm:
        assert get(url, expect=layer).right
    for header, begin, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-", 1000, size),
        ("bytes=-500", size - 500, size),
        (f"bytes={size - 5}-{size + 100}", size - 5, size),
        ("bytes=0-", 0, size),
    ]:
        reply = get(url, headers={"Range": header})
        assert reply.status == 206, header
        assert reply.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
        assert reply.body == data[begin:end], header
    assert get(url, headers={"Range": "bytes=500-0"}).status == 416
    beyond = get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert json.loads(beyond.body)["errors"][0]["code"] == "RANGE_INVALID"
    # Not a byte range, or for another version of it: the whole.
    assert get(url, headers={"Range": "lines=1-2"}, expect=layer).status == 200
    assert get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'}, expect=layer).status == 200
    assert get(url, headers={"Range": "bytes=0-9", "If-Range": f'"{layer.digest}"'}).body == data[:10]


@pytest.mark.parametrize("warm", [False, True])
def test_multi_range_has_as_many_parts_as_asked_in_their_order(
    warm: bool, upstream: Upstream, serve: Callable[..., Serve]
) -> None:
    made = image([2 * MIB], seed="multi")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=1)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
    if warm:
        assert get(url, expect=layer).right
    asked = [(n * 1500 % (2 * MIB - 400), 300) for n in range(1024, 0, -1)]
    reply = get(url, headers={"Range": "bytes=" + ",".join(f"{b}-{b + n - 1}" for b, n in asked)})
    assert reply.status == 206
    assert len(reply.body) == int(reply.headers["content-length"])
    head = b"Content-Type: " + reply.headers["content-type"].encode() + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + reply.body)
    parts = cast("list[Message]", message.get_payload())
    assert [part["Content-Range"] for part in parts] == [f"bytes {b}-{b + n - 1}/{layer.size}" for b, n in asked]
    assert all(
        part.get_payload(decode=True) == bytes(layer.data[b : b + n]) for part, (b, n) in zip(parts, asked, strict=True)
    )


def test_range_of_a_fill_is_sent_as_its_bytes_come(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([8 * MIB], seed="in flight")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(Match("GET", reference=layer.digest), Hold(4 * MIB))
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/blobs/{layer.digest}"

    async def scenario() -> None:
        whole = asyncio.create_task(fetch(url, expect=layer))
        await asyncio.to_thread(upstream.wait_held, "hold", 1)
        # Present already: served although the fill stands still.
        early = await fetch(url, headers={"Range": f"bytes={MIB}-{2 * MIB - 1}"}, expect=layer, offset=MIB)
        assert (early.status, early.received, early.same) == (206, MIB, True)
        late = asyncio.create_task(fetch(url, headers={"Range": "bytes=-1000"}, expect=layer, offset=8 * MIB - 1000))
        upstream.release("hold")
        assert (await late).right
        assert (await whole).right

    asyncio.run(scenario())
    # The end may have been asked for alone before the fill went on: what of it both brought is a block at most.
    assert upstream.gets(layer.digest) <= 2
    assert upstream.overlap(layer.digest) <= 32 << 10


def test_addresses(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """Prefix, alias, `?ns=` and the plain Docker mirror, all at once; a registry nobody configured is never asked."""
    made = image([4096], seed="addresses")
    upstream.add("library/app", made, "v1")
    upstream.add("org/app", made, "v1")
    server = serve(
        upstreams={
            "docker.io": {"url": upstream.url, "library": True, "aliases": ["hub"]},
            "ghcr.io": upstream.url,
            "localhost:5001": upstream.url,
        }
    )
    hub = ("app", "library/app", "docker.io/app", "docker.io/library/app", "hub/app")
    for path in (*hub, "ghcr.io/org/app", "localhost:5001/org/app"):
        assert get(f"{server.url}/v2/{path}/manifests/v1").status == 200, path
    by_ns = get(f"{server.url}/v2/org/app/manifests/v1?ns=ghcr.io")
    assert (by_ns.status, by_ns.headers["oci-namespace"]) == (200, "ghcr.io")
    assert get(f"{server.url}/v2/org/app/blobs/{made.layers[0].digest}?ns=ghcr.io", expect=made.layers[0]).right
    upstream.forget()
    for path in ("quay.io/org/app/manifests/v1", "org/app/manifests/v1?ns=quay.io", "10.0.0.1:80/x/manifests/v1"):
        refused = get(f"{server.url}/v2/{path}")
        assert refused.status == 404, path
        assert json.loads(refused.body)["errors"][0]["code"] == "NAME_UNKNOWN"
    assert upstream.records() == []


def test_tags_list(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="tags")
    names = sorted(f"v{n}" for n in range(25))
    upstream.add("team/app", made, *names)
    upstream.configure(tags_page=7)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/tags/list"
    assert json.loads(get(url).body) == {"name": "team/app", "tags": names}
    asked = len(upstream.records())
    first = get(f"{url}?n=10")
    assert json.loads(first.body)["tags"] == names[:10]
    assert first.headers["link"].startswith("</v2/team/app/tags/list?")
    following = first.headers["link"].partition("<")[2].partition(">")[0]
    assert json.loads(get(server.url + following).body)["tags"] == names[10:20]
    assert json.loads(get(f"{url}?n=10&last={names[19]}").body)["tags"] == names[20:]
    assert json.loads(get(f"{url}?n=0").body)["tags"] == []
    assert get(f"{url}?n=x").status == 400
    assert len(upstream.records()) == asked, "within the TTL nothing is asked again"
    unknown = get(f"{server.url}/v2/team/none/tags/list")
    assert (unknown.status, json.loads(unknown.body)["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


def test_tags_list_when_upstream_is_down(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="tags down")
    upstream.add("team/app", made, "v1", "v2")
    server = serve(upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s"}})
    assert get(f"{server.url}/v2/team/app/tags/list").status == 200
    upstream.down()
    assert json.loads(get(f"{server.url}/v2/team/app/tags/list").body)["tags"] == ["v1", "v2"]


@pytest.mark.parametrize("api", [True, False])
def test_referrers(api: bool, upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="subject")
    signature = artifact(b"signed", "application/vnd.example.signature", subject=made)
    sbom = artifact(b"{}{}", "application/vnd.example.sbom", subject=made)
    upstream.configure(referrers=api, referrers_page=1)
    for one, tag in ((made, "v1"), (signature, "sig"), (sbom, "sbom")):
        upstream.add("team/app", one, tag)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    url = f"{server.url}/v2/team/app/referrers/{made.digest}"
    reply = get(url)
    assert (reply.status, reply.headers["content-type"]) == (200, OCI_INDEX)
    assert {d["digest"] for d in json.loads(reply.body)["manifests"]} == {signature.digest, sbom.digest}
    filtered = get(f"{url}?artifactType=application/vnd.example.sbom")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert [d["digest"] for d in json.loads(filtered.body)["manifests"]] == [sbom.digest]
    assert run_storm(server.url, [("team/app", None)], signature, 1)[0].wrong() == []
    for path in (f"team/app/referrers/{image([1], seed='x').digest}", f"team/none/referrers/{made.digest}"):
        nothing = get(f"{server.url}/v2/{path}")
        assert (nothing.status, json.loads(nothing.body)["manifests"]) == (200, [])


def test_index_is_stored_with_only_the_children_asked_for(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = multi_platform(seed="sparse")
    wanted = made.children[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    assert run_storm(server.url, [("team/app", None)], wanted, 1)[0].wrong() == []
    for other in made.children[1:]:
        assert upstream.gets(other.digest) == 0
        assert all(upstream.gets(blob.digest) == 0 for blob in other.blobs)


def test_errors_and_odds(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="odds")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url})
    assert get(f"{server.url}/v2/").status == 200
    assert get(f"{server.url}/livez").status == 200
    assert get(f"{server.url}/readyz").status == 200
    for method, path, status, code in [
        ("GET", "team/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", "team/app/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("GET", f"team/app/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("GET", "team/App/manifests/v1", 400, "NAME_INVALID"),
        ("PUT", "team/app/manifests/v1", 405, "UNSUPPORTED"),
        ("POST", "team/app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("BREW", "team/app/manifests/v1", 405, "UNSUPPORTED"),
    ]:
        reply = get(f"{server.url}/v2/{path}", method=method)
        assert reply.status == status, (method, path, reply.body)
        assert json.loads(reply.body)["errors"][0]["code"] == code
        assert reply.headers["content-type"] == "application/json"
    head = get(f"{server.url}/v2/team/app/manifests/none", method="HEAD")
    assert (head.status, head.body) == (404, b"")
    # Docker's fixed digest of nothing needs neither disk nor upstream.
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert get(f"{server.url}/v2/team/app/blobs/{empty}").body == b""
    assert upstream.gets(kind=Kind.BLOB) <= 1


def test_tag_within_its_ttl_is_not_asked_about(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made, moved = image([4096], seed="old"), image([4096], seed="new")
    upstream.add("team/app", made, "v1", "latest")
    server = serve(
        upstreams={"docker.io": {"url": upstream.url, "tags": [{"pattern": "*:v*", "immutable": True}]}},
        mirror={"freshness": {"ttl": "0s"}},
        workers=2,
    )
    for tag in ("v1", "latest"):
        assert get(f"{server.url}/v2/team/app/manifests/{tag}").headers["docker-content-digest"] == made.digest
    upstream.add("team/app", moved, "v1", "latest")
    upstream.forget()
    fixed = get(f"{server.url}/v2/team/app/manifests/v1")
    assert fixed.headers["docker-content-digest"] == made.digest
    assert upstream.records() == []
    follows = get(f"{server.url}/v2/team/app/manifests/latest")
    assert follows.headers["docker-content-digest"] == moved.digest
    assert (upstream.heads("latest"), upstream.gets(moved.digest)) == (1, 1)
    # Unchanged: a HEAD and no GET.
    upstream.forget()
    assert get(f"{server.url}/v2/team/app/manifests/latest").status == 200
    assert (upstream.heads("latest"), upstream.gets()) == (1, 0)


def test_missing_tag_is_remembered_briefly(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    upstream.add("team/app", image([4096], seed="missing"), "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    for _ in range(6):
        assert get(f"{server.url}/v2/team/app/manifests/none").status == 404
    assert upstream.heads("none") + upstream.gets("none") == 1


def test_quota_of_the_upstream_is_a_metric(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    upstream.add("team/app", image([4096], seed="quota"), "v1")
    upstream.configure(quota=Quota(limit=100, remaining=76))
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    metrics = get(f"{server.metrics_url}/metrics").body.decode()
    assert 'pyregistry_mirror_upstream_quota_remaining{upstream="docker.io"} 75.0' in metrics
