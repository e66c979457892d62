"""What clients get while an upstream is down, silent or limits us, and how it is found to be back."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clients import fetch, get
from tests.support.images import Image, image
from tests.support.ports import port_of, reserve
from tests.support.serve import Serve
from tests.support.storms import run_storm
from tests.support.upstream import Cut, Hold, Kind, LocalUpstream, Match, Reply, Silence, Upstream, too_many

NEVER = "10m"
"""A time that no test waits for: what is answered did not wait."""
MANIFESTS = Match(kind=Kind.MANIFEST)
Start = Callable[..., Serve]


def mirror(*, failures: int = 2, pause: str = NEVER, **freshness: str) -> dict[str, Any]:
    """A breaker that opens soon, and tags that are always asked about."""
    return {
        "freshness": {"ttl": "0s", "negative_ttl": "0s", **freshness},
        "breaker": {"failures": failures, "pause": pause, "longest_pause": pause},
    }


def codes(body: bytes) -> list[str]:
    return [error["code"] for error in json.loads(body)["errors"]]


def metric(server: Serve, series: str) -> float:
    lines = get(f"{server.metrics_url}/metrics").body.decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def status(server: Serve) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "pyregistry", "status", "--json", "--root", str(server.root)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_a_silent_upstream_is_waited_for_once(upstream: Upstream, serve: Start) -> None:
    """The first request waits for `answer_within`; then the tag is served stale at once, by every worker."""
    made = image([4096], seed="silent")
    upstream.add("team/app", made, "v1", "v2")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(answer_within="200ms"), workers=2)
    for tag in ("v1", "v2"):
        assert get(f"{server.url}/v2/team/app/manifests/{tag}").status == 200
    upstream.always(MANIFESTS, Silence())
    upstream.forget()
    first = get(f"{server.url}/v2/team/app/manifests/v1")
    assert (first.status, "stale" in first.headers["warning"]) == (200, True)
    server.terminate()
    # Now an answer that comes too late would fail the test: nothing may be waited for.
    server.config["mirror"]["freshness"]["answer_within"] = NEVER
    server.rewrite_config()
    server.start()
    for tag in ("v1", "v2", "v1", "v2"):
        stale = get(f"{server.url}/v2/team/app/manifests/{tag}")
        assert stale.headers["docker-content-digest"] == made.digest
        assert "stale" in stale.headers["warning"]


def test_an_open_breaker_answers_at_once_and_asks_nothing(upstream: Upstream, serve: Start) -> None:
    made = image([4096], seed="open")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(), workers=2)
    assert run_storm(server.url, [("team/app", "v1")], made, 1)[0].wrong() == []
    upstream.always(Match(), Reply(503))
    for name in ("one", "two"):
        assert get(f"{server.url}/v2/team/{name}/manifests/v1").status == 502
    upstream.forget()
    assert run_storm(server.url, [("team/app", "v1")], made, 4)[0].wrong() == []
    for path in ("team/three/manifests/v1", f"team/three/blobs/{layer.digest}", "team/three/tags/list"):
        for _ in range(4):
            refused = get(f"{server.url}/v2/{path}")
            assert (refused.status, codes(refused.body)) == (502, ["UNAVAILABLE"])
            assert int(refused.headers["retry-after"]) > 1
            assert "2 failures in a row" in refused.body.decode()
    assert upstream.records() == []
    assert metric(server, 'pyregistry_mirror_breaker_open{upstream="docker.io"}') == 1
    (trouble,) = status(server)["troubles"]
    assert (trouble["upstream"], trouble["url"], trouble["cause"]) == ("docker.io", upstream.url, "upstream")


def test_a_probe_finds_recovery(upstream: Upstream, serve: Start) -> None:
    made = image([4096], seed="back")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(pause="50ms"), workers=2)
    fault = upstream.always(Match(), Reply(503))
    for name in ("one", "two"):
        assert get(f"{server.url}/v2/team/{name}/manifests/v1").status == 502
    upstream.wait_requests(Match(kind=Kind.PING), 3)
    upstream.remove_fault(fault)

    async def until_back() -> None:
        while (await fetch(f"{server.url}/v2/team/app/manifests/v1")).status != 200:
            pass

    asyncio.run(asyncio.wait_for(until_back(), 30))
    assert run_storm(server.url, [("team/app", "v1")], made, 2)[0].wrong() == []
    assert metric(server, 'pyregistry_mirror_breaker_open{upstream="docker.io"}') == 0
    assert status(server)["troubles"] == []


@pytest.mark.parametrize("as_date", [False, True])
def test_a_limit_is_honoured_for_all_requests(as_date: bool, upstream: Upstream, serve: Start) -> None:
    made = image([4096], seed="limit")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(), workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    upstream.always(Match(), too_many(120, as_date=as_date))
    assert get(f"{server.url}/v2/team/other/manifests/v1").status == 429
    upstream.forget()
    for path in ("team/app/manifests/v2", f"team/app/blobs/{made.layers[0].digest}", "team/more/tags/list"):
        for _ in range(4):
            limited = get(f"{server.url}/v2/{path}")
            assert (limited.status, codes(limited.body)) == (429, ["TOOMANYREQUESTS"]), path
            assert 1 < int(limited.headers["retry-after"]) <= 120
    stale = get(f"{server.url}/v2/team/app/manifests/v1")
    assert (stale.status, "stale" in stale.headers["warning"]) == (200, True)
    assert upstream.records() == []


def test_a_limit_that_meets_the_rest_of_a_body_is_honoured(upstream: Upstream, serve: Start) -> None:
    made = image([1 << 20], seed="limited rest")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror())
    upstream.once(Match("GET", reference=layer.digest), Cut(500_000))
    upstream.always(Match("GET", ranged=True), too_many(120))
    assert not get(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer).right
    limited = get(f"{server.url}/v2/team/app/manifests/v1")
    assert limited.status == 429
    assert [record.status for record in upstream.records()] == [200, 429]


def test_a_limit_passes(upstream: Upstream, serve: Start) -> None:
    made = image([4096], seed="passes")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror())
    upstream.once(Match(), too_many(0.2))
    assert get(f"{server.url}/v2/team/other/manifests/v1").status == 429

    async def until_back() -> None:
        while (await fetch(f"{server.url}/v2/team/app/manifests/v1")).status != 200:
            pass

    asyncio.run(asyncio.wait_for(until_back(), 30))
    assert upstream.counters().select(kind=Kind.PING) == []


def test_the_next_url_serves_while_the_first_is_down(upstream: Upstream, serve: Start) -> None:
    made = image([4096, 1 << 20], seed="next url")
    upstream.add("team/app", made, "v1")
    nobody = reserve()
    urls = [f"http://127.0.0.1:{port_of(nobody)}", upstream.url]
    server = serve(upstreams={"docker.io": {"urls": urls}}, mirror=mirror(), workers=2)
    assert run_storm(server.url, [("team/app", "v1")], made, 4)[0].wrong() == []
    assert metric(server, 'pyregistry_mirror_breaker_open{upstream="docker.io"}') == 1
    (trouble,) = status(server)["troubles"]
    assert trouble["url"] == urls[0]
    nobody.close()


def test_start_with_every_upstream_down(serve: Start) -> None:
    made = image([4096], seed="start")
    with LocalUpstream() as upstream:
        upstream.add("team/app", made, "v1")
        server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(), workers=2)
        assert run_storm(server.url, [("team/app", "v1")], made, 1)[0].wrong() == []
        server.terminate()
        upstream.down()
        server.start()
        assert get(f"{server.url}/readyz").status == 200
        assert run_storm(server.url, [("team/app", "v1")], made, 4)[0].wrong() == []
        assert get(f"{server.url}/v2/team/app/manifests/v2").status == 502


@pytest.mark.parametrize("policy", ["drop", "keep"])
def test_a_tag_that_upstream_has_no_more(policy: str, upstream: Upstream, serve: Start) -> None:
    made = image([4096], seed="gone")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(on_missing=policy), workers=2)
    url = f"{server.url}/v2/team/app/manifests/v1"
    assert get(url).status == 200
    upstream.tag("team/app", "v1", None)
    for _ in range(4):
        reply = get(url)
        assert reply.status == {"drop": 404, "keep": 200}[policy]
        assert ("warning" in reply.headers) == (policy == "keep")
    upstream.down()
    for _ in range(4):
        assert (get(url).status == 200) == (policy == "keep")


def test_a_kept_tag_follows_upstream_again(upstream: Upstream, serve: Start) -> None:
    made, again = image([4096], seed="kept"), image([4096], seed="again")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(on_missing="keep", negative_ttl=NEVER))
    url = f"{server.url}/v2/team/app/manifests/v1"
    assert get(url).status == 200
    upstream.tag("team/app", "v1", None)
    assert get(url).status == 200
    upstream.add("team/app", again, "v1")
    # Within `negative_ttl` nothing is asked; `refresh` asks.
    assert get(url).headers["docker-content-digest"] == made.digest
    done = subprocess.run(
        [sys.executable, "-m", "pyregistry", "refresh", "--config", str(server.config_file), "team/app:v1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert again.digest in done.stdout
    assert get(url).headers["docker-content-digest"] == again.digest


def test_a_manifest_without_its_blobs_is_told(upstream: Upstream, serve: Start) -> None:
    whole, half = image([4096], seed="whole"), image([4096, 8192], seed="half")
    for name, made in (("whole", whole), ("half", half)):
        upstream.add(f"team/{name}", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror=mirror(), workers=2)
    assert run_storm(server.url, [("team/whole", "v1")], whole, 1)[0].wrong() == []
    assert get(f"{server.url}/v2/team/half/manifests/v1").status == 200
    upstream.down()
    for name in ("one", "two"):
        assert get(f"{server.url}/v2/team/{name}/manifests/v1").status == 502

    def pull(made: Image, name: str) -> None:
        for reference in ("v1", made.digest):
            assert get(f"{server.url}/v2/team/{name}/manifests/{reference}").status == 200

    pull(whole, "whole")
    series = 'pyregistry_mirror_incomplete_manifests_total{upstream="docker.io"}'
    assert metric(server, series) == 0
    pull(half, "half")
    assert metric(server, series) == 2
    lines = [line for line in server.log_lines if "blobs are missing" in line["event"]]
    assert lines
    assert all(half.digest in line["event"] and "3 of its blobs" in line["event"] for line in lines)
    assert status(server)["upstreams"]["docker.io"]["incomplete_manifests"] == 2


def test_requests_at_once_are_never_more_than_allowed(upstream: Upstream, serve: Start) -> None:
    made = image([1 << 20] * 6, seed="at once")
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream.url, "max_requests": 2}}, workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    upstream.always(Match("GET", Kind.BLOB), Hold(1000))

    async def scenario() -> None:
        pulls = [
            asyncio.ensure_future(fetch(f"{server.url}/v2/team/app/blobs/{layer.digest}", expect=layer))
            for layer in made.layers
        ]
        await asyncio.to_thread(upstream.wait_held, "hold", 2)
        # The others wait; what is cached does not.
        assert (await fetch(f"{server.url}/v2/team/app/manifests/{made.digest}")).status == 200
        assert len(upstream.counters().select(method="GET", kind=Kind.BLOB)) == 2
        upstream.release("hold")
        assert all(reply.right for reply in await asyncio.gather(*pulls))

    asyncio.run(asyncio.wait_for(scenario(), 30))
