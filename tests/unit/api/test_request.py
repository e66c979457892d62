"""Requests over ASGI scopes as granian makes them."""

from typing import Any

import pytest

from pyregistry.api.errors import ApiError
from pyregistry.api.request import Request


def scope(query: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None, **more: Any) -> dict[str, Any]:
    """What granian hands over."""
    return {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "path": "/v2/",
        "raw_path": b"/v2/",
        "query_string": query,
        "headers": [(b"host", b"registry:5000")] if headers is None else headers,
        "client": ("192.0.2.1", "4711"),
        **more,
    }


def status_of(**given: Any) -> int:
    """The status of the error that making the request, or reading all of it, raises."""
    with pytest.raises(ApiError) as caught:
        Request(scope(**given)).parameters()
    return caught.value.status


def test_plain() -> None:
    request = Request(scope(raw_path=b"/v2/%61"))
    assert request.method == "GET"
    assert not request.is_head
    assert request.raw_path == b"/v2/%61"
    assert request.client == "192.0.2.1"
    assert request.http_version == "1.1"
    assert request.host == "registry:5000"


def test_unix_socket_has_no_client_address() -> None:
    assert Request(scope(client=("", "0"))).client is None
    assert Request(scope(client=None)).client is None


class TestHost:
    """RFC 9112 section 3.2"""

    def test_missing(self) -> None:
        assert status_of(headers=[]) == 400

    def test_missing_as_granian_says_it(self) -> None:
        assert status_of(headers=[(b"host", b"")]) == 400

    def test_several(self) -> None:
        assert status_of(headers=[(b"host", b"a"), (b"host", b"a")]) == 400

    @pytest.mark.parametrize("version", ["1", "1.0"])
    def test_http_1_0_may_leave_it_out(self, version: str) -> None:
        assert Request(scope(headers=[(b"host", b"")], http_version=version)).host == ""
        assert Request(scope(headers=[], http_version=version)).host == ""


class TestHeader:
    def test_missing(self) -> None:
        assert Request(scope()).header(b"range") is None

    def test_several_fields_are_one_list(self) -> None:
        fields = [(b"host", b"h"), (b"accept", b"a/b"), (b"x", b"1"), (b"accept", b"c/d, e/f")]
        request = Request(scope(headers=fields))
        assert request.header(b"accept") == "a/b, c/d, e/f"
        assert request.header(b"x") == "1"

    def test_any_byte_can_be_read(self) -> None:
        assert Request(scope(headers=[(b"host", b"h"), (b"x", b"\xff")])).header(b"x") == "\xff"


class TestQuery:
    def test_empty(self) -> None:
        request = Request(scope(b""))
        assert request.query("ns") is None
        assert request.queries("ns") == []
        assert request.parameters() == []

    def test_as_clients_write_it(self) -> None:
        request = Request(scope(b"ns=localhost%3A5001&n=10&last=a+b%2B&&flag&digest="))
        assert request.query("ns") == "localhost:5001"
        assert request.query("n") == "10"
        assert request.query("last") == "a b+"
        assert request.query("flag") == ""
        assert request.query("digest") == ""
        assert request.query("x") is None

    def test_repeated(self) -> None:
        request = Request(scope(b"tag=a&x=1&tag=b&tag=a"))
        assert request.query("tag") == "a"
        assert request.queries("tag") == ["a", "b", "a"]

    def test_utf_8(self) -> None:
        assert Request(scope("last=ä".encode())).query("last") == "ä"
        assert Request(scope(b"last=%c3%a4")).query("last") == "ä"

    def test_bad_escapes_stay_as_they_are(self) -> None:
        assert Request(scope(b"last=%zz%")).query("last") == "%zz%"

    @pytest.mark.parametrize("query", [b"last=%ff", b"%ff=1", b"last=%00", b"last=\0", b"&".join([b"a=1"] * 65)])
    def test_that_cannot_be_read(self, query: bytes) -> None:
        assert status_of(query=query) == 400
