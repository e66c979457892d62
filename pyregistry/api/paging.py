"""Pages of sorted names: tags, repositories, referrers (distribution spec, section Listing Tags)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from pyregistry.api.errors import ApiError
from pyregistry.api.headers import link
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry.api.asgi import Header
    from pyregistry.api.request import Request


T = TypeVar("T")


class Page(NamedTuple):
    """What of a sorted list is asked for: at most `n` entries behind `last` (None: from the start)."""

    n: int
    last: str | None = None

    @property
    def wanted(self) -> int:
        """Entries to look for: one more than fit, which tells whether there is a next page."""
        return self.n + 1

    def cut(self, found: list[T], request: Request, name: Callable[[T], str]) -> tuple[list[T], list[Header]]:
        """What of `wanted` entries fits, and the Link to the next page if there is one; `name`: what an entry is sorted
        by.
        """
        page = found[: self.n]
        more = len(found) > self.n and page
        return page, [next_link(request, name(page[-1]), self.n)] if more else []


def parse_page(request: Request, most: int) -> Page:
    """`n`, which is no more than `most`, and `last` of a request. Raises ApiError PAGINATION_NUMBER_INVALID (400)."""
    if not request.query_string:
        return Page(most)
    n = _number(request.query("n"))
    return Page(most if n is None else min(n, most), request.query("last"))


def next_link(request: Request, last: str, n: int) -> Header:
    """The Link header to the page after `last`: the request's own path and query, with `n` and `last` for it."""
    kept = [(name, value) for name, value in request.parameters() if name not in {"n", "last"}]
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in [*kept, ("n", str(n)), ("last", last)]
    )
    return b"link", link(b"%s?%s" % (request.raw_path, query.encode()))


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise ApiError(ErrorCode.PAGINATION_NUMBER_INVALID, "n is not a number of results", detail={"n": text[:40]})
    # More digits are more than any list has, and Python refuses to read very many.
    return int(text) if len(text) <= 18 else 10**18
