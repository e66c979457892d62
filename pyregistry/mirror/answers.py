"""What an upstream's answer means: the failure behind a status, and numbers in headers, read leniently."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure

if TYPE_CHECKING:
    from pyregistry._native import Answer

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?:\d+\s*-\s*\d+|\*)\s*/\s*(\d{1,19})\s*", re.IGNORECASE | re.ASCII)
#: The longest Retry-After believed, in seconds.
_LONGEST = 86400.0


def refusal(answer: Answer, what: str) -> Failure:
    """The failure that an answer without success is; `what` (is asked, of whom) begins its message."""
    status = answer.status
    message = f"{what} answered {status}"
    if status == 404:
        return Failure(Cause.NOT_FOUND, message, status=status)
    if status in {401, 403}:
        challenge = ", ".join(value for name, value in answer.headers if name == "www-authenticate") or None
        return Failure(Cause.DENIED, message, status=status, challenge=challenge if status == 401 else None)
    if status == 429:
        return Failure(
            Cause.RATE_LIMITED, message, status=status, retry_after=parse_retry_after(answer.header("retry-after"))
        )
    return Failure(Cause.UPSTREAM, message, status=status, retry_after=parse_retry_after(answer.header("retry-after")))


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 section 10.2.3), which has a number or a date; None if neither."""
    if value is None:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
        return min(float(value), _LONGEST)
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(until - time.time(), 0.0), _LONGEST)


def parse_size(value: str | None) -> int | None:
    """A Content-Length; None if it is none."""
    if value is None or not re.fullmatch(r"\s*\d{1,19}\s*", value, re.ASCII):
        return None
    return int(value)


def parse_total(value: str | None) -> int | None:
    """The whole size in a Content-Range (RFC 9110 section 14.4); None if upstream does not tell it (`*`)."""
    match = _CONTENT_RANGE.fullmatch(value or "")
    return int(match[1]) if match is not None else None
