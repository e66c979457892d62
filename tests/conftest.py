"""Fixtures of every test: the scripted upstream, images, servers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.debian import debian_image
from tests.support.images import Image, image, multi_platform
from tests.support.peers import Distribution
from tests.support.serve import Serve
from tests.support.upstream import LocalUpstream, Upstream, UpstreamProcess


def _checked(upstream: Upstream) -> Iterator[Upstream]:
    with upstream:
        yield upstream
        assert upstream.counters().unknown() == [], "requests that no registry understands"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A scripted upstream in this process."""
    yield from _checked(LocalUpstream())


@pytest.fixture
def upstream_process() -> Iterator[Upstream]:
    """A scripted upstream in a process of its own, for what must not share our interpreter."""
    yield from _checked(UpstreamProcess())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serve]]:
    """Starts `pyregistry serve` with a root of its own: `serve(upstreams={"docker.io": upstream.url}, workers=2)`.

    Arguments as `Serve` has them; `root` defaults to a folder of the test.
    """
    started: list[Serve] = []
    with ExitStack() as stack:

        def start(*, root: Path | None = None, **arguments: Any) -> Serve:
            server = stack.enter_context(Serve(root or tmp_path / "root", **arguments))
            started.append(server)
            return server

        yield start
        for server in started:
            # pytest shows it where the test failed.
            print(f"--- log of {server.url}\n{server.log[-20000:]}")


@pytest.fixture
def distribution(tmp_path: Path) -> Iterator[Distribution]:
    """A real registry, empty."""
    with Distribution(tmp_path / "distribution") as registry:
        yield registry


@pytest.fixture(scope="session")
def debian() -> Image:
    """Debian's root file system in four layers. The first test to want it needs `@pytest.mark.timeout(300)`."""
    return debian_image()


@pytest.fixture(scope="session")
def small_image() -> Image:
    """Two layers, some kilobytes."""
    return image((4096, 65536), seed="small")


@pytest.fixture(scope="session")
def large_image() -> Image:
    """Four layers of 64 MiB."""
    return image([64 << 20] * 4, seed="large")


@pytest.fixture(scope="session")
def index_image() -> Image:
    """An index of three platforms with an image each."""
    return multi_platform(seed="index")
