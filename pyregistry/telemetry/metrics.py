"""What the server counts. One `Metrics` per process, said in the words of the domain; names live here and nowhere else.

Each worker slot writes its own memory-mapped files (prometheus-client's multiprocess mode, keyed by slot instead of by
pid), so that a counter goes on where a killed worker left it; `telemetry.exposition` sums them. Without `install` (CLI,
tests) the same object counts in memory. Labels are closed or bounded by the configuration: never a repository, a digest
or a client.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import mark_process_dead

from pyregistry import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from pyregistry.errors import Cause

log = logging.getLogger(__name__)

#: What of an upstream was asked for.
Kind = Literal["manifest", "blob", "tags", "referrers"]
#: The same for requests to the upstream, which also gives tokens.
UpstreamKind = Literal["manifest", "blob", "tags", "referrers", "token", "base"]
#: How a request to the mirror was answered: from the store; from a running fill; by a fetch of its own; from the
#: store because upstream, which should have been asked, did not answer; not at all.
Result = Literal["hit", "joined", "miss", "stale", "error"]

#: From 100 µs, about what a hot answer costs, to the five minutes of a slow large layer.
BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0,
)  # fmt: skip

#: The files of a process by kind and mode, and their bytes: for all series of some fifty upstreams.
_FILES = {
    "counter": 1 << 20,
    "histogram": 256 << 10,
    "gauge_livesum": 64 << 10,
    "gauge_max": 64 << 10,
    "gauge_mostrecent": 64 << 10,
}

#: HTTP methods are the client's words; others than these are counted as `other`.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class UpstreamMetrics:
    """The counters of one upstream, its label looked up once; kept by whoever works for that upstream."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name
        self._results: dict[tuple[Kind, Result], Counter] = {}
        self._asked: dict[tuple[UpstreamKind, int], Counter] = {}
        self._received = metrics.upstream_bytes.labels(name)
        self._served = metrics.served_bytes.labels(name)
        self._incomplete = metrics.incomplete.labels(name)

    def request(self, kind: Kind, result: Result) -> None:
        """A client's request for something of this upstream was answered."""
        child = self._results.get((kind, result))
        if child is None:
            child = self._results[kind, result] = self._metrics.mirror_requests.labels(self._name, kind, result)
        child.inc()

    def asked(self, kind: UpstreamKind, status: int) -> None:
        """A request was sent upstream; `status` 0: it got no answer."""
        child = self._asked.get((kind, status))
        if child is None:
            child = self._metrics.upstream_requests.labels(self._name, kind, str(status))
            self._asked[kind, status] = child
        child.inc()

    def received(self, count: int) -> None:
        """Body bytes came from this upstream."""
        self._received.inc(count)

    def served(self, count: int) -> None:
        """Body bytes of this upstream's content went to a client."""
        self._served.inc(count)

    def quota(self, remaining: int) -> None:
        """What the upstream last said is left of its pull limit."""
        # Made on first use: an upstream that never names a limit has no such series, rather than one that says 0.
        self._metrics.quota_remaining.labels(self._name).set(remaining)

    def breakers(self, count: int) -> None:
        """So many of its base URLs are not asked now."""
        self._metrics.breaker_open.labels(self._name).set(count)

    def incomplete(self) -> None:
        """A manifest was served although blobs of it are missing and the upstream is not asked."""
        self._incomplete.inc()


class Metrics:
    """Every metric of this process. Construct through `install` in a server process, else use `current()`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.http_requests = Counter(
            "pyregistry_http_requests_total", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self.http_seconds = Histogram(
            "pyregistry_http_request_seconds",
            "From a request's arrival to the end of its response.",
            ("route",),
            registry=registry,
            buckets=BUCKETS,
        )
        self.http_first_byte = Histogram(
            "pyregistry_http_first_byte_seconds",
            "From a request's arrival to the first byte of its response's body.",
            ("route",),
            registry=registry,
            buckets=BUCKETS,
        )
        self.http_bytes = Counter("pyregistry_http_response_bytes_total", "Body bytes sent.", registry=registry)
        self.http_in_progress = Gauge(
            "pyregistry_http_requests_in_progress",
            "Requests being answered now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.mirror_requests = Counter(
            "pyregistry_mirror_requests_total",
            "Requests for mirrored content, by how they were answered.",
            ("upstream", "kind", "result"),
            registry=registry,
        )
        self.upstream_bytes = Counter(
            "pyregistry_mirror_upstream_bytes_total", "Body bytes received.", ("upstream",), registry=registry
        )
        self.served_bytes = Counter(
            "pyregistry_mirror_served_bytes_total",
            "Body bytes of mirrored content sent to clients.",
            ("upstream",),
            registry=registry,
        )
        self.upstream_requests = Counter(
            "pyregistry_mirror_upstream_requests_total",
            "Requests sent upstream; status 0 had no answer.",
            ("upstream", "kind", "status"),
            registry=registry,
        )
        self.fills_in_progress = Gauge(
            "pyregistry_mirror_fills_in_progress", "Fills running now.", registry=registry, multiprocess_mode="livesum"
        )
        self.fill_failures = Counter(
            "pyregistry_mirror_fill_failures_total", "Fills that failed.", ("cause",), registry=registry
        )
        self.quota_remaining = Gauge(
            "pyregistry_mirror_upstream_quota_remaining",
            "Pulls left as the upstream last said.",
            ("upstream",),
            registry=registry,
            # All workers share one quota, and what upstream said last holds, even if a dead worker heard it.
            multiprocess_mode="mostrecent",
        )
        self.breaker_open = Gauge(
            "pyregistry_mirror_breaker_open",
            "Base URLs that are not asked now, since they failed or limit us.",
            ("upstream",),
            registry=registry,
            # Workers share the state; who changes it says so.
            multiprocess_mode="mostrecent",
        )
        self.incomplete = Counter(
            "pyregistry_mirror_incomplete_manifests_total",
            "Manifests served while blobs of them were missing and the upstream was not asked.",
            ("upstream",),
            registry=registry,
        )
        self.worker_restarts = Counter(
            "pyregistry_worker_restarts_total", "Workers started again after they died.", ("slot",), registry=registry
        )
        self.workers_ready = Gauge(
            "pyregistry_workers_ready", "Workers that answer now.", registry=registry, multiprocess_mode="livesum"
        )
        self.build_info = Gauge(
            "pyregistry_build_info", "1, with the version.", ("version",), registry=registry, multiprocess_mode="max"
        )
        self.build_info.labels(__version__).set(1)
        self._upstreams: dict[str, UpstreamMetrics] = {}
        self._answered: dict[tuple[str, str, int], Counter] = {}
        self._routes: dict[str, tuple[Histogram, Histogram]] = {}

    def request_began(self) -> None:
        """A request arrived; exactly one `request_ended` follows."""
        self.http_in_progress.inc()

    def request_ended(
        self, route: str, method: str, status: int, seconds: float, *, first_byte: float | None = None, sent: int = 0
    ) -> None:
        """A response ended after `seconds`, its body's first byte (if it had one) after `first_byte`.

        `route` is a name from the router's closed table.
        """
        self.http_in_progress.dec()
        key = (route, method, status)
        answered = self._answered.get(key)
        if answered is None:
            method = method if method in METHODS else "other"
            answered = self.http_requests.labels(route, method, str(status))
            if method != "other":  # what a client invents must not grow this table
                self._answered[key] = answered
        answered.inc()
        histograms = self._routes.get(route)
        if histograms is None:
            histograms = self._routes[route] = (self.http_seconds.labels(route), self.http_first_byte.labels(route))
        histograms[0].observe(seconds)
        if first_byte is not None:
            histograms[1].observe(first_byte)
        if sent:
            self.http_bytes.inc(sent)

    def upstream(self, name: str) -> UpstreamMetrics:
        """The counters of the upstream configured as `name`."""
        upstream = self._upstreams.get(name)
        if upstream is None:
            upstream = self._upstreams[name] = UpstreamMetrics(self, name)
        return upstream

    def fill_began(self) -> None:
        """This process owns one more fill; exactly one `fill_ended` follows."""
        self.fills_in_progress.inc()

    def fill_ended(self, failure: Cause | None = None) -> None:
        """A fill of this process ended, with `failure` if it has failed."""
        self.fills_in_progress.dec()
        if failure is not None:
            self.fill_failures.labels(failure.name.lower()).inc()

    def worker_restarted(self, slot: int) -> None:
        """Main started the worker of `slot` again."""
        self.worker_restarts.labels(str(slot)).inc()


_current: Metrics | None = None


def current() -> Metrics:
    """This process's metrics; in memory until `install`. Take it when the app is built, not per request."""
    global _current  # noqa: PLW0603  one per process, as the files are
    if _current is None:
        _current = Metrics()
    return _current


def install(directory: Path, slot: int | Literal["main"]) -> Metrics:
    """Counts into `directory` as `slot` from now on; to be called before anything took `current()`.

    Counters go on from what an earlier process of the slot left, its live gauges begin at 0.
    """
    global _current  # noqa: PLW0603
    try:
        directory.mkdir(parents=True, exist_ok=True)
        forget(directory, slot)
        _allocate(directory, slot)
    except OSError as error:
        log.warning("what this process counts is missing from the metrics until it is started again: %s", error)
        uninstall()
        return current()
    # prometheus-client has no other way to be told: it reads this variable when a file is opened.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)  # type: ignore[no-untyped-call]
    _current = Metrics()
    return _current


def _allocate(directory: Path, slot: int | Literal["main"]) -> None:
    """Makes the files that prometheus-client would make, without holes: storing into a hole of a mapped file kills the
    process (SIGBUS) once the disk is full."""
    for kind, size in _FILES.items():
        path = directory / f"{kind}_{slot}.db"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError:
            if os.fstat(descriptor).st_size == 0:  # nobody can read an empty one
                path.unlink()
            raise
        finally:
            os.close(descriptor)


def forget(directory: Path, slot: int | Literal["main"]) -> None:
    """Drops the live gauges of a dead process: its fills and requests are not in progress any more."""
    mark_process_dead(slot, str(directory))  # type: ignore[no-untyped-call]


def uninstall() -> None:
    """Back to counting in memory, files closed."""
    global _current  # noqa: PLW0603
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    values.close_all_multiprocess_files()  # type: ignore[no-untyped-call]
    values.ValueClass = values.MutexValue
    _current = None
