"""Whose failure a fill's is.

A fill leaves one record for its digest, which answers everybody for a second (I6). Yet that one repository's upstream
has no such blob, or is down, says nothing of another's (I12): so the record has a mark for each repository that was
asked. A mark tells nobody a name.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pyregistry.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARKED = re.compile(r"\[([0-9a-f]{8}(?: [0-9a-f]{8})*)\] ")
#: The record keeps 256 bytes of a message.
_MOST = 8


def marked(failure: Failure, repositories: Iterable[str]) -> Failure:
    """The failure for the record: upstreams of these repositories were asked, in this order."""
    marks = " ".join([_mark(repository) for repository in repositories][:_MOST])
    return _with(failure, f"[{marks}] {failure.message}")


def unmarked(failure: Failure) -> Failure:
    """The failure for people."""
    match = _MARKED.match(failure.message)
    return failure if match is None else _with(failure, failure.message[match.end() :])


def concerns(failure: Failure, repository: str) -> bool:
    """Whether a fill's failure answers for `repository`: its upstream was asked, or it is nobody's in particular."""
    match = _MARKED.match(failure.message)
    return match is None or _mark(repository) in match[1].split(" ")


def _mark(repository: str) -> str:
    return hashlib.sha256(repository.encode()).hexdigest()[:8]


def _with(failure: Failure, message: str) -> Failure:
    return Failure(
        failure.cause,
        message,
        status=failure.status,
        retry_after=failure.retry_after,
        challenge=failure.challenge,
    )
