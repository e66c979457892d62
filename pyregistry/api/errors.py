"""What a handler raises: an error of the API, and how failures of content work become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyregistry.api.headers import retry_after
from pyregistry.errors import Cause, Failure
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyregistry.api.asgi import Header

#: Seconds for Retry-After where upstream did not say.
DEFAULT_RETRY_AFTER: Final = 10.0
#: The most of them for an outage: it may end sooner than upstream thinks.
LONGEST_OUTAGE: Final = 60.0


class ApiError(Exception):
    """An answer that is an error. `api/respond.py` alone turns it into a response.

    `message` says what, where and what to try; `detail` is any JSON value; `headers` go with the response.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str | None = None,
        *,
        status: int | None = None,
        detail: object = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        self.code = code
        self.message = code.message if message is None else message
        self.status = code.status if status is None else status
        self.detail = detail
        self.headers = headers
        super().__init__(self.message)


#: What a failure answers: status and code. None as code: whatever was asked for is unknown (see `from_failure`).
CAUSE_TABLE: Final[Mapping[Cause, tuple[int, ErrorCode | None]]] = {
    Cause.NOT_FOUND: (404, None),
    # Credentials of ours were refused. Not 401: that would ask the client for its own, which never go upstream (I11).
    Cause.DENIED: (403, ErrorCode.DENIED),
    Cause.RATE_LIMITED: (429, ErrorCode.TOOMANYREQUESTS),
    Cause.UPSTREAM: (502, ErrorCode.UNAVAILABLE),
    Cause.UNREACHABLE: (502, ErrorCode.UNAVAILABLE),
    Cause.TIMEOUT: (504, ErrorCode.UNAVAILABLE),
    Cause.DIGEST_MISMATCH: (502, ErrorCode.UNAVAILABLE),
    Cause.SIZE_MISMATCH: (502, ErrorCode.UNAVAILABLE),
    # Not 507: clients that fall back or try again do so on 503 (ggcr's list has 500, 502, 503, 504), and it passes.
    Cause.STORAGE_FULL: (503, ErrorCode.UNAVAILABLE),
    Cause.STORAGE: (500, ErrorCode.UNKNOWN),
    Cause.INTERRUPTED: (503, ErrorCode.UNAVAILABLE),
    Cause.TOO_LARGE: (502, ErrorCode.UNAVAILABLE),
    Cause.PROTOCOL: (502, ErrorCode.UNAVAILABLE),
}

_STORAGE_MESSAGES: Final[Mapping[Cause, str]] = {
    Cause.STORAGE_FULL: "the registry's storage is full",
    Cause.STORAGE: "the registry's storage failed; its log says how",
}


def from_failure(
    failure: Failure, *, what: str, anonymous: bool, unknown: ErrorCode = ErrorCode.MANIFEST_UNKNOWN
) -> ApiError:
    """The answer to a request that `failure` ended.

    `what` names what was asked for in the message ("blob sha256:… of library/nginx"); `unknown` is the code if it does
    not exist: MANIFEST_UNKNOWN, BLOB_UNKNOWN or NAME_UNKNOWN. `anonymous`: upstream was asked without credentials; then
    its 401 and 403 mean `unknown` too, which is how Docker Hub and ghcr answer for a repository that does not exist.
    A failure of our storage or credentials names paths of ours: its message is for the log alone, where the caller
    writes it.
    """
    status, code = CAUSE_TABLE[failure.cause]
    if failure.cause is Cause.DENIED and anonymous:
        status, code = 404, None
    headers: tuple[Header, ...] = ()
    if status in {429, 503}:
        wait = DEFAULT_RETRY_AFTER if failure.retry_after is None else failure.retry_after
        headers = ((b"retry-after", retry_after(wait)),)
    elif status in {502, 504} and failure.retry_after is not None:
        headers = ((b"retry-after", retry_after(min(failure.retry_after, LONGEST_OUTAGE))),)
    detail: dict[str, object] = {"cause": failure.cause.name}
    if failure.status is not None:
        detail["upstreamStatus"] = failure.status
    message = _STORAGE_MESSAGES.get(failure.cause, failure.message)
    if failure.cause is Cause.DENIED and failure.status is None:
        # Nobody refused us: our own credentials cannot be had, and the message names their files and helpers.
        message = "the registry cannot prove to upstream who it is; its log says why"
    return ApiError(code or unknown, f"{what}: {message}", status=status, detail=detail, headers=headers)


def bad_request(message: str) -> ApiError:
    """400 for a request that is wrong in a way the spec has no code for."""
    return ApiError(ErrorCode.UNSUPPORTED, message, status=400)
