"""Header fields: conditional requests, links, ranges and waiting (RFC 9110, RFC 8288)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyregistry.oci.digests import Digest

#: An entity tag, or what some take for one, without the mark of a weak one (RFC 9110 section 8.8.3).
_ETAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*"|[^\s,"]+)')

#: Longest If-None-Match that is read: granian lets fields of 400 KB through, and no client has so many versions.
_MAX_CONDITION = 16_384

#: Longest wait told to a client; upstreams have sent nonsense.
_MAX_RETRY_AFTER = 86_400


def etag_of(digest: Digest) -> str:
    """The strong entity tag of content: its quoted digest."""
    return f'"{digest}"'


def if_none_match(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names `etag`, so that the answer is 304 (RFC 9110 section 13.1.2, weak comparison).

    A bare digest matches as well: distribution sends its Etag without quotes, and clients send back what they got.
    """
    if header is None or len(header) > _MAX_CONDITION:
        return False
    if header.strip() == "*":
        return True
    bare = etag[1:-1]
    return any(tag in {etag, bare} for tag in _ETAG.findall(header))


def if_range(header: str | None, etag: str) -> bool:
    """Whether a Range header counts: no If-Range, or one that names `etag` (RFC 9110 section 13.1.5, strong match).

    A date never matches, since we send no Last-Modified.
    """
    return header is None or header.strip() == etag


def content_range(start: int, end: int, size: int) -> bytes:
    """Content-Range of bytes from `start` up to `end`, which is exclusive, as in Python."""
    return b"bytes %d-%d/%d" % (start, end - 1, size)


def unsatisfied_range(size: int) -> bytes:
    """Content-Range of a 416 answer."""
    return b"bytes */%d" % size


def retry_after(seconds: float) -> bytes:
    """Retry-After: whole seconds, rounded up, from 1 to a day."""
    # `not >=` also takes NaN for the least.
    if not seconds >= 1:
        return b"1"
    return b"%d" % math.ceil(min(seconds, _MAX_RETRY_AFTER))


def link(target: bytes, relation: bytes = b"next") -> bytes:
    """A Link header's value (RFC 8288). `target` is a path with its query, escaped.

    No host, so that it holds behind a proxy; but the whole path, since containers/image keeps path and query alone.
    """
    return b'<%s>; rel="%s"' % (target, relation)
