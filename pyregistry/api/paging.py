"""Pages of sorted names: tags, repositories, referrers (distribution spec, section Listing Tags)."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pyregistry.api.errors import ApiError
from pyregistry.api.headers import link
from pyregistry.oci.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyregistry.api.asgi import Header
    from pyregistry.api.request import Request


class Page(NamedTuple):
    """What of a sorted list is asked for: at most `n` entries (None: all) after `last` (None: from the start)."""

    n: int | None = None
    last: str | None = None

    def at_most(self, limit: int) -> Page:
        """The same page with no more than `limit` entries."""
        return self if self.n is not None and self.n <= limit else Page(limit, self.last)

    def cut(self, names: Sequence[str]) -> tuple[Sequence[str], str | None]:
        """The page of `names`, which are sorted, and the `last` of the page after it (None: this is the end)."""
        start = 0 if self.last is None else bisect_right(names, self.last)
        if self.n is None:
            return names[start:], None
        page = names[start : start + self.n]
        return page, page[-1] if page and start + self.n < len(names) else None


def parse_page(request: Request) -> Page:
    """`n` and `last` of a request. Raises ApiError PAGINATION_NUMBER_INVALID (400)."""
    if not request.query_string:
        return Page()
    return Page(_number(request.query("n")), request.query("last"))


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
