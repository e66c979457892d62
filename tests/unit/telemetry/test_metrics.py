"""Counters over slots and over the deaths of their processes."""

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyregistry.errors import Cause
from pyregistry.telemetry import exposition, metrics


def value(folder: Path, name: str, **labels: str) -> float | None:
    """The sum over all slots of one series; None: there is no such series."""
    for family in text_string_to_metric_families(exposition.render(folder).decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_slots_are_summed(run_folder: Path) -> None:
    for slot in (0, 1):
        counted = metrics.install(run_folder, slot)
        counted.upstream("docker.io").request("blob", "hit")
        counted.upstream("docker.io").served(100)
    labels = {"upstream": "docker.io", "kind": "blob", "result": "hit"}
    assert value(run_folder, "pyregistry_mirror_requests_total", **labels) == 2
    assert value(run_folder, "pyregistry_mirror_served_bytes_total", upstream="docker.io") == 200


def test_a_new_process_of_a_slot_goes_on_counting_but_has_nothing_in_progress(run_folder: Path) -> None:
    for _ in range(2):
        counted = metrics.install(run_folder, 0)
        counted.fill_began()
        counted.request_began()
        counted.upstream("a").received(5)
    assert value(run_folder, "pyregistry_mirror_fills_in_progress") == 1
    assert value(run_folder, "pyregistry_http_requests_in_progress") == 1
    assert value(run_folder, "pyregistry_mirror_upstream_bytes_total", upstream="a") == 10


def test_a_dead_process_has_nothing_in_progress(run_folder: Path) -> None:
    metrics.install(run_folder, 0).fill_began()
    metrics.install(run_folder, 1).fill_began()
    metrics.forget(run_folder, 0)
    assert value(run_folder, "pyregistry_mirror_fills_in_progress") == 1


def test_what_a_killed_process_counted_stays(run_folder: Path) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from pyregistry.telemetry import metrics
        counted = metrics.install(Path({str(run_folder)!r}), 3)
        counted.upstream("a").served(7)
        counted.fill_began()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=30)
    assert done.returncode == -9
    metrics.install(run_folder, 3)
    assert value(run_folder, "pyregistry_mirror_served_bytes_total", upstream="a") == 7
    assert value(run_folder, "pyregistry_mirror_fills_in_progress") == 0


def test_the_quota_is_what_was_said_last(run_folder: Path) -> None:
    metrics.install(run_folder, 0).upstream("docker.io").quota(90)
    metrics.install(run_folder, 1).upstream("docker.io").quota(80)
    # The one who heard it may be dead: it holds all the same.
    metrics.forget(run_folder, 1)
    assert value(run_folder, "pyregistry_mirror_upstream_quota_remaining", upstream="docker.io") == 80


def test_a_request(run_folder: Path) -> None:
    counted = metrics.install(run_folder, 0)
    counted.request_began()
    counted.request_ended("blob", "GET", 200, 0.02, first_byte=0.0002, sent=1000)
    assert value(run_folder, "pyregistry_http_requests_total", route="blob", method="GET", status="200") == 1
    assert value(run_folder, "pyregistry_http_response_bytes_total") == 1000
    assert value(run_folder, "pyregistry_http_requests_in_progress") == 0
    assert value(run_folder, "pyregistry_http_first_byte_seconds_bucket", route="blob", le="0.00025") == 1
    assert value(run_folder, "pyregistry_http_request_seconds_bucket", route="blob", le="0.01") == 0
    assert value(run_folder, "pyregistry_http_request_seconds_bucket", route="blob", le="0.025") == 1


def test_a_response_without_a_body_has_no_first_byte(run_folder: Path) -> None:
    counted = metrics.install(run_folder, 0)
    counted.request_began()
    counted.request_ended("blob", "HEAD", 200, 0.001)
    assert value(run_folder, "pyregistry_http_first_byte_seconds_count", route="blob") == 0


def test_a_clients_words_are_no_labels() -> None:
    counted = metrics.Metrics()
    for method in ("BREW", "PROPFIND"):
        counted.request_began()
        counted.request_ended("base", method, 405, 0.001)
    labels = {"route": "base", "method": "other", "status": "405"}
    assert counted.registry.get_sample_value("pyregistry_http_requests_total", labels) == 2


def test_fills_by_cause() -> None:
    counted = metrics.Metrics()
    counted.fill_began()
    counted.fill_ended(Cause.DIGEST_MISMATCH)
    counted.fill_began()
    counted.fill_ended()
    get = counted.registry.get_sample_value
    assert get("pyregistry_mirror_fills_in_progress") == 0
    assert get("pyregistry_mirror_fill_failures_total", {"cause": "digest_mismatch"}) == 1


def test_in_memory_without_install() -> None:
    assert metrics.current() is metrics.current()


@pytest.mark.parametrize("slot", [0, "main"])
def test_install_makes_the_current_metrics(run_folder: Path, slot: int) -> None:
    assert metrics.install(run_folder, slot) is metrics.current()


def test_files_have_no_holes(run_folder: Path) -> None:
    """A full disk would kill whoever stores into one."""
    counted = metrics.install(run_folder, 0)
    for status in range(100, 600):
        counted.request_ended("blob", "GET", status, 0.1, first_byte=0.1)
    counted.upstream("a").quota(1)
    files = list(run_folder.glob("*_0.db"))
    assert len(files) == len(metrics._FILES)
    for file in files:
        assert file.stat().st_blocks * 512 >= file.stat().st_size, file.name


@pytest.mark.parametrize("kind", list(metrics._FILES))
def test_without_room_for_its_files_a_process_counts_for_itself(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    metrics.install(run_folder, 0).upstream("a").served(1)
    allocate = os.posix_fallocate

    def full(descriptor: int, offset: int, length: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == f"{kind}_1.db":
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", full)
    metrics.install(run_folder, 1).upstream("a").served(1)
    assert value(run_folder, "pyregistry_mirror_served_bytes_total", upstream="a") == 1
