"""The closed table of error codes, against what its sources say."""

from pyregistry.oci.error_codes import ErrorCode

#: OCI distribution spec 1.1, section Error Codes, in its order (code-1 to code-14).
SPEC = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
]

#: distribution v3.1.1, registry/api/errcode/register.go: codes the spec does not have, with their statuses there.
DISTRIBUTION = {
    "TAG_INVALID": 400,
    "RANGE_INVALID": 416,
    "PAGINATION_NUMBER_INVALID": 400,
    "UNAVAILABLE": 503,
    "UNKNOWN": 500,
}

STATUSES = {
    "BLOB_UNKNOWN": 404,  # spec, Pulling blobs: "If the blob is not found … 404 Not Found"
    "BLOB_UPLOAD_INVALID": 400,  # Docker, PATCH Blob Upload, "Bad Request" (distribution's table has 404)
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,  # Docker, PUT Manifest, "Missing Layer(s)"
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,  # spec, Pulling manifests
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,  # spec, Deleting: "MUST respond with … 405 Method Not Allowed"
    "TOOMANYREQUESTS": 429,
} | DISTRIBUTION


def test_whole_table() -> None:
    assert [code.code for code in ErrorCode] == [*SPEC, *DISTRIBUTION]
    assert {code.code: code.status for code in ErrorCode} == STATUSES


def test_no_code_is_an_alias() -> None:
    # Enum folds members of equal value into one without a word.
    assert len(ErrorCode.__members__) == len(ErrorCode)


def test_messages_are_one_line_in_lower_case() -> None:
    for code in ErrorCode:
        assert code.message
        assert code.message == code.message.lower().strip()
        assert code.message.isprintable()
