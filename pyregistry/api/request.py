"""One request, read from its ASGI scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import unquote_to_bytes

from pyregistry.api.errors import bad_request

if TYPE_CHECKING:
    from pyregistry.api.asgi import Header, Scope

_MAX_PARAMETERS = 64
_WITHOUT_HOST = frozenset({"1", "1.0"})


class Request:
    """The parts of a request that handlers ask for, read when they ask."""

    __slots__ = ("_headers", "_query", "_query_string", "_scope", "method", "raw_path")

    def __init__(self, scope: Scope) -> None:
        """Raises ApiError (400) for what granian lets through: no Host, or several of them."""
        self._scope = scope
        self.method: str = scope["method"]
        self.raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        self._query_string: bytes = scope["query_string"]
        self._query: list[tuple[str, str]] | None = None
        fields: list[Header] = scope["headers"]
        self._headers: dict[bytes, bytes] = dict(fields)
        if len(self._headers) != len(fields):
            self._headers = _joined(fields)
        # granian writes an empty Host where there was none; HTTP/1.0 may leave it out (RFC 9112 section 3.2).
        if not self._headers.get(b"host") and scope["http_version"] not in _WITHOUT_HOST:
            raise bad_request("the request has no Host header")

    @property
    def is_head(self) -> bool:
        """HEAD: answered like GET, without the body."""
        return self.method == "HEAD"

    @property
    def http_version(self) -> str:
        """`1` or `1.0`, `1.1`, `2`."""
        return cast("str", self._scope["http_version"])

    @property
    def connection(self) -> tuple[str, int] | None:
        """Address and port that the request came from, which tell one connection of a client from others."""
        client = self._scope.get("client")
        return cast("tuple[str, int]", tuple(client)) if client else None

    @property
    def client(self) -> str | None:
        """The peer's address; None on a Unix socket."""
        client = self._scope.get("client")
        return cast("str", client[0]) or None if client else None

    @property
    def host(self) -> str:
        """The Host header; empty for an HTTP/1.0 client that sent none."""
        return self._headers.get(b"host", b"").decode("latin-1")

    @property
    def query_string(self) -> bytes:
        """The query as sent."""
        return self._query_string

    def header(self, name: bytes) -> str | None:
        """The value of header `name` (lower case); fields of one name are joined by commas (RFC 9110 section 5.3)."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self, name: str) -> str | None:
        """The first value of parameter `name`. Raises ApiError (400) for a query that cannot be read."""
        for key, value in self.parameters():
            if key == name:
                return value
        return None

    def queries(self, name: str) -> list[str]:
        """Every value of parameter `name`, in order."""
        return [value for key, value in self.parameters() if key == name]

    def parameters(self) -> list[tuple[str, str]]:
        """All parameters, in order. Raises ApiError (400)."""
        if self._query is None:
            self._query = _parse_query(self._query_string) if self._query_string else []
        return self._query


def _joined(fields: list[Header]) -> dict[bytes, bytes]:
    """Headers where a name comes more than once. Several Hosts are an attack on somebody (RFC 9112 section 3.2)."""
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in joined:
            joined[name] = value
        elif name == b"host":
            raise bad_request("the request has more than one Host header")
        else:
            # HTTP/2 may split Cookie, whose pieces are joined otherwise; we read no cookies.
            joined[name] += b", " + value
    return joined


def _parse_query(query: bytes) -> list[tuple[str, str]]:
    pieces = query.split(b"&")
    if len(pieces) > _MAX_PARAMETERS:
        raise bad_request(f"the query has more than {_MAX_PARAMETERS} parameters")
    try:
        pairs = (piece.partition(b"=") for piece in pieces if piece)
        return [(_unescape(name), _unescape(value)) for name, _, value in pairs]
    except UnicodeDecodeError:
        raise bad_request("the query is not UTF-8") from None


def _unescape(text: bytes) -> str:
    """`application/x-www-form-urlencoded`, as clients write queries."""
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = unquote_to_bytes(text)
    if b"\0" in text:
        raise bad_request("the query has a NUL character")
    return text.decode()
