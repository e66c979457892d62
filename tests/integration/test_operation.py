"""What an operator sees when something is wrong: log lines that say why, figures that mean what they say."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.blobs import Blob
from tests.support.clients import Connection, Reply, fetch, get
from tests.support.images import image
from tests.support.ports import port_of, reserve
from tests.support.serve import Serve
from tests.support.upstream import Kind, Match, Upstream
from tests.support.upstream import Reply as Answer

NOFILE = 256


def fetched(url: str, expect: Blob) -> Reply:
    return asyncio.run(fetch(url, expect=expect))


def metrics(server: Serve) -> dict[str, float]:
    """Every series and its value."""
    lines = get(f"{server.metrics_url}/metrics").body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in pairs}


def request_lines(server: Serve) -> list[dict[str, Any]]:
    return [line for line in server.log_lines if line["event"] == "request"]


def test_the_log_says_why_an_answer_is_an_error_or_stale(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    upstream.add("team/app", image([4096], seed="why"), "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror={"freshness": {"ttl": "0s"}})
    get(f"{server.url}/v2/team/app/manifests/v1")
    upstream.always(Match(kind=Kind.MANIFEST), Answer(503))
    get(f"{server.url}/v2/team/app/manifests/v1")
    get(f"{server.url}/v2/team/app/manifests/v2")
    get(f"{server.url}/v2/other.example/app/manifests/v1")
    get(f"{server.url}/nothing/here")
    # A request is logged when its response has ended: the last one may be on its way.
    server.terminate()
    well, stale, failed, unknown, nowhere = request_lines(server)
    assert "error" not in well
    assert stale["status"] == 200
    assert "answered 503" in stale["error"]
    assert "answered 503" in failed["error"]
    assert "other.example" in unknown["error"]
    assert "/nothing/here" in nowhere["error"]


def test_an_errors_body_is_not_served_content(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    server = serve(upstreams={"docker.io": upstream.url})
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 404
    assert metrics(server)['pyregistry_mirror_served_bytes_total{upstream="docker.io"}'] == 0


def test_what_is_passed_through_unstored_is_counted(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    """Storage full: the body comes from the URL that works, and the next one has its place."""
    layer = image([1 << 20], seed="pass").layers[0]
    upstream.add_blob("team/app", layer)
    nobody = reserve()
    urls = [f"http://127.0.0.1:{port_of(nobody)}", upstream.url]
    storage = {"reserve": "900TB", "pass_through": 1}
    server = serve(upstreams={"docker.io": {"urls": urls}}, workers=1, storage=storage)
    for _ in range(2):
        assert fetched(f"{server.url}/v2/team/app/blobs/{layer.digest}", layer).right
    nobody.close()
    # A third request, answered on the same worker's loop: the second's end has been counted.
    assert get(f"{server.url}/v2/").status == 200
    counted = metrics(server)
    assert counted['pyregistry_mirror_upstream_bytes_total{upstream="docker.io"}'] == 2 * layer.size
    asked = upstream.gets(layer.digest) + upstream.heads(layer.digest)
    assert counted['pyregistry_mirror_upstream_requests_total{kind="blob",status="200",upstream="docker.io"}'] == asked


def test_connections_leave_descriptors_for_the_work(upstream: Upstream, serve: Callable[..., Serve]) -> None:
    made = image([4096], seed="descriptors")
    upstream.add("team/app", made, "v1")
    program = ("prlimit", f"--nofile={NOFILE}:{NOFILE}", sys.executable, "-m", "pyregistry", "serve")
    server = serve(upstreams={"docker.io": upstream.url}, workers=1, program=program)

    async def scenario() -> Reply:
        first = await Connection.open(server.url)
        assert (await first.request("/v2/")).status == 200
        others = [await Connection.open(server.url) for _ in range(2 * NOFILE)]
        # Those that are let in are answered; the rest wait.
        answers = [asyncio.ensure_future(other.request("/v2/")) for other in others]
        try:
            await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
            return await first.request(f"/v2/team/app/blobs/{made.layers[0].digest}", expect=made.layers[0])
        finally:
            for answer in answers:
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
            for connection in (first, *others):
                connection.close()

    reply = asyncio.run(scenario())
    assert reply.right, reply
    assert "open files" in server.log


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, "hosting every name"),
        ({"hosted": ["team/*", "tools"]}, "hosting team/*, tools"),
        ({"upstreams": {"ghcr.io": "http://127.0.0.1:1"}}, "mirroring ghcr.io"),
        (
            {"upstreams": {"ghcr.io": "http://127.0.0.1:1"}, "hosted": ["team/*"]},
            "mirroring ghcr.io, hosting team/*",
        ),
    ],
)
def test_the_first_line_says_what_is_served(serve: Callable[..., Serve], config: dict[str, Any], names: str) -> None:
    first = serve(workers=1, **config).log_lines[0]["event"]
    assert first.endswith(f", 1 worker, {names}")
