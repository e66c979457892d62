"""Responses as ASGI messages, and the canonical error body."""

import json
from typing import Any

import pytest

from pyregistry.api.errors import ApiError
from pyregistry.api.respond import (
    blob_headers,
    content_type,
    digest_headers,
    error_body,
    finish,
    send_bytes,
    send_error,
    send_json,
    start,
)
from pyregistry.oci.digests import Digest
from pyregistry.oci.error_codes import ErrorCode

DIGEST = Digest("sha256:" + "ab" * 32)


class Client:
    """What a client sees of a response."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        fields = list(self.messages[0]["headers"])
        assert len(dict(fields)) == len(fields), "a header twice"
        assert all(name == name.lower() for name, _ in fields)
        return dict(fields)

    @property
    def body(self) -> bytes:
        assert [message["type"] for message in self.messages] == ["http.response.start", "http.response.body"]
        assert self.messages[1]["more_body"] is False
        return bytes(self.messages[1]["body"])


@pytest.fixture
def client() -> Client:
    return Client()


async def test_whole_response(client: Client) -> None:
    await send_bytes(client.send, "GET", 200, [content_type("a/b")], b"body")
    assert (client.status, client.body) == (200, b"body")
    assert client.headers == {b"content-type": b"a/b", b"content-length": b"4"}


async def test_head_has_the_headers_of_get(client: Client) -> None:
    await send_bytes(client.send, "HEAD", 200, [], b"body")
    assert (client.body, client.headers) == (b"", {b"content-length": b"4"})


async def test_empty_body_has_a_length(client: Client) -> None:
    await send_bytes(client.send, "GET", 202, [])
    assert (client.body, client.headers) == (b"", {b"content-length": b"0"})


@pytest.mark.parametrize("status", [204, 304])
async def test_no_length_where_there_is_no_body(client: Client, status: int) -> None:
    await send_bytes(client.send, "GET", status, [(b"etag", b"x")], b"ignored")
    assert (client.body, client.headers) == (b"", {b"etag": b"x"})


async def test_given_headers_are_not_changed(client: Client) -> None:
    headers = [(b"etag", b"x")]
    await send_json(client.send, "GET", 200, headers, {})
    assert headers == [(b"etag", b"x")]


async def test_json(client: Client) -> None:
    await send_json(client.send, "GET", 200, (), {"tags": ["ä"]})
    assert json.loads(client.body) == {"tags": ["ä"]}
    assert client.headers[b"content-type"] == b"application/json"


async def test_json_of_another_type(client: Client) -> None:
    await send_json(client.send, "GET", 200, [content_type("a/b+json")], {})
    assert client.headers[b"content-type"] == b"a/b+json"


async def test_start_and_finish(client: Client) -> None:
    await start(client.send, 206, [(b"a", b"b")])
    await finish(client.send, b"end")
    assert (client.status, client.body) == (206, b"end")


def test_content_headers() -> None:
    headers = dict(blob_headers(DIGEST, 1 << 40))
    assert headers[b"docker-content-digest"] == DIGEST.encode()
    assert headers[b"etag"] == f'"{DIGEST}"'.encode()
    assert headers[b"content-length"] == b"1099511627776"
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers[b"accept-ranges"] == b"bytes"
    assert b"content-encoding" not in headers
    assert dict(digest_headers(DIGEST)).keys() < headers.keys()
    assert b"content-length" not in dict(blob_headers(DIGEST, None))


async def test_the_canonical_error(client: Client) -> None:
    """Distribution spec, section Error Codes."""
    error = ApiError(ErrorCode.NAME_UNKNOWN, "no such name", detail={"name": "a"}, headers=((b"x", b"y"),))
    await send_error(client.send, "GET", error)
    assert client.status == 404
    assert json.loads(client.body) == {
        "errors": [{"code": "NAME_UNKNOWN", "message": "no such name", "detail": {"name": "a"}}]
    }
    assert client.headers == {
        b"content-type": b"application/json",
        b"content-length": str(len(client.body)).encode(),
        b"docker-distribution-api-version": b"registry/2.0",
        b"cache-control": b"no-store",
        b"x": b"y",
    }


async def test_error_without_detail_of_head(client: Client) -> None:
    error = ApiError(ErrorCode.BLOB_UNKNOWN)
    await send_error(client.send, "HEAD", error)
    assert client.body == b""
    assert client.headers[b"content-length"] == str(len(error_body(error))).encode()
    assert json.loads(error_body(error)) == {
        "errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown to registry"}]
    }


@pytest.mark.parametrize("message", ['\x00\r\n"', "ä", "\ud800"])
def test_error_body_is_json_whatever_the_message(message: str) -> None:
    assert json.loads(error_body(ApiError(ErrorCode.UNKNOWN, message, detail={"x": message})))


def test_media_types_beyond_latin_1_stay_one_header() -> None:
    assert content_type("a/€") == (b"content-type", b"a/?")
