"""Routes: one table, read aloud."""

import pytest

from pyregistry.api.errors import ApiError
from pyregistry.api.routes import (
    METHODS,
    BaseRoute,
    BlobRoute,
    CatalogRoute,
    Endpoint,
    LivezRoute,
    ManifestRoute,
    PrefetchRoute,
    ReadyzRoute,
    ReferrersRoute,
    Route,
    TagsRoute,
    UploadRoute,
    UploadsRoute,
    match,
)
from pyregistry.oci.digests import Digest
from pyregistry.oci.references import parse_reference

DIGEST = Digest("sha256:" + "ab" * 32)
SHA512 = Digest("sha512:" + "ab" * 64)


def manifest(name: str, reference: str) -> ManifestRoute:
    """The route of a manifest."""
    return ManifestRoute(name, parse_reference(reference))


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/", BaseRoute()),
        ("/v2", BaseRoute()),
        ("/v2/_catalog", CatalogRoute()),
        ("/livez", LivezRoute()),
        ("/readyz", ReadyzRoute()),
        ("/v2/nginx/manifests/latest", manifest("nginx", "latest")),
        ("/v2/library/nginx/manifests/1.25", manifest("library/nginx", "1.25")),
        (f"/v2/library/nginx/manifests/{DIGEST}", manifest("library/nginx", DIGEST)),
        (f"/v2/a/b/blobs/{DIGEST}", BlobRoute("a/b", DIGEST)),
        (f"/v2/a/b/blobs/{SHA512}", BlobRoute("a/b", SHA512)),
        ("/v2/a/b/tags/list", TagsRoute("a/b")),
        (f"/v2/a/b/referrers/{DIGEST}", ReferrersRoute("a/b", DIGEST)),
        # Names that begin with the host of an upstream.
        ("/v2/ghcr.io/org/app/manifests/x", manifest("ghcr.io/org/app", "x")),
        ("/v2/localhost:5001/app/manifests/x", manifest("localhost:5001/app", "x")),
        (f"/v2/127.0.0.1:5001/a/b/blobs/{DIGEST}", BlobRoute("127.0.0.1:5001/a/b", DIGEST)),
        ("/v2/%5B::1%5D:5000/app/tags/list", TagsRoute("[::1]:5000/app")),
        ("/v2/GHCR.io/org/app/tags/list", TagsRoute("GHCR.io/org/app")),
        (f"/v2/ghcr.io/{'a' * 255}/tags/list", TagsRoute("ghcr.io/" + "a" * 255)),
        # Escapes are decoded, once.
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3A')}", BlobRoute("a", DIGEST)),
        (f"/v2/a/blobs/{DIGEST.replace(':', '%3a')}", BlobRoute("a", DIGEST)),
        ("/v2/%61/manifests/late%73t", manifest("a", "latest")),
        # The words of endpoints are good components of names and good tags: the last ones count.
        ("/v2/manifests/manifests/manifests", manifest("manifests", "manifests")),
        ("/v2/a/blobs/uploads/manifests/list", manifest("a/blobs/uploads", "list")),
        ("/v2/a/manifests/tags/list", TagsRoute("a/manifests")),
        ("/v2/a/tags/manifests/list", manifest("a/tags", "list")),
        ("/v2/a/tags/list/tags/list", TagsRoute("a/tags/list")),
        (f"/v2/a/manifests/blobs/{DIGEST}", BlobRoute("a/manifests", DIGEST)),
        (f"/v2/a/blobs/uploads/blobs/{DIGEST}", BlobRoute("a/blobs/uploads", DIGEST)),
        (f"/v2/referrers/referrers/{DIGEST}", ReferrersRoute("referrers", DIGEST)),
        ("/v2/a/referrers/tags/list", TagsRoute("a/referrers")),
        ("/v2/a/manifests/uploads", manifest("a", "uploads")),
    ],
)
def test_reading(path: str, route: Route) -> None:
    assert match("GET", path.encode()) == route
    assert match("HEAD", path.encode()) == route


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("PUT", "/v2/a/manifests/x", manifest("a", "x")),
        ("DELETE", f"/v2/a/manifests/{DIGEST}", manifest("a", DIGEST)),
        ("DELETE", f"/v2/a/blobs/{DIGEST}", BlobRoute("a", DIGEST)),
        ("POST", "/v2/a/b/blobs/uploads/", UploadsRoute("a/b")),
        ("POST", "/v2/a/b/blobs/uploads", UploadsRoute("a/b")),
        ("POST", "/v2/a/blobs/uploads/blobs/uploads/", UploadsRoute("a/blobs/uploads")),
        ("POST", "/v2/a/_pyregistry/prefetch/v1", PrefetchRoute("a", parse_reference("v1"))),
        ("POST", f"/v2/ghcr.io/a/_pyregistry/prefetch/{DIGEST}", PrefetchRoute("ghcr.io/a", parse_reference(DIGEST))),
        ("GET", "/v2/a/b/blobs/uploads/0-9_x", UploadRoute("a/b", "0-9_x")),
        ("PATCH", "/v2/a/b/blobs/uploads/list", UploadRoute("a/b", "list")),
        ("PUT", "/v2/a/b/blobs/uploads/uploads", UploadRoute("a/b", "uploads")),
        ("DELETE", "/v2/a/blobs/uploads/x", UploadRoute("a", "x")),
    ],
)
def test_writing(method: str, path: str, route: Route) -> None:
    assert match(method, path.encode()) == route


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "*",
        "/v1/",
        "/v2/a",
        "/v2/a/",
        "/v2//",
        "/V2/",
        "/v2/a/manifests",
        "/v2/a/manifests/",
        "/v2/a/manifests/x/",
        "/v2/a/manifests/x/y",
        "/v2/a/blobs",
        "/v2/a/blobs/",
        "/v2/a/tags/",
        "/v2/a/tags/list/",
        "/v2/a/tags/other",
        "/v2/a/referrers/",
        "/v2/manifests/x",
        "/v2/blobs/uploads/",
        "/v2/tags/list",
        "/v2/_catalog/",
        "/v2/_oci/ext/discover",
        "/livez/",
        "/x/v2/a/manifests/x",
    ],
)
def test_no_endpoint(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        match("GET", path.encode())
    assert (caught.value.status, caught.value.code.code) == (404, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/A/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a//b/manifests/x", 400, "NAME_INVALID"),
        ("/v2//manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/../b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a/%2e%2e/b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/../../etc/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%2Fb/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%2fmanifests%2fx", 400, "NAME_INVALID"),
        ("/v2/a%00/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a\0/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%zz/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a%/manifests/x", 400, "NAME_INVALID"),
        ("/v2/%2561/manifests/x", 400, "NAME_INVALID"),
        ("/v2/%c3%a4/manifests/x", 400, "NAME_INVALID"),
        ("/v2/ä/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a b/manifests/x", 400, "NAME_INVALID"),
        ("/v2/a\\b/manifests/x", 400, "NAME_INVALID"),
        (f"/v2/{'a' * 256}/manifests/x", 400, "NAME_INVALID"),
        ("/v2/localhost:5001/manifests/x", 400, "NAME_INVALID"),
        ("/v2/localhost:x/app/manifests/x", 400, "NAME_INVALID"),
        ("/v2/app/localhost:5001/manifests/x", 400, "NAME_INVALID"),
        ("/v2/localhost:5001/App/manifests/x", 400, "NAME_INVALID"),
        ("/v2/user@host.io/app/manifests/x", 400, "NAME_INVALID"),
        (f"/v2/ghcr.io/{'a' * 256}/tags/list", 400, "NAME_INVALID"),
        ("/v2/a/blobs/x", 400, "DIGEST_INVALID"),
        ("/v2/a/blobs/sha256:0", 400, "DIGEST_INVALID"),
        (f"/v2/a/blobs/{DIGEST.upper()}", 400, "DIGEST_INVALID"),
        ("/v2/a/referrers/latest", 400, "DIGEST_INVALID"),
        ("/v2/a/manifests/sha256:0", 400, "DIGEST_INVALID"),
        ("/v2/a/manifests/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
        ("/v2/a/manifests/.INVALID_MANIFEST_NAME", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/a/manifests/{'a' * 129}", 404, "MANIFEST_UNKNOWN"),
    ],
)
def test_what_cannot_be(path: str, status: int, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        match("GET", path.encode())
    assert (caught.value.status, caught.value.code.code) == (status, code)


def test_a_tag_that_cannot_be_is_no_tag_to_push_to() -> None:
    with pytest.raises(ApiError) as caught:
        match("PUT", b"/v2/a/manifests/.x")
    assert (caught.value.status, caught.value.code.code) == (400, "TAG_INVALID")


PATHS = {
    Endpoint.BASE: "/v2/",
    Endpoint.MANIFEST: "/v2/a/manifests/x",
    Endpoint.BLOB: f"/v2/a/blobs/{DIGEST}",
    Endpoint.TAGS: "/v2/a/tags/list",
    Endpoint.REFERRERS: f"/v2/a/referrers/{DIGEST}",
    Endpoint.CATALOG: "/v2/_catalog",
    Endpoint.UPLOADS: "/v2/a/blobs/uploads/",
    Endpoint.UPLOAD: "/v2/a/blobs/uploads/x",
    Endpoint.LIVEZ: "/livez",
    Endpoint.READYZ: "/readyz",
    Endpoint.PREFETCH: "/v2/team/app/_pyregistry/prefetch/v1",
}


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "FOO", ""]
)
@pytest.mark.parametrize("endpoint", list(Endpoint))
def test_methods(endpoint: Endpoint, method: str) -> None:
    path = PATHS[endpoint].encode()
    if method in METHODS[endpoint]:
        assert match(method, path).endpoint is endpoint
        return
    with pytest.raises(ApiError) as caught:
        match(method, path)
    assert (caught.value.status, caught.value.code.code) == (405, "UNSUPPORTED")
    assert caught.value.headers == ((b"allow", ", ".join(METHODS[endpoint]).encode()),)


def test_messages_do_not_grow_with_what_a_client_sends() -> None:
    for path in (b"/" + b"x" * 60_000, b"/v2/" + b"A" * 60_000 + b"/manifests/x", b"/v2/a/blobs/" + b"x" * 60_000):
        with pytest.raises(ApiError) as caught:
            match("GET", path)
        assert len(caught.value.message) + len(repr(caught.value.detail)) < 1000
