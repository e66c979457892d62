"""Which endpoint a request is for: method and path to one frozen value (distribution spec, section Endpoints)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final
from urllib.parse import unquote_to_bytes

from pyregistry.api.errors import ApiError
from pyregistry.oci.digests import Digest, InvalidDigest, parse_digest
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.oci.names import InvalidName, is_name, parse_name
from pyregistry.oci.references import InvalidReference, Reference, is_host, looks_like_host, parse_reference


class Endpoint(Enum):
    """The endpoints; the value is the label of the metrics."""

    BASE = "base"
    MANIFEST = "manifest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    PREFETCH = "prefetch"
    LIVEZ = "livez"
    READYZ = "readyz"


@dataclass(frozen=True, slots=True)
class BaseRoute:
    """`/v2/`"""

    endpoint: ClassVar[Endpoint] = Endpoint.BASE


@dataclass(frozen=True, slots=True)
class ManifestRoute:
    """`/v2/<name>/manifests/<reference>`"""

    endpoint: ClassVar[Endpoint] = Endpoint.MANIFEST
    name: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class BlobRoute:
    """`/v2/<name>/blobs/<digest>`"""

    endpoint: ClassVar[Endpoint] = Endpoint.BLOB
    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagsRoute:
    """`/v2/<name>/tags/list`"""

    endpoint: ClassVar[Endpoint] = Endpoint.TAGS
    name: str


@dataclass(frozen=True, slots=True)
class ReferrersRoute:
    """`/v2/<name>/referrers/<digest>`"""

    endpoint: ClassVar[Endpoint] = Endpoint.REFERRERS
    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class CatalogRoute:
    """`/v2/_catalog` (distribution's, not the spec's)"""

    endpoint: ClassVar[Endpoint] = Endpoint.CATALOG


@dataclass(frozen=True, slots=True)
class UploadsRoute:
    """`/v2/<name>/blobs/uploads/`"""

    endpoint: ClassVar[Endpoint] = Endpoint.UPLOADS
    name: str


@dataclass(frozen=True, slots=True)
class UploadRoute:
    """`/v2/<name>/blobs/uploads/<session>`"""

    endpoint: ClassVar[Endpoint] = Endpoint.UPLOAD
    name: str
    session: str


@dataclass(frozen=True, slots=True)
class PrefetchRoute:
    """`/v2/<name>/_pyregistry/prefetch/<reference>` (ours: no component of a name begins with `_`)"""

    endpoint: ClassVar[Endpoint] = Endpoint.PREFETCH
    name: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class LivezRoute:
    """`/livez`"""

    endpoint: ClassVar[Endpoint] = Endpoint.LIVEZ


@dataclass(frozen=True, slots=True)
class ReadyzRoute:
    """`/readyz`"""

    endpoint: ClassVar[Endpoint] = Endpoint.READYZ


Route = (
    BaseRoute
    | ManifestRoute
    | BlobRoute
    | TagsRoute
    | ReferrersRoute
    | CatalogRoute
    | UploadsRoute
    | UploadRoute
    | PrefetchRoute
    | LivezRoute
    | ReadyzRoute
)

_READ = ("GET", "HEAD")
#: Methods by endpoint; any other is answered 405 with this list as Allow.
METHODS: Final[dict[Endpoint, tuple[str, ...]]] = {
    Endpoint.BASE: _READ,
    Endpoint.MANIFEST: (*_READ, "PUT", "DELETE"),
    Endpoint.BLOB: (*_READ, "DELETE"),
    Endpoint.TAGS: _READ,
    Endpoint.REFERRERS: _READ,
    Endpoint.CATALOG: _READ,
    Endpoint.UPLOADS: ("POST",),
    Endpoint.UPLOAD: ("GET", "PATCH", "PUT", "DELETE"),
    Endpoint.PREFETCH: ("POST",),
    Endpoint.LIVEZ: _READ,
    Endpoint.READYZ: _READ,
}

_FIXED: Final[dict[str, Route]] = {
    "/v2/": BaseRoute(),
    "/v2": BaseRoute(),
    "/v2/_catalog": CatalogRoute(),
    "/livez": LivezRoute(),
    "/readyz": ReadyzRoute(),
}


def match(method: str, raw_path: bytes) -> Route:
    """The route of a request. Raises ApiError: 404 for no endpoint, 405 for a method it does not have (with Allow),
    400 for a name or digest that cannot be one, 404 for a tag that cannot be one.

    `raw_path` is as sent, without the query; escapes are decoded once. Names are read up to the *last* words that make
    an endpoint, so that `manifests` or `blobs` may be components of a name.
    """
    path = _decode(raw_path)
    route = _FIXED.get(path) or _repository_route(method, path)
    if method not in METHODS[route.endpoint]:
        raise method_not_allowed(method, route.endpoint)
    return route


def method_not_allowed(method: str, endpoint: Endpoint, message: str | None = None) -> ApiError:
    """405 UNSUPPORTED with Allow."""
    allowed = METHODS[endpoint]
    return ApiError(
        ErrorCode.UNSUPPORTED,
        message or f"{_shown(method)} is not supported here; allowed: {', '.join(allowed)}",
        headers=((b"allow", ", ".join(allowed).encode()),),
    )


def _repository_route(method: str, path: str) -> Route:
    """The routes below a repository, told apart by the last two or three components."""
    if not path.startswith("/v2/"):
        raise _no_endpoint(path)
    head, _, last = path[4:].rpartition("/")
    if head.endswith("/manifests") and last:
        return ManifestRoute(_name(head[:-10]), _reference(method, last))
    if head.endswith("/blobs"):
        if last == "uploads":  # the spec has a slash at its end; some clients leave it out
            return UploadsRoute(_name(head[:-6]))
        if last:
            return BlobRoute(_name(head[:-6]), checked_digest(last))
    if head.endswith("/tags") and last == "list":
        return TagsRoute(_name(head[:-5]))
    if head.endswith("/referrers") and last:
        return ReferrersRoute(_name(head[:-10]), checked_digest(last))
    if head.endswith("/_pyregistry/prefetch") and last:
        return PrefetchRoute(_name(head[:-21]), _reference(method, last))
    if head.endswith("/blobs/uploads"):
        name = _name(head[:-14])
        return UploadRoute(name, last) if last else UploadsRoute(name)
    raise _no_endpoint(path)


def _decode(raw_path: bytes) -> str:
    """The path with its escapes decoded once; an escaped slash or percent sign belongs in no component of ours."""
    path = raw_path
    if b"%" in path:
        path = unquote_to_bytes(path)
        if path.count(b"/") != raw_path.count(b"/") or b"%" in path:
            raise ApiError(
                ErrorCode.NAME_INVALID, f"path {_shown(raw_path)} has escapes that no repository name can have"
            )
    if not path.isascii() or b"\0" in path:
        raise ApiError(
            ErrorCode.NAME_INVALID, f"path {_shown(raw_path)} has characters that no repository name can have"
        )
    return path.decode("ascii")


def _name(text: str) -> str:
    """A repository name, which may begin with the host of the upstream that has it, as in `localhost:5001/app`.

    What such a host means, and whether it is known, is for `mirror/namespaces` to say.
    """
    if is_name(text):
        return text
    host, slash, rest = text.partition("/")
    try:
        if slash and looks_like_host(host) and is_host(host):
            parse_name(rest)
            return text
        return parse_name(text)
    except InvalidName as error:
        raise ApiError(ErrorCode.NAME_INVALID, str(error), detail={"name": text[:300]}) from None


def checked_digest(text: str) -> Digest:
    """A digest from a path or a query. Raises ApiError DIGEST_INVALID (400)."""
    try:
        return parse_digest(text)
    except InvalidDigest as error:
        raise ApiError(ErrorCode.DIGEST_INVALID, str(error), detail={"digest": text[:150]}) from None


def _reference(method: str, text: str) -> Reference:
    """A tag that cannot exist is not there (conformance suites ask for `.INVALID_MANIFEST_NAME` and want 404); pushing
    to it is an error of the request."""
    try:
        return parse_reference(text)
    except InvalidDigest as error:
        raise ApiError(ErrorCode.DIGEST_INVALID, str(error), detail={"digest": text[:150]}) from None
    except InvalidReference as error:
        code = ErrorCode.TAG_INVALID if method == "PUT" else ErrorCode.MANIFEST_UNKNOWN
        raise ApiError(code, str(error), detail={"tag": text[:150]}) from None


def _no_endpoint(path: str) -> ApiError:
    return ApiError(ErrorCode.UNSUPPORTED, f"no endpoint at {_shown(path)}", status=404)


def _shown(text: str | bytes) -> str:
    """For a message: escaped, and not as long as a client may make it."""
    shown = repr(text if len(text) <= 200 else text[:200])
    return shown.removeprefix("b")
