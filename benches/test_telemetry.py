"""What counting and logging one request costs: it is on the way of every pull."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pyregistry.config import LogConfig
from pyregistry.telemetry import logs, metrics
from pyregistry.telemetry.metrics import Metrics


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Metrics]:
    yield metrics.install(tmp_path, 0)
    metrics.uninstall()


@pytest.fixture
def errors_to_a_pipe() -> Iterator[None]:
    """Standard error into a program that reads it, as under a service manager."""
    kept = os.dup(2)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        assert reader.stdin is not None
        os.dup2(reader.stdin.fileno(), 2)
        yield
        os.dup2(kept, 2)
    os.close(kept)


def access() -> None:
    logs.access(
        method="GET",
        route="blob",
        status=200,
        seconds=0.0123,
        sent=51200,
        client="10.0.0.1",
        repository="docker.io/library/nginx",
        reference="sha256:" + "a" * 64,
        upstream="docker.io",
        result="hit",
        user_agent="containerd/2.0.0",
    )


def test_one_counter(counted: Metrics, benchmark: BenchmarkFixture) -> None:
    upstream = counted.upstream("docker.io")
    benchmark(lambda: upstream.request("blob", "hit"))


def test_all_of_a_request(counted: Metrics, benchmark: BenchmarkFixture) -> None:
    def request() -> None:
        counted.request_began()
        counted.request_ended("blob", "GET", 200, 0.0123, first_byte=0.001, sent=51200)

    benchmark(request)


@pytest.mark.usefixtures("errors_to_a_pipe")
@pytest.mark.parametrize("form", ["json", "console", "off"])
def test_one_line(form: str, benchmark: BenchmarkFixture) -> None:
    logs.configure(LogConfig.model_validate({"level": "error"} if form == "off" else {"format": form}))
    benchmark(access)
    logs.configure(LogConfig(level="error"))
