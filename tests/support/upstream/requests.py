"""What a client asked for: a request's parts, its kind, repository and reference."""

import re
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, unquote

Headers = tuple[tuple[str, str], ...]


class Kind(Enum):
    PING = "ping"
    MANIFEST = "manifest"
    BLOB = "blob"
    TAGS = "tags"
    REFERRERS = "referrers"
    CATALOG = "catalog"
    TOKEN = "token"
    UNKNOWN = "unknown"


class Place(Enum):
    """Where a request arrived, and where a redirect or a token realm points."""

    REGISTRY = "registry"
    OTHER_PORT = "other port"
    OTHER_HOST = "other host"


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""
    place: Place = Place.REGISTRY
    connection: int = 0
    kind: Kind = Kind.UNKNOWN
    repository: str = ""
    reference: str = ""
    query: tuple[tuple[str, str], ...] = field(default=())

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def authorization(self) -> str | None:
        return self.header("authorization")

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.query)


_HERE = (Place.REGISTRY,)
_THERE = (Place.OTHER_PORT, Place.OTHER_HOST)
_ROUTES = (
    (Kind.PING, re.compile(r"/v2/?"), _HERE),
    (Kind.CATALOG, re.compile(r"/v2/_catalog"), _HERE),
    (Kind.TAGS, re.compile(r"/v2/(?P<repository>.+)/tags/list"), _HERE),
    (Kind.MANIFEST, re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)"), _HERE),
    (Kind.BLOB, re.compile(r"/v2/(?P<repository>.+)/blobs/(?P<reference>[^/]+)"), _HERE),
    (Kind.REFERRERS, re.compile(r"/v2/(?P<repository>.+)/referrers/(?P<reference>[^/]+)"), _HERE),
    (Kind.TOKEN, re.compile(r"/token"), _HERE + _THERE),
    # A signed address, as a redirect gave it.
    (Kind.BLOB, re.compile(r"/cdn/(?P<repository>.+)/(?P<reference>[^/]+)"), _HERE + _THERE),
)


def parse(method: str, target: str, headers: Headers, body: bytes, *, place: Place, connection: int) -> Request:
    path, _, query = target.partition("?")
    parameters = tuple(parse_qsl(query, keep_blank_values=True))
    for kind, pattern, places in _ROUTES:
        found = pattern.fullmatch(unquote(path))
        if found is None or place not in places:
            continue
        parts = found.groupdict()
        return Request(
            method,
            target,
            headers,
            body,
            place,
            connection,
            kind,
            parts.get("repository") or "",
            parts.get("reference") or "",
            parameters,
        )
    return Request(method, target, headers, body, place, connection, query=parameters)


_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def selection(header: str | None, size: int) -> tuple[int, int] | None:
    """The one byte range asked for, its end exclusive and clamped; None for none, several, or nonsense.

    ValueError: unsatisfiable.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
    if begin >= end:
        raise ValueError(f"{header} of {size} bytes")
    return begin, end
