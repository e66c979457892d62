"""The scripted upstream lies as it is told: about lengths, ranges and headers, at its doors, and before TLS."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.blobs import random_blob
from tests.support.certificates import Authority
from tests.support.clients import Reply, fetch, get
from tests.support.images import image
from tests.support.upstream import (
    Clip,
    Cut,
    Ending,
    Frame,
    Kind,
    Length,
    Lines,
    LocalUpstream,
    Match,
    Misplace,
    Place,
    Redirect,
    Tls,
    Tokens,
    Upstream,
    UpstreamProcess,
)

SIZE = 1 << 20
LAYER = random_blob(SIZE, "lies")
IMAGE = image(layers=[LAYER])
PATH = f"/v2/team/app/blobs/{LAYER.digest}"
MANIFEST = "/v2/team/app/manifests/v1"
BLOB = Match("GET", Kind.BLOB)


@pytest.fixture(params=[LocalUpstream, UpstreamProcess])
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    with request.param() as made:
        made.add("team/app", IMAGE, "v1")
        yield made


def blob_of(upstream: Upstream, span: str | None = None, **arguments: Any) -> Reply:
    headers = {"Range": f"bytes={span}"} if span else {}
    return asyncio.run(fetch(upstream.url + PATH, expect=LAYER, headers=headers, **arguments))


def test_cut_always(upstream: Upstream) -> None:
    """Each answer ends after so many bytes of its own, so that whoever goes on arrives."""
    upstream.always(BLOB, Cut(400_000, Ending.FIN))
    begins = [0, 400_000, 800_000]
    replies = [blob_of(upstream, f"{begin}-", offset=begin) for begin in begins]
    assert [(reply.received, reply.complete) for reply in replies] == [
        (400_000, False),
        (400_000, False),
        (SIZE - 800_000, True),
    ]
    assert upstream.overlap(LAYER.digest) == 0


@pytest.mark.parametrize("span", [None, "1000-"])
def test_short_and_long_bodies(upstream: Upstream, span: str | None) -> None:
    begin = 1000 if span else 0
    upstream.once(BLOB, Length(7))
    short = blob_of(upstream, span, offset=begin)
    assert short.headers["content-length"] == str(SIZE - begin + 7)
    assert (short.received, short.complete, short.reset) == (SIZE - begin, False, False)
    assert short.headers["connection"] == "close", "nobody shall ask again on a connection that is about to end"
    upstream.once(BLOB, Length(-7))
    long = blob_of(upstream, span, offset=begin)
    assert (long.received, long.complete) == (SIZE - begin - 7, True)
    assert upstream.ranges(LAYER.digest) == [(begin, SIZE - begin)] * 2, "all of it was sent both times"


def test_wrong_content_range(upstream: Upstream) -> None:
    upstream.always(BLOB, Misplace(by=10, grow=5))
    assert blob_of(upstream).right, "a 200 has none"
    wrong = blob_of(upstream, "1000-1999", offset=1000)
    assert (wrong.status, wrong.headers["content-range"]) == (206, f"bytes 1010-2009/{SIZE + 5}")
    assert wrong.right, "the bytes are those that were asked for"


def test_less_than_the_range(upstream: Upstream) -> None:
    upstream.always(BLOB, Clip(100))
    assert blob_of(upstream).received == SIZE
    clipped = blob_of(upstream, "1000-1999", offset=1000)
    assert (clipped.right, clipped.headers["content-range"]) == (True, f"bytes 1000-1099/{SIZE}")


def test_chunked_206(upstream: Upstream) -> None:
    upstream.always(BLOB, Frame())
    part = blob_of(upstream, "1000-1999", offset=1000)
    assert (part.status, part.right, part.received) == (206, True, 1000)
    assert (part.headers["transfer-encoding"], "content-length" in part.headers) == ("chunked", False)


def test_a_head_without_a_length(upstream: Upstream) -> None:
    upstream.always(Match("HEAD"), Frame())
    assert "content-length" not in get(upstream.url + PATH, method="HEAD").headers


@pytest.mark.parametrize("lines", [b"no colon\r\n", b"X: \x00\xff\r\n", b": no name\r\n", b"X: one\n two\r\n"])
def test_malformed_headers(upstream: Upstream, lines: bytes) -> None:
    upstream.once(Match(kind=Kind.MANIFEST), Lines(lines))

    async def raw() -> bytes:
        host, _, port = upstream.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {MANIFEST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    head, _, body = asyncio.run(raw()).partition(b"\r\n\r\n")
    assert head.endswith(lines.removesuffix(b"\r\n"))
    assert body == IMAGE.manifest
    assert get(upstream.url + MANIFEST).body == IMAGE.manifest


def test_odd_challenges(upstream: Upstream) -> None:
    """Several, of unknown schemes, without a realm; the place of the realm is filled in where it is wanted."""
    upstream.configure(auth=Tokens(challenge=("Negotiate", 'Bearer service="x"', 'Bearer realm="{realm}')))
    refused = get(upstream.url + MANIFEST)
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == f'Negotiate, Bearer service="x", Bearer realm="{upstream.url}/token'
    token = json.loads(get(upstream.url + "/token?scope=repository:team/app:pull").body)["token"]
    assert get(upstream.url + MANIFEST, headers={"Authorization": f"Bearer {token}"}).status == 200


def test_addresses_elsewhere_that_wear_out(upstream: Upstream) -> None:
    upstream.configure(redirect=Redirect(place=Place.OTHER_HOST, uses=2))
    address = get(upstream.url + PATH).headers["location"]
    assert address.startswith("http://localhost:")
    assert [get(address).status for _ in range(3)] == [200, 200, 403]
    assert get(get(upstream.url + PATH).headers["location"]).status == 200


async def test_tls_that_is_slow_to_begin(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusted = ssl.create_default_context(cafile=authority.cert)
    with LocalUpstream(tls=Tls(*authority.server(), delay=0.2)) as upstream:
        host, _, port = upstream.host.partition(":")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.open_connection(host, int(port), ssl=trusted)
        _, writer = await asyncio.open_connection(host, int(port), ssl=trusted)
        writer.close()
        await writer.wait_closed()


def test_tls_that_never_begins(tmp_path: Path) -> None:
    """Whoever waits may leave, and the upstream can still be closed."""
    with LocalUpstream(tls=Tls(*Authority(tmp_path).server(), delay=None)) as upstream:
        host, _, port = upstream.host.partition(":")
        with socket.create_connection((host, int(port)), timeout=0.1) as waiting:
            waiting.sendall(b"\x16\x03\x01")
            with pytest.raises(TimeoutError):
                waiting.recv(1)
        held = socket.create_connection((host, int(port)))
    with held, contextlib.suppress(ConnectionResetError):
        assert held.recv(1) == b""
