"""What the scenarios measure, each with its unit and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Better(Enum):
    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class Metric:
    """`key` names it in recorded samples, `title` in the table."""

    key: str
    title: str
    better: Better = Better.LOWER


UPSTREAM = Metric("upstream_ratio", "upstream bytes / image bytes")
FIRST_P50 = Metric("first_byte_p50_ms", "first byte p50, ms")
FIRST_P99 = Metric("first_byte_p99_ms", "first byte p99, ms")
SECONDS = Metric("seconds", "seconds")
GB_PER_S = Metric("gb_per_s", "GB/s", Better.HIGHER)
MB_PER_S = Metric("mb_per_s", "MB/s", Better.HIGHER)
CPU_PER_GB = Metric("cpu_s_per_gb", "CPU s/GB")
PER_S = Metric("requests_per_s", "requests/s", Better.HIGHER)
P50 = Metric("p50_ms", "p50, ms")
P99 = Metric("p99_ms", "p99, ms")
CPU_PER_REQUEST = Metric("cpu_us_per_request", "CPU µs/request")
ASKED = Metric("upstream_per_request", "requests upstream / request")
MEMORY = Metric("memory_mb", "peak memory over idle, MB")
TRIES = Metric("tries", "requests until whole")
KEPT = Metric("fast_client_keeps", "a fast client's rate beside them / alone", Better.HIGHER)

METRICS = {metric.key: metric for metric in list(globals().values()) if isinstance(metric, Metric)}
