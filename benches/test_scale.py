"""A request's cost hardly grows with what is hosted: ten times the tags, a hundred times the rest. Over HTTP.

Two servers, each asked on one connection. `cpu_factor` compares the servers' CPU time, which no client waters down.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest

from benches.load import body_length
from benches.scale import (
    APP,
    PAGE,
    READS,
    SUBJECT,
    TYPES,
    WRITES,
    artifact,
    compare,
    fill,
    image,
    referrer,
    sizes,
)
from benches.usage import cpu_seconds
from pyregistry.store.metadata import Metadata
from tests.support.serve import Serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from benches.scale import Names, Size, Turns
    from pyregistry.oci.manifests import Manifest


class Served:
    """A server over a filled database, and a connection to it."""

    def __init__(self, server: Serve, names: Names) -> None:
        self.server = server
        self.names = names
        self.asked = 0
        self._host = server.host
        host, _, port = server.host.rpartition(":")
        self._sock = socket.create_connection((host, int(port)), timeout=30)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, manifest: Manifest | None = None) -> bytes:
        """The body of a 200 or 201."""
        self.asked += 1
        head = f"{method} /v2/{path} HTTP/1.1\r\nHost: {self._host}\r\n"
        content = b""
        if manifest is not None:
            content = manifest.content
            head += f"Content-Type: {manifest.media_type}\r\nContent-Length: {len(content)}\r\n"
        self._sock.sendall(head.encode() + b"\r\n" + content)
        got = self._receive()
        while (end := got.find(b"\r\n\r\n") + 4) < 4:
            got += self._receive()
        if got.split(b" ", 2)[1] not in (b"200", b"201"):
            raise ValueError(f"{method} {path}: {got!r}")
        length = 0 if method == "HEAD" else body_length(got[:end])
        while len(got) < end + length:
            got += self._receive()
        return got[end:]

    def _receive(self) -> bytes:
        data = self._sock.recv(1 << 20)
        if not data:
            raise ValueError("closed before the answer's end")
        return data

    def close(self) -> None:
        self._sock.close()


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    small, large = (_laid(tmp_path_factory.mktemp("root") / "root", size) for size in sizes(request.config))
    with _serve(small[0]) as one, _serve(large[0]) as other:
        served = Served(one, small[1]), Served(other, large[1])
        yield served
        for each in served:
            each.close()


def _laid(root: Path, size: Size) -> tuple[Path, Names]:
    """The facts alone: no route asked here opens a blob."""
    metadata = Metadata.open(root)
    try:
        return root, asyncio.run(fill(metadata, size))
    finally:
        metadata.close()


def _serve(root: Path) -> Serve:
    return Serve(root, workers=1, log={"level": "warning"})


REFERRERS = f"{APP}/referrers/{SUBJECT.digest}"
PULLS: dict[str, Callable[[Served], bytes]] = {
    "GET by tag": lambda at: at.ask("GET", f"{APP}/manifests/{at.names.tag()}"),
    "GET by digest": lambda at: at.ask("GET", f"{APP}/manifests/{at.names.referrer()}"),
    "GET in one of the repositories": lambda at: at.ask("GET", f"{at.names.repository()}/manifests/latest"),
    "HEAD by tag": lambda at: at.ask("HEAD", f"{APP}/manifests/{at.names.tag()}"),
    "HEAD by digest": lambda at: at.ask("HEAD", f"{APP}/manifests/{at.names.referrer()}"),
}
PAGES: dict[str, Callable[[Served], bytes]] = {
    "tags": lambda at: at.ask("GET", f"{APP}/tags/list?n={PAGE}&last={at.names.tag()}"),
    "first tags": lambda at: at.ask("GET", f"{APP}/tags/list?n={PAGE}"),
    "referrers": lambda at: at.ask("GET", f"{REFERRERS}?n={PAGE}&last={at.names.referrer()}"),
    "referrers of a type": lambda at: at.ask(
        "GET", f"{REFERRERS}?artifactType={TYPES[1]}&n={PAGE}&last={at.names.referrer()}"
    ),
    "first referrers": lambda at: at.ask("GET", f"{REFERRERS}?n={PAGE}"),
    "catalogue": lambda at: at.ask("GET", f"_catalog?n={PAGE}&last={at.names.repository()}"),
    "first of the catalogue": lambda at: at.ask("GET", f"_catalog?n={PAGE}"),
}

pytestmark = [pytest.mark.timeout(600), pytest.mark.benchmark(group="HTTP: small and large")]


def measure(
    benchmark: BenchmarkFixture, both: tuple[Served, Served], ask: Callable[[Served], bytes], taking: Turns
) -> None:
    async def asked(at: Served) -> None:
        ask(at)

    before = [(cpu_seconds(at.server), at.asked) for at in both]
    compare(benchmark, both, asked, taking)
    small, large = (
        (cpu_seconds(at.server) - cpu) / (at.asked - count) for at, (cpu, count) in zip(both, before, strict=True)
    )
    benchmark.extra_info |= {"small_cpu_us": round(small * 1e6), "large_cpu_us": round(large * 1e6)}
    if not benchmark.disabled:
        benchmark.extra_info["cpu_factor"] = round(large / small, 2)


@pytest.mark.parametrize("name", PULLS)
def test_pull(benchmark: BenchmarkFixture, both: tuple[Served, Served], name: str) -> None:
    measure(benchmark, both, PULLS[name], READS)


@pytest.mark.parametrize("name", PAGES)
def test_page(benchmark: BenchmarkFixture, both: tuple[Served, Served], name: str) -> None:
    for at in both:
        answer = json.loads(PAGES[name](at))
        assert [len(value) for value in answer.values() if isinstance(value, list)] == [PAGE]
    measure(benchmark, both, PAGES[name], READS)


PUTS: dict[str, Callable[[Served, int], bytes]] = {
    "with a new tag": lambda at, number: at.ask("PUT", f"{APP}/manifests/w{number}", image(number)),
    "moving a tag": lambda at, number: at.ask("PUT", f"{APP}/manifests/{at.names.tag()}", image(number + 10**8)),
    "of a referrer": lambda at, number: _put_by_digest(at, APP, referrer(number)),
    "to a new repository": lambda at, number: _put_by_digest(at, f"new/{number}", artifact(n=number)),
}


def _put_by_digest(at: Served, repository: str, manifest: Manifest) -> bytes:
    return at.ask("PUT", f"{repository}/manifests/{manifest.digest}", manifest)


@pytest.mark.parametrize("name", PUTS)
def test_put(benchmark: BenchmarkFixture, both: tuple[Served, Served], name: str) -> None:
    """Durable: answered when it is on disk."""
    numbers = iter(range(10**6, 10**7))
    measure(benchmark, both, lambda at: PUTS[name](at, next(numbers)), WRITES)
