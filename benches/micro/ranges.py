"""Range headers (RFC 9110 section 14.1.2)."""

from __future__ import annotations

from benches.micro.ready import at_once
from pyregistry.store.content import parse_range

SIZE = 512 << 20
ONE = "bytes=51200-102399"
PARTS = "bytes=" + ", ".join(f"{first}-{first + 4095}" for first in range(0, 64 << 16, 1 << 16))

WORKS = {
    "range": at_once(lambda: parse_range(ONE, SIZE)),
    "64 ranges": at_once(lambda: parse_range(PARTS, SIZE)),
}
