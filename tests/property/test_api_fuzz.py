"""Whatever a client sends, only the spec's error bodies come back: never a 500, never a traceback.

The whole application in this process, over a real store and database, without a socket: thousands of requests a test.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyregistry.app import create_app
from pyregistry.config import Config, MirrorConfig, StorageConfig
from pyregistry.oci.error_codes import ErrorCode

CODES = {code.code for code in ErrorCode}
DIGEST = "sha256:" + "0" * 64

names = st.one_of(
    st.sampled_from(
        ["team/app", "a", "a/b/c", "Team/App", "..", "a//b", "a%2Fb", "x" * 300, "localhost:1/a", "ghcr.io/a"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=40),
)
references = st.one_of(
    st.sampled_from(["latest", "v1", DIGEST, "sha256:", "sha512:" + "a" * 128, "md5:abc", ".bad", "%00", "t" * 200]),
    st.text(st.characters(codec="utf-8"), max_size=60),
)
suffixes = st.one_of(
    st.builds("manifests/{}".format, references),
    st.builds("blobs/{}".format, references),
    st.builds("referrers/{}".format, references),
    st.builds("blobs/uploads/{}".format, references),
    st.sampled_from(["tags/list", "blobs/uploads/", "blobs/uploads", "", "tags", "manifests/", "unknown/x"]),
)
paths = st.one_of(
    st.builds("/v2/{}/{}".format, names, suffixes),
    st.sampled_from(["/", "/v2", "/v2/", "/v2/_catalog", "/v3/", "/livez", "/readyz", "//v2/", "/v2/%"]),
    st.text(st.characters(codec="utf-8"), max_size=60).map("/{}".format),
)
queries = st.one_of(
    st.just(b""),
    st.sampled_from(
        [
            b"n=5",
            b"n=-1",
            b"n=x",
            b"last=%ff",
            b"digest=" + DIGEST.encode(),
            b"mount=" + DIGEST.encode(),
            b"ns=ghcr.io",
            b"mount=" + DIGEST.encode() + b"&from=team/app",
            b"tag=a&tag=b",
            b"artifactType=%00",
            b"digest-algorithm=md5",
        ]
    ),
    st.binary(max_size=40),
)
headers = st.lists(
    st.tuples(
        st.sampled_from(
            [b"range", b"if-none-match", b"if-range", b"content-range", b"content-type", b"content-length", b"accept"]
        ),
        st.one_of(
            st.sampled_from(
                [b"bytes=0-", b"bytes=5-1", b"0-99", b"bytes=" + b"0-1," * 2000, b'"x"', b"*", b"-1", b"10"]
            ),
            st.binary(max_size=30).filter(lambda value: b"\r" not in value and b"\n" not in value),
        ),
    ),
    max_size=4,
)
bodies = st.one_of(
    st.just(b""), st.binary(max_size=200), st.sampled_from([b"{}", b'{"schemaVersion":2}', b"[" * 500, b"null"])
)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])


#: Query, header fields, body.
Rest = tuple[bytes, list[tuple[bytes, bytes]], bytes]


class Running:
    """The application, started once; `ask` is one request."""

    def __init__(self, root: Path) -> None:
        self._loop = asyncio.new_event_loop()
        config = Config(storage=StorageConfig(root=root, reserve=0), mirror=MirrorConfig(upstreams={}))
        self._app = create_app(config, 0)
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._started = asyncio.Event()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        async def send(message: Any) -> None:
            self._started.set()

        self._lifespan = asyncio.ensure_future(self._app({"type": "lifespan"}, self._messages.get, send))
        await self._messages.put({"type": "lifespan.startup"})
        await self._started.wait()

    def ask(
        self, method: str, path: bytes, query: bytes, fields: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        return self._loop.run_until_complete(self._ask(method, path, query, fields, body))

    async def _ask(
        self, method: str, path: bytes, query: bytes, fields: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path.decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "headers": [(b"host", b"127.0.0.1"), *fields],
            "http_version": "1.1",
            "client": ("127.0.0.1", 1),
            "scheme": "http",
        }
        await self._app(scope, receive, send)
        received = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), received

    def close(self) -> None:
        async def end() -> None:
            await self._messages.put({"type": "lifespan.shutdown"})
            await self._lifespan

        self._loop.run_until_complete(end())
        self._loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    app = Running(tmp_path_factory.mktemp("fuzz") / "root")
    yield app
    app.close()


@pytest.mark.timeout(300)
@settings(max_examples=1500, deadline=None)
@example("POST", b"/v2/team/app/blobs/uploads/", (b"", [], b""))
@example("POST", b"/v2/team/app/blobs/uploads/", (b"digest=" + DIGEST.encode(), [], b"x"))
@example("PUT", b"/v2/team/app/manifests/v1", (b"", [], b"{}"))
@given(method=methods, path=paths.map(str.encode), rest=st.tuples(queries, headers, bodies))
def test_only_the_specs_errors(running: Running, method: str, path: bytes, rest: Rest) -> None:
    status, answered, received = running.ask(method, path, *rest)
    assert status < 500, (status, received)
    if status >= 400:
        assert answered[b"content-type"] == b"application/json"
        if method != "HEAD":
            (error,) = json.loads(received)["errors"]
            assert error["code"] in CODES
            assert isinstance(error["message"], str)
            assert "Traceback" not in error["message"]
            assert str(len(received)) == answered[b"content-length"].decode()
