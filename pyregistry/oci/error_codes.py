"""Error codes of the API: the closed table. Every error body names one of these and no other."""

from __future__ import annotations

from enum import Enum


class ErrorCode(Enum):
    """A code with its default status and message.

    The first fourteen are the OCI distribution spec's (section Error Codes, code-1 to code-14), with the statuses its
    text gives, else those of its forerunner, Docker's "HTTP API V2" (section Detail). The rest are distribution's
    (`registry/api/errcode/register.go`): the spec has no word for what they say, and clients know them.
    """

    BLOB_UNKNOWN = (404, "blob unknown to registry")
    BLOB_UPLOAD_INVALID = (400, "blob upload invalid")
    BLOB_UPLOAD_UNKNOWN = (404, "blob upload unknown to registry")
    DIGEST_INVALID = (400, "provided digest did not match uploaded content")
    MANIFEST_BLOB_UNKNOWN = (400, "manifest references a manifest or blob unknown to registry")
    MANIFEST_INVALID = (400, "manifest invalid")
    MANIFEST_UNKNOWN = (404, "manifest unknown to registry")
    NAME_INVALID = (400, "invalid repository name")
    NAME_UNKNOWN = (404, "repository name not known to registry")
    SIZE_INVALID = (400, "provided length did not match content length")
    UNAUTHORIZED = (401, "authentication required")
    DENIED = (403, "requested access to the resource is denied")
    UNSUPPORTED = (405, "the operation is unsupported")
    TOOMANYREQUESTS = (429, "too many requests")

    TAG_INVALID = (400, "invalid tag")
    RANGE_INVALID = (416, "invalid range")
    PAGINATION_NUMBER_INVALID = (400, "invalid number of results requested")
    UNAVAILABLE = (503, "service unavailable")
    UNKNOWN = (500, "unknown error")

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message

    @property
    def code(self) -> str:
        """What stands in the body."""
        return self.name
