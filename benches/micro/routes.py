"""From method and path to a route, and to the body of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.micro.ready import at_once
from pyregistry.api.errors import ApiError
from pyregistry.api.respond import error_body
from pyregistry.api.routes import match
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.oci.references import parse_reference

if TYPE_CHECKING:
    from benches.micro import Work

DIGEST = "sha256:" + "0123456789abcdef" * 4
BLOB = f"/v2/docker.io/library/nginx/blobs/{DIGEST}".encode()
MANIFEST = b"/v2/library/nginx/manifests/1.29-alpine"


def _refused(method: str, path: bytes) -> Work:
    def work() -> bytes:
        try:
            match(method, path)
        except ApiError as error:
            return error_body(error)
        raise AssertionError(path)

    return work


def _unknown() -> bytes:
    return error_body(ApiError(ErrorCode.MANIFEST_UNKNOWN, detail={"name": "library/nginx", "reference": "1.29"}))


WORKS = {
    "route of a blob": at_once(lambda: match("GET", BLOB)),
    "route of a tag": at_once(lambda: match("GET", MANIFEST)),
    "no route": at_once(_refused("GET", b"/v1/repositories")),
    "wrong digest": at_once(_refused("GET", b"/v2/library/nginx/blobs/sha256:0123")),
    "wrong method": at_once(_refused("PATCH", MANIFEST)),
    "body of an error": at_once(_unknown),
    "tag": at_once(lambda: parse_reference("1.29-alpine")),
    "digest": at_once(lambda: parse_reference(DIGEST)),
}
