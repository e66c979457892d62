"""Images brought before somebody asks for them: by command, by request, by policy."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.clients import fetch, get
from tests.support.images import Image, image, multi_platform
from tests.support.serve import Serve
from tests.support.storms import run_storm
from tests.support.upstream import Hold, Kind, Match, Quota, Reply, Upstream

MIB = 1 << 20
BLOBS = Match("GET", Kind.BLOB)
Start = Callable[..., Serve]


def cli_of(server: Serve, folder: Path, **upstream: Any) -> Cli:
    """Commands under the server's configuration."""
    (name,) = server.config["mirror"]["upstreams"]
    named = {name: {**server.config["mirror"]["upstreams"][name], **upstream}}
    return Cli(folder, server.root, mirror={**server.config["mirror"], "upstreams": named})


def pulled_without_upstream(server: Serve, upstream: Upstream, made: Image, reference: str = "v1") -> None:
    upstream.down()
    assert run_storm(server.url, [("team/app", reference)], made, 2)[0].wrong() == []
    upstream.up()


def test_by_command_beside_a_running_server(upstream: Upstream, serve: Start, tmp_path: Path) -> None:
    made = multi_platform(seed="command")
    wanted = next(child for child in made.children if child.platform == ("linux", "arm64"))
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    cli = cli_of(server, tmp_path)
    done = cli("prefetch", "team/app:v1", "--platform", "linux/arm64")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"docker.io/team/app:v1 is here, as {made.digest}\n"
    assert len([line for line in done.stderr.splitlines() if line.endswith("fetched")]) == 3
    for child in made.children:
        assert (upstream.gets(child.digest) == 1) == (child is wanted)
    again = cli("prefetch", "team/app:v1", "--platform", "linux/arm64")
    assert len([line for line in again.stderr.splitlines() if line.endswith("was here")]) == 3
    assert all(upstream.gets(blob.digest) == 1 for blob in wanted.blobs)
    upstream.down()
    assert run_storm(server.url, [("team/app", None)], wanted, 2)[0].wrong() == []
    upstream.up()
    assert cli("prefetch", "team/app:v1", "--platform", "all").returncode == 0
    pulled_without_upstream(server, upstream, made)


def test_a_command_that_fails_in_part(upstream: Upstream, serve: Start, tmp_path: Path) -> None:
    made = image([4096], seed="in part")
    upstream.add("team/app", made, "v1")
    broken = image([4096, 8192], seed="broken")
    upstream.add("team/broken", broken, "v1")
    upstream.always(Match(reference=broken.layers[0].digest), Reply(404, "BLOB_UNKNOWN"))
    server = serve(upstreams={"docker.io": upstream.url}, workers=1)
    cli = cli_of(server, tmp_path)
    done = cli("prefetch", "team/none", "team/broken:v1", "team/app:v1")
    assert done.returncode == 2
    assert done.stdout == f"docker.io/team/app:v1 is here, as {made.digest}\n"
    first, last = (line for line in done.stderr.splitlines() if line.startswith("pyregistry: "))
    assert "team/none" in first
    assert "404" in last
    # What could be had is here all the same.
    assert upstream.gets(broken.layers[1].digest) == 1
    multi = multi_platform(seed="platforms")
    upstream.add("team/multi", multi, "v1")
    assert "has nothing for plan9/mips" in cli.refused("prefetch", "team/multi:v1", "--platform", "plan9/mips")


def test_clients_join_what_is_prefetched(upstream: Upstream, serve: Start, tmp_path: Path) -> None:
    made = image([4 * MIB], seed="join")
    layer = made.layers[0]
    upstream.add("team/app", made, "v1")
    upstream.always(BLOBS, Hold(MIB))
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)
    command = cli_of(server, tmp_path).begun("prefetch", "team/app:v1")
    upstream.wait_held("hold", 1)

    async def scenario() -> None:
        url = f"{server.url}/v2/team/app/blobs/{layer.digest}"
        begun = await fetch(url, headers={"Range": "bytes=0-999"}, expect=layer)
        assert (begun.status, begun.received) == (206, 1000)
        upstream.release("hold")
        assert (await fetch(url, expect=layer)).right

    asyncio.run(asyncio.wait_for(scenario(), 30))
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 0, errors
    assert upstream.gets(layer.digest) == 1


def test_by_request(upstream: Upstream, serve: Start) -> None:
    made = multi_platform(seed="request")
    wanted = made.children[0]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": upstream.url}, mirror={"prefetch_api": True}, workers=2)
    url = f"{server.url}/v2/team/app/_pyregistry/prefetch"
    reply = get(f"{url}/v1?platform=linux/amd64", method="POST")
    assert reply.status == 202, reply.body
    assert json.loads(reply.body) == {
        "repository": "docker.io/team/app",
        "digest": made.digest,
        "platforms": ["linux/amd64"],
    }
    for blob in wanted.blobs:
        upstream.wait_requests(Match("GET", reference=blob.digest), 1, ended=True)
    assert run_storm(server.url, [("team/app", None)], wanted, 2)[0].wrong() == []
    assert all(upstream.gets(blob.digest) == 1 for blob in wanted.blobs)
    assert upstream.gets(made.children[1].digest) == 0
    for path, status in [("none", 404), ("v1?platform=linux", 400), (f"sha256:{'0' * 64}", 404)]:
        assert get(f"{url}/{path}", method="POST").status == status, path
    assert get(f"{url}/v1").status == 405


def test_by_request_is_off_unless_configured(upstream: Upstream, serve: Start) -> None:
    server = serve(upstreams={"docker.io": upstream.url})
    refused = get(f"{server.url}/v2/team/app/_pyregistry/prefetch/v1", method="POST")
    assert refused.status == 404
    assert b"mirror.prefetch_api" in refused.body
    assert upstream.records() == []


@pytest.mark.parametrize("policy", ["layers", "none"])
def test_by_policy_a_served_manifest_brings_its_blobs(policy: str, upstream: Upstream, serve: Start) -> None:
    made = multi_platform(seed="policy")
    wanted, other = made.children[:2]
    upstream.add("team/app", made, "v1")
    server = serve(upstreams={"docker.io": {"url": upstream.url, "prefetch": policy}}, workers=2)
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 200
    assert get(f"{server.url}/v2/team/app/manifests/{other.digest}", method="HEAD").status == 200
    assert get(f"{server.url}/v2/team/app/manifests/{wanted.digest}").status == 200
    if policy == "layers":
        for blob in wanted.blobs:
            upstream.wait_requests(Match("GET", reference=blob.digest), 1, ended=True)
    else:
        assert upstream.gets(kind=Kind.BLOB) == 0
    assert run_storm(server.url, [("team/app", None)], wanted, 4)[0].wrong() == []
    assert all(upstream.gets(blob.digest) == 1 for blob in wanted.blobs)
    assert all(upstream.gets(blob.digest) == 0 for blob in other.blobs)


def test_prefetch_leaves_the_reserve_of_pulls(upstream: Upstream, serve: Start, tmp_path: Path) -> None:
    upstream.add("team/app", image([4096], seed="reserve"), "v1")
    upstream.configure(quota=Quota(limit=100, remaining=5))
    server = serve(upstreams={"docker.io": {"url": upstream.url, "quota_reserve": 10}})
    assert "quota_reserve" in cli_of(server, tmp_path).refused("prefetch", "team/app:v1")
    assert upstream.gets() == 0


def test_a_client_goes_before_a_prefetch(upstream: Upstream, serve: Start) -> None:
    """Half of the places at most are the prefetch's, in whichever worker."""
    made = image([MIB] * 4, seed="before")
    upstream.add("team/app", made, "v1")
    upstream.always(BLOBS, Hold(1000))
    upstreams = {"docker.io": {"url": upstream.url, "max_requests": 2}}
    server = serve(upstreams=upstreams, mirror={"prefetch_api": True}, workers=2)
    assert get(f"{server.url}/v2/team/app/_pyregistry/prefetch/v1", method="POST").status == 202
    upstream.wait_held("hold", 1)

    async def scenario() -> None:
        held = {record.digest for record in upstream.counters().select(method="GET", kind=Kind.BLOB)}
        waiting = next(layer for layer in made.layers if layer.digest not in held)
        pull = asyncio.ensure_future(fetch(f"{server.url}/v2/team/app/blobs/{waiting.digest}", expect=waiting))
        await asyncio.to_thread(upstream.wait_requests, Match("GET", reference=waiting.digest), 1)
        upstream.release("hold")
        assert (await pull).right

    asyncio.run(asyncio.wait_for(scenario(), 30))
