"""Errors, and the table that makes them of failures."""

import pytest

from pyregistry.api.errors import CAUSE_TABLE, ApiError, bad_request, from_failure
from pyregistry.errors import Cause, Failure
from pyregistry.oci.error_codes import ErrorCode


def answer(cause: Cause, *, anonymous: bool = True, retry_after: float | None = None) -> ApiError:
    """What a failure of `cause` answers to a request for a blob."""
    failure = Failure(cause, "upstream said so", retry_after=retry_after)
    return from_failure(failure, what="blob x of a/b", anonymous=anonymous, unknown=ErrorCode.BLOB_UNKNOWN)


def test_every_cause_is_in_the_table() -> None:
    assert set(CAUSE_TABLE) == set(Cause)


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        (Cause.NOT_FOUND, 404, "BLOB_UNKNOWN"),
        (Cause.DENIED, 404, "BLOB_UNKNOWN"),
        (Cause.RATE_LIMITED, 429, "TOOMANYREQUESTS"),
        (Cause.UPSTREAM, 502, "UNAVAILABLE"),
        (Cause.UNREACHABLE, 502, "UNAVAILABLE"),
        (Cause.TIMEOUT, 504, "UNAVAILABLE"),
        (Cause.DIGEST_MISMATCH, 502, "UNAVAILABLE"),
        (Cause.SIZE_MISMATCH, 502, "UNAVAILABLE"),
        (Cause.STORAGE_FULL, 503, "UNAVAILABLE"),
        (Cause.STORAGE, 500, "UNKNOWN"),
        (Cause.INTERRUPTED, 503, "UNAVAILABLE"),
        (Cause.TOO_LARGE, 502, "UNAVAILABLE"),
        (Cause.PROTOCOL, 502, "UNAVAILABLE"),
    ],
)
def test_answers_of_an_anonymous_mirror(cause: Cause, status: int, code: str) -> None:
    error = answer(cause)
    assert (error.status, error.code.code) == (status, code)
    assert error.message.startswith("blob x of a/b: ")
    assert error.detail == {"cause": cause.name}


def test_refused_credentials_are_denied_not_asked_for() -> None:
    error = answer(Cause.DENIED, anonymous=False)
    assert (error.status, error.code) == (403, ErrorCode.DENIED)
    assert answer(Cause.NOT_FOUND, anonymous=False).status == 404


@pytest.mark.parametrize("cause", list(Cause))
def test_who_shall_wait_is_told_how_long(cause: Cause) -> None:
    made = answer(cause, retry_after=7.5)
    assert made.headers == (((b"retry-after", b"8"),) if made.status in {429, 502, 503, 504} else ())


def test_an_outage_is_not_believed_to_last_for_hours() -> None:
    assert answer(Cause.UPSTREAM, retry_after=86_400).headers == ((b"retry-after", b"60"),)
    assert answer(Cause.UPSTREAM).headers == ()


def test_wait_has_a_default() -> None:
    assert answer(Cause.RATE_LIMITED).headers == ((b"retry-after", b"10"),)


def test_default_is_an_unknown_manifest() -> None:
    assert from_failure(Failure(Cause.NOT_FOUND, "m"), what="w", anonymous=True).code is ErrorCode.MANIFEST_UNKNOWN


def test_upstreams_status_is_a_detail() -> None:
    error = from_failure(Failure(Cause.UPSTREAM, "m", status=503), what="w", anonymous=True)
    assert error.detail == {"cause": "UPSTREAM", "upstreamStatus": 503}


@pytest.mark.parametrize("cause", [Cause.STORAGE, Cause.STORAGE_FULL])
def test_paths_of_ours_are_not_told(cause: Cause) -> None:
    error = from_failure(Failure(cause, "/srv/blobs/sha256: EIO"), what="w", anonymous=True)
    assert "/srv" not in error.message
    assert "storage" in error.message


@pytest.mark.parametrize("anonymous", [True, False])
def test_where_our_credentials_are_is_not_told(anonymous: bool) -> None:
    failure = Failure(Cause.DENIED, "cannot read password_file /srv/secret: Permission denied")
    assert "/srv" not in from_failure(failure, what="w", anonymous=anonymous).message
    refused = Failure(Cause.DENIED, "upstream answered 403", status=403)
    assert "403" in from_failure(refused, what="w", anonymous=anonymous).message


def test_defaults_come_from_the_code() -> None:
    error = ApiError(ErrorCode.DENIED)
    assert (error.status, error.message, error.detail, error.headers) == (403, ErrorCode.DENIED.message, None, ())
    assert str(error) == error.message


def test_bad_request() -> None:
    assert (bad_request("why").status, bad_request("why").message) == (400, "why")
