"""Routes against a model that goes through the components from the right, and against any bytes at all."""

import re
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from pyregistry.api.errors import ApiError
from pyregistry.api.routes import (
    BlobRoute,
    ManifestRoute,
    ReferrersRoute,
    Route,
    TagsRoute,
    UploadRoute,
    UploadsRoute,
    match,
)
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.oci.names import is_name
from pyregistry.oci.references import is_tag
from tests.property.test_digests import is_digest

DIGEST = "sha256:" + "0a" * 32

words = st.sampled_from(
    ["manifests", "blobs", "uploads", "tags", "list", "referrers", "a", "b0", "_catalog", "v2", DIGEST]
)
paths = st.lists(words, min_size=1, max_size=8)


def expected(parts: list[str], method: str) -> tuple[str, ...] | None:
    """Endpoint, name and argument, naively: the last components decide."""
    *before, word, last = parts if len(parts) > 1 else ["", *parts]
    name = "/".join(before)
    uploads = len(before) > 1 and before[-1] == "blobs" and word == "uploads"
    found: tuple[str, ...] | None = None
    if not before:
        return None
    if word == "manifests":
        found = ("manifest", name, last)
    elif word == "blobs":
        found = ("uploads", name) if last == "uploads" else ("blob", name, last)
    elif (word, last) == ("tags", "list"):
        found = ("tags", name)
    elif word == "referrers":
        found = ("referrers", name, last)
    elif uploads:
        found = ("upload", "/".join(before[:-1]), last)
    if found is None or not is_name(found[1]):
        return None
    if found[0] in {"blob", "referrers"} and not is_digest(last):
        return None
    if found[0] == "manifest" and not (is_digest(last) or is_tag(last)):
        return None
    allowed = {"uploads": ("POST",), "upload": ("GET", "PATCH", "PUT", "DELETE")}.get(found[0], ("GET",))
    return found if method in allowed else None


def seen(route: Route) -> tuple[str, ...]:
    """The same of a route."""
    match route:
        case ManifestRoute(name, reference):
            return ("manifest", name, reference.text)
        case BlobRoute(name, digest) | ReferrersRoute(name, digest):
            return (route.endpoint.value, name, digest)
        case TagsRoute(name) | UploadsRoute(name):
            return (route.endpoint.value, name)
        case UploadRoute(name, session):
            return ("upload", name, session)
        case _:
            return (route.endpoint.value,)


@given(paths, st.sampled_from(["GET", "POST"]))
@example(["a", "blobs", "uploads", "manifests", "list"], "GET")
@example(["blobs", "uploads", "a"], "GET")
@example(["a", "blobs", "uploads"], "POST")
def test_against_the_model(parts: list[str], method: str) -> None:
    if parts == ["_catalog"]:
        return
    path = ("/v2/" + "/".join(parts)).encode()
    try:
        route = match(method, path)
    except ApiError:
        assert expected(parts, method) is None
    else:
        assert seen(route) == expected(parts, method)


def outcome(path: str, method: str = "GET") -> Route | tuple[int, ErrorCode]:
    """The route, or status and code of the error."""
    try:
        return match(method, path.encode("latin-1"))
    except ApiError as error:
        return error.status, error.code


@given(paths)
def test_escaping_changes_nothing(parts: list[str]) -> None:
    plain = "/v2/" + "/".join(parts)
    escaped = "/v2/" + "/".join("".join(f"%{ord(character):02x}" for character in part) for part in parts)
    quoted = quote(plain, safe="/")

    assert outcome(plain) == outcome(escaped) == outcome(quoted)


near_paths = st.one_of(
    st.binary(),
    st.lists(
        st.sampled_from([b"/", b"/v2/", b"manifests", b"blobs/uploads/", b"..", b"%2e", b"%2F", b"%00", b"%", b"a"])
    )
    .map(b"".join)
    .map(b"/v2/".__add__),
    st.binary().map(b"/v2/a/manifests/".__add__),
    st.binary().map(lambda name: b"/v2/" + name + b"/tags/list"),
)
methods = st.one_of(st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]), st.text(max_size=8))

#: All that may come of a path: names, hosts before them, and what follows.
SAFE = re.compile(r"[a-zA-Z0-9._:/\[\]-]*")


@given(methods, near_paths)
def test_any_bytes_are_a_route_or_an_error_of_the_client(method: str, path: bytes) -> None:
    route = outcome(path.decode("latin-1"), method)
    if isinstance(route, tuple):
        assert route[0] in {400, 404, 405}
        return
    for part in seen(route)[1:2]:
        assert SAFE.fullmatch(part)
        assert not {"", ".", ".."} & set(part.split("/"))
