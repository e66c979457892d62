"""What an operator sees when something is wrong: log lines that say why, figures that mean what they say."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from tests.support.clients import Connection, Reply, get
from tests.support.images import image
from tests.support.serve import Serve
from tests.support.upstream import Kind, Match, Upstream
from tests.support.upstream import Reply as Answer

NOFILE = 256


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
    metrics = get(f"{server.metrics_url}/metrics").body.decode()
    assert 'pyregistry_mirror_served_bytes_total{upstream="docker.io"} 0.0' in metrics.splitlines()


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
