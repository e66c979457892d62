"""The one client of scenarios about a single request."""

import pytest

from benches.peers.fetch import get, get_until_whole
from tests.support.blobs import Blob
from tests.support.images import image
from tests.support.upstream import Cut, IgnoreRange, LocalUpstream, Match, Reply

SIZE = 256 << 10


@pytest.fixture
def layer(upstream: LocalUpstream) -> Blob:
    made = image([SIZE], seed="fetch")
    upstream.add("team/app", made, "v1")
    return made.layers[0]


def port_and_path(upstream: LocalUpstream, layer: Blob) -> tuple[int, str]:
    return int(upstream.host.rpartition(":")[2]), f"/v2/team/app/blobs/{layer.digest}"


def test_a_blob_comes_whole(upstream: LocalUpstream, layer: Blob) -> None:
    got = get(*port_and_path(upstream, layer))
    assert (got.status, got.whole, got.failure) == (200, True, "")
    assert 0 < got.first_byte <= got.seconds


def test_a_range_is_asked_for_and_no_more_is_sent(upstream: LocalUpstream, layer: Blob) -> None:
    got = get(*port_and_path(upstream, layer), wanted=(1000, 500))
    assert (got.status, got.whole) == (206, True)
    assert upstream.ranges(layer.digest) == [(1000, 500)]


def test_a_200_to_a_range_is_read_up_to_it(upstream: LocalUpstream, layer: Blob) -> None:
    upstream.always(Match("GET", reference=layer.digest), IgnoreRange(), Cut(1500))
    got = get(*port_and_path(upstream, layer), wanted=(1000, 500))
    assert (got.status, got.whole) == (200, True)


def test_a_client_leaves_where_it_was_told(upstream: LocalUpstream, layer: Blob) -> None:
    upstream.always(Match("GET", reference=layer.digest), Cut(1500))
    assert get(*port_and_path(upstream, layer), leave_after=1500).whole
    assert not get(*port_and_path(upstream, layer), leave_after=1501).whole


def test_an_error_is_told_by_its_status_line(upstream: LocalUpstream, layer: Blob) -> None:
    upstream.once(Match("GET", reference=layer.digest), Reply(404, "BLOB_UNKNOWN"))
    got = get(*port_and_path(upstream, layer))
    assert (got.status, got.whole, got.failure) == (0, False, "HTTP/1.1 404 Not Found")


def test_a_client_asks_until_it_has_everything(upstream: LocalUpstream, layer: Blob) -> None:
    upstream.times(2, Match("GET", reference=layer.digest), Cut(1000))
    tries, _ = get_until_whole(*port_and_path(upstream, layer))
    assert tries == 3
    upstream.always(Match("GET", reference=layer.digest), Cut(1000))
    with pytest.raises(RuntimeError, match="in 2 tries"):
        get_until_whole(*port_and_path(upstream, layer), tries=2)
