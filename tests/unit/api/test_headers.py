"""Conditions, links, ranges and waits."""

import pytest

from pyregistry.api.headers import (
    content_range,
    etag_of,
    if_none_match,
    if_range,
    link,
    retry_after,
    unsatisfied_range,
)
from pyregistry.oci.digests import Digest

DIGEST = Digest("sha256:" + "ab" * 32)
ETAG = f'"{DIGEST}"'
OTHER = '"sha256:' + "cd" * 32 + '"'


def test_etag_is_strong_and_quoted() -> None:
    assert etag_of(DIGEST) == ETAG


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (None, False),
        ("", False),
        (ETAG, True),
        (f"  {ETAG} ", True),
        (f"W/{ETAG}", True),
        (f"{OTHER}, {ETAG}", True),
        (f"{OTHER},W/{ETAG},{OTHER}", True),
        (f",, {ETAG} ,", True),
        (OTHER, False),
        ("*", True),
        (" * ", True),
        # Unquoted, as distribution sends it.
        (DIGEST, True),
        (f"W/{DIGEST}", True),
        (f'"{OTHER[1:-1]},{DIGEST}"', False),
        (DIGEST[:-1], False),
        ('"*"', False),
        ("x*", False),
        (OTHER + ", " * 20_000 + ETAG, False),
    ],
)
def test_if_none_match(header: str | None, matches: bool) -> None:
    assert if_none_match(header, ETAG) is matches


@pytest.mark.parametrize(
    ("header", "counts"),
    [
        (None, True),
        (ETAG, True),
        (f" {ETAG} ", True),
        (f"W/{ETAG}", False),
        (OTHER, False),
        (DIGEST, False),
        ("*", False),
        ("", False),
        (f"{ETAG}, {OTHER}", False),
        ("Tue, 24 Nov 2026 08:00:00 GMT", False),
    ],
)
def test_if_range(header: str | None, counts: bool) -> None:
    assert if_range(header, ETAG) is counts


def test_content_range_is_inclusive() -> None:
    assert content_range(0, 1, 10) == b"bytes 0-0/10"
    assert content_range(500, 1500, 1 << 40) == b"bytes 500-1499/1099511627776"
    assert unsatisfied_range(10) == b"bytes */10"


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (0.0, b"1"),
        (-5.0, b"1"),
        (0.2, b"1"),
        (1.0, b"1"),
        (1.2, b"2"),
        (60.0, b"60"),
        (1e9, b"86400"),
        (float("inf"), b"86400"),
        (float("nan"), b"1"),
    ],
)
def test_retry_after(seconds: float, value: bytes) -> None:
    assert retry_after(seconds) == value


def test_link() -> None:
    assert link(b"/v2/a/tags/list?n=1&last=x") == b'</v2/a/tags/list?n=1&last=x>; rel="next"'
