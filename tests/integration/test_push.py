"""Pushing to hosted repositories over the API: uploads in every form, manifests, deletions, discovery."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.blobs import Blob, random_blob
from tests.support.clients import Connection, Reply, get
from tests.support.images import OCI_INDEX, Image, artifact, image, multi_platform
from tests.support.serve import Serve
from tests.support.upstream import LocalUpstream

MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A registry of its own, two workers, with one immutable tag pattern."""
    root = tmp_path_factory.mktemp("hosted") / "root"
    storage = {"blob_limit": 8 * MIB, "chunk_min": 2 * MIB}
    with Serve(root, workers=2, policy={"immutable_tags": ["fixed/*:v*"]}, storage=storage) as started:
        yield started


def send(server: Serve, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
    """One request on a connection of its own."""
    if not target.startswith("/"):
        target = f"/v2/{target}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if not body and method in ("POST", "PUT", "PATCH"):
        named["Content-Length"] = "0"

    async def once() -> Reply:
        async with await Connection.open(server.url) as connection:
            return await connection.request(target, method=method, headers=named, body=body)

    return asyncio.run(once())


def code(reply: Reply) -> str:
    return str(json.loads(reply.body)["errors"][0]["code"])


def push_blob(server: Serve, repository: str, blob: Blob) -> None:
    begun = send(server, "POST", f"{repository}/blobs/uploads/")
    assert begun.status == 202
    put = send(server, "PUT", f"{begun.headers['location']}?digest={blob.digest}", bytes(blob.data))
    assert put.status == 201, put.body


def push(server: Serve, repository: str, made: Image, *tags: str) -> None:
    for part in made.walk():
        for blob in part.blobs:
            push_blob(server, repository, blob)
        done = put_manifest(server, repository, part, part.digest)
        assert done.status == 201, done.body
    for tag in tags:
        assert put_manifest(server, repository, made, tag).status == 201


def put_manifest(server: Serve, repository: str, made: Image, reference: str) -> Reply:
    return send(
        server, "PUT", f"{repository}/manifests/{reference}", made.manifest, **{"Content-Type": made.media_type}
    )


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", ["post", "post+put", "chunked", "last in put", "streamed"])
def test_every_way_to_upload(way: str, algorithm: str, server: Serve) -> None:
    blob = random_blob(3 * MIB + 17, f"{way} {algorithm}", algorithm)
    data = bytes(blob.data)
    repository = f"ways/{way.replace('+', '-').replace(' ', '-')}"
    if way == "post":
        done = send(server, "POST", f"{repository}/blobs/uploads/?digest={blob.digest}", data)
    else:
        begun = send(server, "POST", f"{repository}/blobs/uploads/")
        where = begun.headers["location"]
        left = data if way == "post+put" else b""
        if way in ("chunked", "last in put"):
            cuts = [0, MIB, 2 * MIB, len(data)] if way == "chunked" else [0, MIB, 2 * MIB]
            for first, end in itertools.pairwise(cuts):
                chunk = send(server, "PATCH", where, data[first:end], **{"Content-Range": f"{first}-{end - 1}"})
                assert (chunk.status, chunk.headers["range"]) == (202, f"0-{end - 1}")
                where = chunk.headers["location"]
            left = data[cuts[-1] :]
        if way == "streamed":
            chunk = asyncio.run(_streamed(server, where, data))
            assert (chunk.status, chunk.headers["range"]) == (202, f"0-{len(data) - 1}")
        done = send(server, "PUT", f"{where}?digest={blob.digest}", left)
    assert done.status == 201, done.body
    assert done.headers["docker-content-digest"] == blob.digest
    assert get(server.url + done.headers["location"], expect=blob).right
    assert get(f"{server.url}/v2/ways/elsewhere/blobs/{blob.digest}").status == 404


async def _streamed(server: Serve, target: str, data: bytes) -> Reply:
    """A PATCH without a length: chunked coding."""
    chunks = [data[at : at + 700_000] for at in range(0, len(data), 700_000)]
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    async with await Connection.open(server.url) as connection:
        headers = {"Transfer-Encoding": "chunked"}
        # The body is already framed: it goes as it is.
        return await connection.request(target, method="PATCH", headers=headers, body=coded, framed=True)


def test_the_smallest_chunk_is_told_and_not_insisted_on(server: Serve) -> None:
    blob = random_blob(1000, "small chunk")
    begun = send(server, "POST", "team/small/blobs/uploads/")
    assert begun.headers["oci-chunk-min-length"] == str(2 * MIB)
    taken = send(server, "PATCH", begun.headers["location"], bytes(blob.data[:500]), Content_Range="0-499")
    assert taken.status == 202
    done = send(server, "PUT", f"{taken.headers['location']}?digest={blob.digest}", bytes(blob.data[500:]))
    assert done.status == 201


def test_out_of_order_chunk_is_told_where_to_go_on(server: Serve) -> None:
    data = bytes(random_blob(2 * MIB, "order").data)
    where = send(server, "POST", "order/blobs/uploads/").headers["location"]
    assert send(server, "PATCH", where, data[:MIB], **{"Content-Range": f"0-{MIB - 1}"}).status == 202
    wrong = send(server, "PATCH", where, data[:MIB], **{"Content-Range": f"0-{MIB - 1}"})
    assert (wrong.status, wrong.headers["range"], code(wrong)) == (416, f"0-{MIB - 1}", "RANGE_INVALID")
    asked = send(server, "GET", where)
    assert (asked.status, asked.headers["range"]) == (204, f"0-{MIB - 1}")
    assert send(server, "DELETE", where).status == 204
    gone = send(server, "GET", where)
    assert (gone.status, code(gone)) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_wrong_digest_leaves_the_upload_to_go_on(server: Serve) -> None:
    blob, other = random_blob(1000, "right"), random_blob(1000, "other")
    where = send(server, "POST", "wrong/blobs/uploads/").headers["location"]
    wrong = send(server, "PUT", f"{where}?digest={other.digest}", bytes(blob.data))
    assert (wrong.status, code(wrong)) == (400, "DIGEST_INVALID")
    assert send(server, "PUT", f"{where}?digest={blob.digest}").status == 201
    assert get(f"{server.url}/v2/wrong/blobs/{other.digest}").status == 404


def test_limit_is_kept_whether_the_length_is_told_or_not(server: Serve) -> None:
    data = bytes(9 * MIB)
    where = send(server, "POST", "limit/blobs/uploads/").headers["location"]
    told = send(server, "PATCH", where, data)
    assert told.status in (413, 0)
    untold = asyncio.run(_streamed(server, where, data))
    assert untold.status in (413, 0)
    assert send(server, "GET", where).status == 204


def test_broken_upload_goes_on_from_what_came(server: Serve) -> None:
    blob = random_blob(4 * MIB, "broken")
    data = bytes(blob.data)
    where = send(server, "POST", "broken/blobs/uploads/").headers["location"]

    async def break_off() -> None:
        async with await Connection.open(server.url) as connection:
            await connection.send_part(where, "PATCH", data[: 2 * MIB], announced=len(data))

    asyncio.run(break_off())

    async def offset() -> int:
        # The server notices the end of the connection in its own time; nothing else can be waited for.
        async with await Connection.open(server.url) as connection:
            while True:
                reply = await connection.request(where)
                if reply.headers["range"] != "0-0":
                    return int(reply.headers["range"].partition("-")[2]) + 1

    at = asyncio.run(asyncio.wait_for(offset(), 30))
    assert 0 < at <= 2 * MIB
    rest = send(server, "PATCH", where, data[at:], **{"Content-Range": f"{at}-{len(data) - 1}"})
    assert rest.status == 202
    assert send(server, "PUT", f"{where}?digest={blob.digest}").status == 201


def test_mounts(server: Serve) -> None:
    blob = random_blob(5000, "mount")
    push_blob(server, "mount/from", blob)
    for repository, query in [("mount/named", "&from=mount/from"), ("mount/anonymous", "")]:
        done = send(server, "POST", f"{repository}/blobs/uploads/?mount={blob.digest}{query}")
        assert done.status == 201
        assert get(server.url + done.headers["location"], expect=blob).right
    unknown = random_blob(5000, "nobody has it")
    for query in ("&from=mount/from", "", "&from=no/where", "&from=quay.io/x"):
        begun = send(server, "POST", f"mount/to/blobs/uploads/?mount={unknown.digest}{query}")
        assert begun.status == 202
        assert "/uploads/" in begun.headers["location"]


def test_images_of_every_kind(server: Serve) -> None:
    for name, made in {
        "oci": multi_platform(seed="pushed"),
        "sha512": image([4096], seed="sha512", algorithm="sha512"),
        "artifact": artifact(b"data", "application/vnd.example"),
    }.items():
        repository = f"kinds/{name}"
        push(server, repository, made, "v1")
        reply = get(f"{server.url}/v2/{repository}/manifests/v1")
        assert reply.status == 200
        if name != "sha512":
            assert reply.headers["docker-content-digest"] == made.digest
        assert (reply.body, reply.headers["content-type"]) == (made.manifest, made.media_type)


def test_manifest_names_what_is_missing(server: Serve) -> None:
    made = image([4096], seed="incomplete")
    refused = put_manifest(server, "incomplete", made, "v1")
    assert code(refused) == "MANIFEST_BLOB_UNKNOWN"
    assert made.layers[0].digest.encode() in refused.body
    assert get(f"{server.url}/v2/incomplete/manifests/v1").status == 404
    lying = send(server, "PUT", f"incomplete/manifests/{made.digest}", b"{}", **{"Content-Type": made.media_type})
    assert lying.status == 400
    large = send(server, "PUT", "incomplete/manifests/v1", b" " * (9 * MIB), **{"Content-Type": made.media_type})
    assert large.status in (413, 0)


def test_several_tags_at_once(server: Serve) -> None:
    made = image([4096], seed="tags at once")
    push(server, "several", made)
    reply = put_manifest(server, "several", made, f"{made.digest}?tag=a&tag=b&tag=a")
    assert (reply.status, reply.headers["oci-tag"]) == (201, "a, b")
    assert json.loads(get(f"{server.url}/v2/several/tags/list").body)["tags"] == ["a", "b"]


def test_immutable_tags(server: Serve) -> None:
    first, second = image([4096], seed="first"), image([4096], seed="second")
    push(server, "fixed/app", first, "v1", "latest")
    push(server, "fixed/app", second)
    assert put_manifest(server, "fixed/app", first, "v1").status == 201
    refused = put_manifest(server, "fixed/app", second, "v1")
    assert (refused.status, code(refused)) == (403, "DENIED")
    assert put_manifest(server, "fixed/app", second, "latest").status == 201
    for reference in ("v1", first.digest):
        assert send(server, "DELETE", f"fixed/app/manifests/{reference}").status == 403
    assert get(f"{server.url}/v2/fixed/app/manifests/v1").headers["docker-content-digest"] == first.digest


def test_deletions(server: Serve) -> None:
    made = image([4096], seed="deleted")
    push(server, "deleted", made, "a", "b")
    assert send(server, "DELETE", "deleted/manifests/a").status == 202
    assert get(f"{server.url}/v2/deleted/manifests/a").status == 404
    assert get(f"{server.url}/v2/deleted/manifests/b").status == 200
    assert send(server, "DELETE", f"deleted/manifests/{made.digest}").status == 202
    for reference in ("b", made.digest):
        assert get(f"{server.url}/v2/deleted/manifests/{reference}").status == 404
        assert send(server, "DELETE", f"deleted/manifests/{reference}").status == 404
    layer = made.layers[0].digest
    assert send(server, "DELETE", f"deleted/blobs/{layer}").status == 202
    assert get(f"{server.url}/v2/deleted/blobs/{layer}").status == 404
    assert send(server, "DELETE", f"deleted/blobs/{layer}").status == 404


def test_referrers_in_pages(server: Serve) -> None:
    made = image([4096], seed="with referrers")
    push(server, "referred", made, "v1")
    signed = [artifact(f"{n}".encode(), f"application/vnd.example.{n % 2}", subject=made) for n in range(7)]
    for one in signed:
        for blob in one.blobs:
            push_blob(server, "referred", blob)
        done = put_manifest(server, "referred", one, one.digest)
        assert done.headers["oci-subject"] == made.digest
    url: str | None = f"/v2/referred/referrers/{made.digest}?n=3"
    seen: list[str] = []
    while url is not None:
        reply = get(server.url + url)
        assert reply.headers["content-type"] == OCI_INDEX
        page = [entry["digest"] for entry in json.loads(reply.body)["manifests"]]
        assert len(page) <= 3
        seen += page
        link = reply.headers.get("link")
        url = link.partition("<")[2].partition(">")[0] if link else None
    assert sorted(seen) == sorted(one.digest for one in signed)
    filtered = get(f"{server.url}/v2/referred/referrers/{made.digest}?artifactType=application/vnd.example.1")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert len(json.loads(filtered.body)["manifests"]) == 3


def test_catalogue_in_pages(server: Serve) -> None:
    made = image([4096], seed="catalogue")
    names = [f"catalogue/{n:02}" for n in range(5)]
    for name in names:
        push(server, name, made, "v1")
    url: str | None = "/v2/_catalog?n=2&last=catalogue"
    seen: list[str] = []
    while url is not None:
        reply = get(server.url + url)
        seen += json.loads(reply.body)["repositories"]
        link = reply.headers.get("link")
        url = link.partition("<")[2].partition(">")[0] if link else None
    assert [name for name in seen if name.startswith("catalogue/")] == names


def test_hosted_and_mirrored_names_do_not_collide(serve: Callable[..., Serve], tmp_path: Path) -> None:
    """A hosted name wins over the default upstream's, `?ns=` never means it, and mirrored names take no push."""
    theirs, ours = image([4096], seed="theirs"), image([4096], seed="ours")
    with LocalUpstream() as upstream:
        upstream.add("team/app", theirs, "v1")
        server = serve(upstreams={"docker.io": upstream.url}, hosted=["team/*"], workers=2)
        assert get(f"{server.url}/v2/team/app/manifests/v1").status == 404
        push(server, "team/app", ours, "v1")
        plain = get(f"{server.url}/v2/team/app/manifests/v1")
        named = get(f"{server.url}/v2/team/app/manifests/v1?ns=docker.io")
        assert plain.headers["docker-content-digest"] == ours.digest
        assert named.headers["docker-content-digest"] == theirs.digest
        for method, path in [("POST", "other/app/blobs/uploads/"), ("PUT", "docker.io/team/app/manifests/v1")]:
            refused = send(server, method, path)
            assert (refused.status, code(refused)) == (405, "UNSUPPORTED")
            assert b"hosted" in refused.body
        # A digest is no right to read: the mirrored layer is not the hosted repository's.
        assert get(f"{server.url}/v2/docker.io/team/app/blobs/{theirs.layers[0].digest}").status == 200
        assert get(f"{server.url}/v2/team/app/blobs/{theirs.layers[0].digest}").status == 404


def test_two_writers_of_one_upload(server: Serve) -> None:
    where = send(server, "POST", "writers/blobs/uploads/").headers["location"]

    async def scenario() -> Any:
        async with await Connection.open(server.url) as first:
            await first.send_part(where, "PATCH", bytes(MIB), announced=2 * MIB)
            async with await Connection.open(server.url) as second:
                # The first holds the upload as soon as the server has read its head.
                while True:
                    reply = await second.request(where, method="PATCH", body=b"x" * 100)
                    if reply.status == 409:
                        return reply

    reply = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert code(reply) == "BLOB_UPLOAD_INVALID"
