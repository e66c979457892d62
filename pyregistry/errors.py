"""The failures of content work: one exception, one closed list of causes.

Rust raises `Failure` through this module (`rust/native/src/errors.rs`); `api/respond.py` alone turns one into a
response.
"""

from __future__ import annotations

from enum import Enum


class Cause(Enum):
    """Why content could not be had. The value is the code that a fill records on disk, so numbers never change
    meaning.
    """

    NOT_FOUND = 1  #: upstream answered 404
    DENIED = 2  #: upstream answered 401 or 403, or its token realm refused
    RATE_LIMITED = 3  #: upstream answered 429
    UPSTREAM = 4  #: upstream answered 5xx, or a status that makes no sense here
    UNREACHABLE = 5  #: no connection: DNS, refused, TLS
    TIMEOUT = 6  #: no connection or no progress in time
    DIGEST_MISMATCH = 7  #: all bytes came and hash to something else
    SIZE_MISMATCH = 8  #: a body shorter or longer than announced, or a Content-Range that contradicts the request
    STORAGE_FULL = 9  #: ENOSPC, or less than `storage.reserve` free
    STORAGE = 10  #: any other I/O error of ours
    INTERRUPTED = 11  #: whoever drove the work stopped without an outcome
    TOO_LARGE = 12  #: an answer over its limit (manifest 8 MiB)
    PROTOCOL = 13  #: an answer that cannot be understood


class Failure(Exception):
    """Content could not be had, or not stored.

    `status` is upstream's HTTP status where one was received, `retry_after` upstream's wish in seconds, `challenge`
    its WWW-Authenticate value (401 only). `message` says what, where and what to try; it never holds a secret.
    """

    def __init__(
        self,
        cause: Cause | int,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(message)
        self.cause = Cause(cause)
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.challenge = challenge

    @property
    def retryable(self) -> bool:
        """Whether asking again soon may help."""
        return self.cause in _RETRYABLE


_RETRYABLE = frozenset({Cause.UPSTREAM, Cause.UNREACHABLE, Cause.TIMEOUT, Cause.SIZE_MISMATCH, Cause.INTERRUPTED})
