"""The scripted upstream does what it is told, in this process and in its own."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.blobs import Blob, random_blob
from tests.support.clients import Pace, Reply, fetch, get
from tests.support.images import OCI_INDEX, Image, artifact, image
from tests.support.storms import run_storm
from tests.support.upstream import (
    NO_BLOB_HEAD,
    Basic,
    Cut,
    Ending,
    Frame,
    Framing,
    Hang,
    Head,
    Headers,
    IgnoreRange,
    Kind,
    LocalUpstream,
    Match,
    Place,
    Quota,
    Redirect,
    Silence,
    Stall,
    Tokens,
    Upstream,
    UpstreamProcess,
    Wait,
    too_many,
)
from tests.support.upstream import (
    Reply as Answer,
)

SIZE = 3 << 20
LAYER = random_blob(SIZE, "layer")
IMAGE = image(layers=[LAYER])
PATH = f"/v2/team/app/blobs/{LAYER.digest}"
MANIFEST = "/v2/team/app/manifests/v1"


@pytest.fixture(params=[LocalUpstream, UpstreamProcess])
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    with request.param() as made:
        made.add("team/app", IMAGE, "v1")
        yield made


def blob_of(upstream: Upstream, **arguments: Any) -> Reply:
    return asyncio.run(fetch(upstream.url + PATH, expect=LAYER, **arguments))


def test_serves_and_counts(upstream: Upstream) -> None:
    manifest = get(upstream.url + MANIFEST)
    assert (manifest.status, manifest.body, manifest.complete) == (200, IMAGE.manifest, True)
    assert manifest.headers["docker-content-digest"] == IMAGE.digest
    head = get(upstream.url + MANIFEST, method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(IMAGE.manifest)))
    assert blob_of(upstream).right
    assert (upstream.gets("v1"), upstream.gets(IMAGE.digest), upstream.heads("v1")) == (1, 1, 1)
    assert upstream.body_bytes(LAYER.digest) == SIZE
    assert get(upstream.url + "/v2/team/app/manifests/none").status == 404
    assert get(upstream.url + "/v2/none/tags/list").status == 404
    assert json.loads(get(upstream.url + "/v2/team/app/tags/list").body) == {"name": "team/app", "tags": ["v1"]}
    assert upstream.counters().unknown() == []
    assert get(upstream.url + "/v3/").status == 404
    assert upstream.counters().unknown() == ["GET /v3/"]
    upstream.forget()
    assert upstream.records() == []


def test_a_storm_gets_every_byte(upstream: Upstream) -> None:
    pulls = run_storm(upstream.url, [("team/app", "v1"), ("team/app", None)], IMAGE, clients=4)
    assert [pull.wrong() for pull in pulls] == [[]] * 4
    assert upstream.gets(LAYER.digest) == 4
    assert upstream.overlap(LAYER.digest) == 3 * SIZE


@pytest.mark.parametrize(
    ("header", "begin", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000000-", 1000000, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=5-{SIZE}", 5, SIZE),
    ],
)
def test_a_single_range(upstream: Upstream, header: str, begin: int, end: int) -> None:
    reply = blob_of(upstream, headers={"Range": header}, offset=begin)
    assert (reply.status, reply.received, reply.right) == (206, end - begin, True)
    assert reply.headers["content-range"] == f"bytes {begin}-{end - 1}/{SIZE}"
    assert upstream.ranges(LAYER.digest) == [(begin, end - begin)]


def test_ranges_that_are_none(upstream: Upstream) -> None:
    outside = get(upstream.url + PATH, headers={"Range": f"bytes={SIZE}-"})
    assert (outside.status, outside.headers["content-range"]) == (416, f"bytes */{SIZE}")
    assert blob_of(upstream, headers={"Range": "bytes=0-1,4-5"}).status == 200
    upstream.always(Match(kind=Kind.BLOB), IgnoreRange())
    ignored = blob_of(upstream, headers={"Range": "bytes=5-"})
    assert (ignored.status, ignored.right, ignored.received) == (200, True, SIZE)


@pytest.mark.parametrize("ending", list(Ending))
def test_cut(upstream: Upstream, ending: Ending) -> None:
    upstream.once(Match("GET", Kind.BLOB), Cut(1_000_000, ending))
    cut = blob_of(upstream)
    assert (cut.received, cut.complete, cut.same, cut.reset) == (1_000_000, False, True, ending is Ending.RST)
    rest = blob_of(upstream, headers={"Range": "bytes=1000000-"}, offset=1_000_000)
    assert rest.right
    assert upstream.gets(LAYER.digest) == 2
    assert upstream.overlap(LAYER.digest) == 0
    assert upstream.counters().covered(LAYER.digest) == [(0, SIZE)]
    assert [r.finished for r in upstream.records()] == [False, True]


async def test_stall_until_released(upstream: Upstream) -> None:
    upstream.once(Match("GET", Kind.BLOB), Stall(1_000_000))
    stalled = asyncio.create_task(fetch(upstream.url + PATH, expect=LAYER))
    await asyncio.to_thread(upstream.wait_held, "stall")
    assert upstream.body_bytes(LAYER.digest) == 1_000_000
    assert not stalled.done()
    upstream.release("stall")
    assert (await stalled).right


async def test_a_client_that_leaves_while_held_is_noticed(upstream: Upstream) -> None:
    gate = upstream.hold(LAYER.digest, at=SIZE // 2)
    held = asyncio.create_task(fetch(upstream.url + PATH, expect=LAYER))
    await asyncio.to_thread(upstream.wait_sent, LAYER.digest, SIZE // 2)
    await asyncio.to_thread(upstream.wait_held, gate)
    held.cancel()
    await asyncio.to_thread(upstream.wait_requests, Match("GET"), ended=True)
    assert upstream.ranges(LAYER.digest) == [(0, SIZE // 2)]


async def test_a_question_waits_before_its_answer(upstream: Upstream) -> None:
    upstream.once(Match("HEAD", Kind.MANIFEST), Wait("tag"))
    asked = asyncio.create_task(fetch(upstream.url + MANIFEST, method="HEAD"))
    await asyncio.to_thread(upstream.wait_held, "tag")
    upstream.release("tag")
    assert (await asked).status == 200


def test_waits_time_out_with_what_was_seen(upstream: Upstream) -> None:
    blob_of(upstream)
    with pytest.raises(TimeoutError, match="GET /v2/team/app/blobs"):
        upstream.wait_sent(LAYER.digest, SIZE + 1, timeout=0.01)


def test_wrong_bytes(upstream: Upstream) -> None:
    upstream.corrupt(LAYER.digest, offset=2_000_000, times=1)
    wrong = blob_of(upstream)
    assert (wrong.complete, wrong.same, wrong.right) == (True, False, False)
    assert blob_of(upstream).right


def test_wrong_bytes_are_at_an_offset_of_the_content(upstream: Upstream) -> None:
    upstream.corrupt(LAYER.digest, offset=2_000_000)
    assert blob_of(upstream, headers={"Range": "bytes=0-1999999"}).right
    assert blob_of(upstream, headers={"Range": "bytes=2000000-2000000"}, offset=2_000_000).same is False


def test_statuses(upstream: Upstream) -> None:
    upstream.times(2, Match(kind=Kind.MANIFEST), Answer(503, "UNAVAILABLE"))
    upstream.once(Match(kind=Kind.MANIFEST), too_many(7))
    upstream.once(Match(kind=Kind.MANIFEST), too_many(7, as_date=True))
    replies = [get(upstream.url + MANIFEST) for _ in range(5)]
    assert [r.status for r in replies] == [503, 503, 429, 429, 200]
    assert replies[2].headers["retry-after"] == "7"
    assert replies[3].headers["retry-after"].endswith("GMT")
    assert json.loads(replies[0].body)["errors"][0]["code"] == "UNAVAILABLE"


def test_lasting_faults_apply_beside_the_first_limited_one(upstream: Upstream) -> None:
    lasting = upstream.always(
        Match(kind=Kind.MANIFEST), Headers({"Content-Type": "text/plain", "docker-content-digest": None})
    )
    upstream.once(Match("GET", Kind.MANIFEST), Cut(10, Ending.FIN))
    cut = get(upstream.url + MANIFEST)
    assert (cut.received, cut.complete, cut.headers["content-type"]) == (10, False, "text/plain")
    plain = get(upstream.url + MANIFEST)
    assert plain.complete
    assert "docker-content-digest" not in plain.headers
    assert upstream.spent(lasting) == 2
    upstream.remove_fault()
    assert get(upstream.url + MANIFEST).headers["content-type"] == IMAGE.media_type


def test_no_head_on_blobs(upstream: Upstream) -> None:
    upstream.always(NO_BLOB_HEAD, Answer(405))
    assert get(upstream.url + PATH, method="HEAD").status == 405
    assert blob_of(upstream).right


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.CLOSE])
def test_without_a_length(upstream: Upstream, framing: Framing) -> None:
    upstream.always(Match(kind=Kind.BLOB), Frame(framing))
    reply = blob_of(upstream)
    assert reply.right
    assert "content-length" not in reply.headers
    upstream.once(Match("GET", Kind.BLOB), Cut(1_000_000))
    cut = blob_of(upstream)
    assert (cut.received, cut.complete) == (1_000_000, False)


def test_lies_about_the_length(upstream: Upstream) -> None:
    upstream.once(Match(kind=Kind.BLOB), Headers({"Content-Length": str(SIZE + 1)}))
    short = blob_of(upstream)
    assert (short.received, short.complete, short.reset) == (SIZE, False, False)


def test_no_sensible_answer(upstream: Upstream) -> None:
    upstream.once(Match(), Hang())
    assert get(upstream.url + MANIFEST).status == 0
    upstream.once(Match(), Head(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: \x01\r\n\r\n"))
    assert get(upstream.url + MANIFEST).received == 3


async def test_silence(upstream: Upstream) -> None:
    upstream.once(Match(), Silence())
    with pytest.raises(TimeoutError):
        await fetch(upstream.url + MANIFEST, timeout=0.1)
    await asyncio.to_thread(upstream.wait_requests, Match(), ended=True)


async def test_latency_and_limits(upstream: Upstream) -> None:
    upstream.configure(latency=0.05, rate=20e6)
    begun = time.monotonic()
    replies = await asyncio.gather(*(fetch(upstream.url + PATH, expect=LAYER) for _ in range(4)))
    seconds = time.monotonic() - begun
    assert all(reply.right and (reply.headed or 0) - reply.asked >= 0.05 for reply in replies)
    ideal = 4 * SIZE / 20e6 + 0.05
    assert 0.9 * ideal < seconds < 1.5 * ideal
    assert min(reply.ended for reply in replies) > begun + 0.8 * seconds, "fair between connections"


async def test_a_limit_for_each_connection(upstream: Upstream) -> None:
    upstream.configure(connection_rate=15e6)
    begun = time.monotonic()
    await asyncio.gather(*(fetch(upstream.url + PATH, expect=LAYER) for _ in range(4)))
    ideal = SIZE / 15e6
    assert 0.9 * ideal < time.monotonic() - begun < 2 * ideal


async def test_the_send_buffer_bounds_what_a_stalled_client_is_sent(upstream: Upstream) -> None:
    large = random_blob(16 << 20, "stalled")
    upstream.add_blob("team/app", large)
    upstream.configure(send_buffer=64 << 10)
    pace = Pace(stall_after=100_000)
    url = f"{upstream.url}/v2/team/app/blobs/{large.digest}"
    stalled = asyncio.create_task(fetch(url, expect=large, pace=pace, receive_buffer=64 << 10))
    await pace.stalled.wait()
    assert 100_000 <= upstream.body_bytes(large.digest) < 2 << 20
    pace.resume.set()
    assert (await stalled).right


async def test_clients_that_are_slow_or_leave(upstream: Upstream) -> None:
    begun = time.monotonic()
    slow = await fetch(upstream.url + PATH, expect=LAYER, pace=Pace(rate=10e6), receive_buffer=64 << 10)
    assert slow.right
    assert time.monotonic() - begun > 0.9 * SIZE / 10e6
    left = await fetch(upstream.url + PATH, expect=LAYER, leave_after=SIZE // 2)
    assert (left.received, left.left, left.complete, left.same) == (SIZE // 2, True, False, True)


def challenge_of(reply: Reply) -> dict[str, str]:
    assert reply.status == 401
    pairs = reply.headers["www-authenticate"].removeprefix("Bearer ").split(",")
    return {name: value.strip('"') for name, value in (pair.split("=", 1) for pair in pairs)}


@pytest.mark.parametrize("place", list(Place))
def test_tokens(upstream: Upstream, place: Place) -> None:
    upstream.configure(auth=Tokens(place=place))
    assert get(upstream.url + "/v2/").status == 401
    challenge = challenge_of(get(upstream.url + MANIFEST))
    assert challenge["realm"] == upstream.address(place) + "/token"
    assert challenge["scope"] == "repository:team/app:pull"
    granted = json.loads(get(f"{challenge['realm']}?service=upstream&scope={challenge['scope']}").body)
    assert granted["token"] == granted["access_token"]
    bearer = {"Authorization": f"Bearer {granted['token']}"}
    assert get(upstream.url + MANIFEST, headers=bearer).status == 200
    assert get(upstream.url + "/v2/other/app/tags/list", headers=bearer).status == 401, "of another scope"
    assert upstream.tokens() == 1
    assert (upstream.gets("v1"), len(upstream.counters().select("v1"))) == (1, 2)
    upstream.expire_tokens()
    assert get(upstream.url + MANIFEST, headers=bearer).status == 401


def test_tokens_for_users(upstream: Upstream) -> None:
    upstream.configure(auth=Tokens(users={"me": "secret"}, private=("team/app",)))
    url = upstream.url + "/token?scope=repository:team/app:pull"
    basic = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"me:wrong").decode()}
    anonymous = json.loads(get(url).body)["token"]
    token = json.loads(get(url, headers=basic).body)["token"]
    assert get(url, headers=wrong).status == 401
    assert get(upstream.url + MANIFEST, headers={"Authorization": f"Bearer {anonymous}"}).status == 401
    assert get(upstream.url + MANIFEST, headers={"Authorization": f"Bearer {token}"}).status == 200


def test_basic(upstream: Upstream) -> None:
    upstream.configure(auth=Basic({"me": "secret"}))
    refused = get(upstream.url + MANIFEST)
    assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Basic realm="upstream"')
    basic = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
    assert get(upstream.url + MANIFEST, headers=basic).status == 200


def test_a_challenge_does_not_use_up_a_fault_of_bodies(upstream: Upstream) -> None:
    upstream.configure(auth=Tokens(), redirect=Redirect())
    upstream.once(Match("GET", Kind.BLOB), Cut(1000))
    challenge = challenge_of(get(upstream.url + PATH))
    token = json.loads(get(f"{challenge['realm']}?scope={challenge['scope']}").body)["token"]
    redirected = get(upstream.url + PATH, headers={"Authorization": f"Bearer {token}"})
    assert redirected.status == 307
    assert get(redirected.headers["location"]).received == 1000


@pytest.mark.parametrize("place", list(Place))
def test_redirects(upstream: Upstream, place: Place) -> None:
    upstream.configure(redirect=Redirect(place=place))
    redirected = get(upstream.url + PATH)
    address = redirected.headers["location"]
    assert (redirected.status, address.startswith(upstream.address(place))) == (307, True)
    assert get(address, expect=LAYER).right
    with_credentials = get(address, headers={"Authorization": "Bearer stolen"})
    assert with_credentials.status == (200 if place is Place.REGISTRY else 400)
    upstream.expire_addresses()
    assert get(address).status == 403
    assert get(upstream.url + "/v2/team/app/blobs/sha256:0").status == 404


def test_quota(upstream: Upstream) -> None:
    upstream.configure(quota=Quota(remaining=1, retry_after=9))
    assert get(upstream.url + MANIFEST, method="HEAD").headers["ratelimit-remaining"] == "1;w=21600"
    assert get(upstream.url + MANIFEST).headers["ratelimit-remaining"] == "0;w=21600"
    refused = get(upstream.url + MANIFEST)
    assert (refused.status, refused.headers["retry-after"]) == (429, "9")


def test_referrers_by_api_and_by_tag(upstream: Upstream) -> None:
    kinds = ["application/a", "application/b"]
    referrers = [artifact(kind.encode(), kind, subject=IMAGE) for kind in kinds]
    for referrer in referrers:
        upstream.add("team/app", referrer)

    def digests(reply: Reply) -> list[str]:
        assert (reply.status, reply.headers["content-type"]) == (200, OCI_INDEX)
        return [entry["digest"] for entry in json.loads(reply.body)["manifests"]]

    url = f"{upstream.url}/v2/team/app/referrers/{IMAGE.digest}"
    assert digests(get(url)) == [r.digest for r in referrers]
    filtered = get(url + "?artifactType=application/b")
    assert digests(filtered) == [referrers[1].digest]
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    upstream.configure(referrers_page=1)
    page = get(url)
    assert digests(page) == [referrers[0].digest]
    link = page.headers["link"].split(">")[0].strip("<")
    assert digests(get(upstream.url + link)) == [referrers[1].digest]
    upstream.configure(referrers=False)
    assert get(url).status == 404
    assert digests(get(f"{upstream.url}/v2/team/app/manifests/{IMAGE.digest.replace(':', '-')}")) == [
        r.digest for r in referrers
    ]


def test_tags_come_in_pages(upstream: Upstream) -> None:
    for tag in ("a", "b", "c"):
        upstream.tag("team/app", tag, IMAGE.digest)
    page = get(upstream.url + "/v2/team/app/tags/list?n=2")
    assert json.loads(page.body)["tags"] == ["a", "b"]
    link = page.headers["link"].split(">")[0].strip("<")
    assert json.loads(get(upstream.url + link).body)["tags"] == ["c", "v1"]


def test_contents_change(upstream: Upstream) -> None:
    upstream.tag("team/app", "v1", None)
    assert get(upstream.url + MANIFEST).status == 404
    other: Image = image((10,), seed="other")
    upstream.add("team/app", other, "v1")
    assert get(upstream.url + MANIFEST).body == other.manifest
    upstream.remove("team/app", LAYER.digest)
    assert get(upstream.url + PATH).status == 404
    upstream.remove("team/app")
    assert get(upstream.url + MANIFEST).status == 404


def test_down_and_up_at_the_same_port(upstream: Upstream) -> None:
    url = upstream.url
    upstream.down()
    with pytest.raises(ConnectionRefusedError):
        get(url + MANIFEST)
    upstream.up()
    assert get(url + MANIFEST).status == 200


def test_errors_cross_from_the_process() -> None:
    with UpstreamProcess() as upstream, pytest.raises(TypeError):
        upstream.configure(nonsense=1)


def test_blobs_of_images_are_shared_between_processes() -> None:
    large = random_blob(64 << 20, "shared")
    with UpstreamProcess() as upstream:
        upstream.add_blob("big", large)
        reply = get(f"{upstream.url}/v2/big/blobs/{large.digest}", expect=large)
        assert reply.right
    assert isinstance(large, Blob)
