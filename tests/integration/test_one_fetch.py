"""I2 from outside: whatever many clients ask for at once, upstream gives each digest once."""

import asyncio
from collections.abc import Callable

import pytest

from tests.support.clients import get
from tests.support.images import Image, image, multi_platform
from tests.support.serve import Serve
from tests.support.storms import run_storm, storm
from tests.support.upstream import Kind, LocalUpstream, Upstream

CLIENTS = 50


def assert_fetched_once(upstream: Upstream, *images: Image) -> None:
    """Each manifest and blob by one GET, and exactly its bytes."""
    for one in images:
        for part in one.walk():
            assert upstream.gets(part.digest) == 1, part.digest
            for blob in part.blobs:
                assert upstream.gets(blob.digest) == 1, blob
                assert upstream.body_bytes(blob.digest) == blob.size, blob


@pytest.mark.timeout(300)
def test_storm_fetches_each_digest_once(
    upstream_process: Upstream, serve: Callable[..., Serve], large_image: Image
) -> None:
    """50 clients, cold, 4 layers of 64 MiB, 2 workers: every byte right, every digest once, one HEAD of the tag."""
    upstream_process.add("library/app", large_image, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream_process.url, "library": True}}, workers=2)
    pulls = run_storm(server.url, [("library/app", "v1")], large_image, CLIENTS)
    assert [wrong for one in pulls for wrong in one.wrong()] == []
    assert_fetched_once(upstream_process, large_image)
    assert upstream_process.heads("v1") <= 1


@pytest.mark.timeout(120)
def test_repositories_that_share_layers_fetch_them_once(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    shared = image([8 << 20, 8 << 20], seed="shared")
    first = image(layers=shared.layers, seed="first")
    second = image(layers=shared.layers, seed="second")
    upstream_process.add("team/first", first, "v1")
    upstream_process.add("team/second", second, "v1")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)

    async def both() -> list[str]:
        pulls = await asyncio.gather(
            storm(server.url, [("team/first", "v1")], first, CLIENTS // 2),
            storm(server.url, [("team/second", "v1")], second, CLIENTS // 2),
        )
        return [wrong for group in pulls for one in group for wrong in one.wrong()]

    assert asyncio.run(both()) == []
    assert_fetched_once(upstream_process, first, second)


@pytest.mark.timeout(120)
def test_tag_and_digest_names_of_one_image_fetch_it_once(
    upstream_process: Upstream, serve: Callable[..., Serve]
) -> None:
    made = multi_platform([1 << 20, 4 << 20], seed="names")
    upstream_process.add("team/app", made, "v1", "latest")
    server = serve(upstreams={"docker.io": upstream_process.url}, workers=2)
    names = [("team/app", "v1"), ("team/app", "latest"), ("team/app", None), ("docker.io/team/app", "v1")]
    pulls = run_storm(server.url, names, made, CLIENTS)
    assert [wrong for one in pulls for wrong in one.wrong()] == []
    assert_fetched_once(upstream_process, made)
    assert upstream_process.heads("v1") <= 1
    assert upstream_process.heads("latest") <= 1


def test_second_upstream_name_costs_one_vouching_head_and_no_body(serve: Callable[..., Serve]) -> None:
    made = image([1 << 20, 2 << 20], seed="two names")
    with LocalUpstream() as first, LocalUpstream() as second:
        first.add("team/app", made, "v1")
        second.add("team/app", made, "v1")
        server = serve(upstreams={"one.test": first.url, "two.test": second.url}, workers=2)
        for name in ("one.test/team/app", "two.test/team/app"):
            pulls = run_storm(server.url, [(name, "v1")], made, 4)
            assert [wrong for one in pulls for wrong in one.wrong()] == []
        assert_fetched_once(first, made)
        assert second.body_bytes() == 0
        assert second.gets(kind=Kind.BLOB) == 0
        assert second.gets(kind=Kind.MANIFEST) == 0
        # One HEAD for the tag vouches for the manifest, and the manifest for its blobs.
        assert second.heads() == 1


def test_blob_without_a_row_is_vouched_for_before_a_hit(serve: Callable[..., Serve]) -> None:
    """I12: knowing a digest is no right to read it."""
    made = image([1 << 20], seed="vouch")
    layer = made.layers[0]
    with LocalUpstream() as public, LocalUpstream() as other:
        public.add("team/app", made, "v1")
        other.add("team/app", image([4096], seed="unrelated"), "v1")
        other.add_blob("team/copy", layer)
        server = serve(upstreams={"one.test": public.url, "two.test": other.url}, workers=2)
        assert run_storm(server.url, [("one.test/team/app", "v1")], made, 1)[0].wrong() == []

        refused = get(f"{server.url}/v2/two.test/team/app/blobs/{layer.digest}")
        assert refused.status == 404, refused.body
        assert b"BLOB_UNKNOWN" in refused.body
        given = get(f"{server.url}/v2/two.test/team/copy/blobs/{layer.digest}", expect=layer)
        assert given.right
        # Upstream's 404 to HEAD is not believed before a one-byte range says so too: no body of a blob came.
        assert not [r for r in other.counters().select(layer.digest, method="GET") if r.status in (200, 206)]
        assert other.heads(layer.digest) == 2


def test_cold_blob_without_any_manifest_request_is_served(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """A cold fetch vouches by its own success."""
    made = image([3 << 20], seed="direct")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)

    layer = made.layers[0]
    assert get(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer).right
    assert upstream.heads() == 0
    assert upstream.gets(layer.digest) == 1
    assert get(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer).right
    assert len(upstream.records()) == 1
