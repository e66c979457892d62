"""An upstream that counts our pulls, as Docker Hub does: few of them left, and none."""

from collections.abc import Callable

import pytest

from tests.support.clients import get
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import Headers, Kind, Match, Quota, Upstream

Start = Callable[..., Serve]
TAGS = {"freshness": {"ttl": "0s"}}


@pytest.mark.parametrize("tells_digest", [True, False])
def test_below_the_reserve_a_cached_tag_is_not_pulled(tells_digest: bool, upstream: Upstream, serve: Start) -> None:
    made, moved, other = (image([4096], seed=seed) for seed in ("made", "moved", "other"))
    upstream.add("team/app", made, "v1")
    upstream.add("team/other", other, "v1")
    upstream.configure(quota=Quota(limit=100, remaining=12))
    server = serve(upstreams={"docker.io": {"url": upstream.url, "quota_reserve": 11}}, mirror=TAGS, workers=1)
    url = f"{server.url}/v2/team/app/manifests/v1"
    assert get(url).headers["docker-content-digest"] == made.digest
    if not tells_digest:
        upstream.always(Match("HEAD", Kind.MANIFEST), Headers({"Docker-Content-Digest": None}))
    upstream.add("team/app", moved, "v1")
    assert get(url).headers["docker-content-digest"] == moved.digest
    upstream.add("team/app", made, "v2")
    upstream.add("team/app", other, "v1")
    upstream.forget()
    stale = get(url)
    assert stale.headers["docker-content-digest"] == moved.digest
    assert "stale" in stale.headers["warning"]
    assert (upstream.heads("v1"), upstream.gets()) == (1, 0)
    # The reserve is for this.
    assert get(f"{server.url}/v2/team/other/manifests/v1").status == 200
    assert upstream.gets(kind=Kind.MANIFEST) == 1


def test_no_pulls_left_holds_manifests_alone(upstream: Upstream, serve: Start) -> None:
    made, other = image([4096], seed="spent"), image([4096], seed="not cached")
    upstream.add("team/app", made, "v1")
    upstream.add("team/other", other, "v1", "v2")
    upstream.configure(quota=Quota(limit=100, remaining=1, retry_after=100))
    server = serve(upstreams={"docker.io": upstream.url}, mirror=TAGS, workers=1)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    refused = get(f"{server.url}/v2/team/other/manifests/v1")
    assert (refused.status, refused.headers["retry-after"]) == (429, "100")
    upstream.forget()
    assert get(f"{server.url}/v2/team/other/manifests/v2").status == 429
    assert get(f"{server.url}/v2/team/app/manifests/v1").headers["docker-content-digest"] == made.digest
    assert upstream.records() == []
    assert get(f"{server.url}/v2/team/app/blobs/{made.layers[0].digest}", expect=made.layers[0]).right
