"""Pages of sorted names."""

from typing import Any

import pytest

from pyregistry.api.errors import ApiError
from pyregistry.api.paging import Page, next_link, parse_page
from pyregistry.api.request import Request

NAMES = ["1.0", "1.1", "A", "a", "b"]


def request(query: str, path: str = "/v2/a/tags/list") -> Request:
    """A request with this query."""
    scope: dict[str, Any] = {
        "method": "GET",
        "http_version": "1.1",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"h")],
    }
    return Request(scope)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", Page(100)),
        ("ns=docker.io", Page(100)),
        ("n=10", Page(10)),
        ("n=100", Page(100)),
        ("n=101", Page(100)),
        ("n=0", Page(0)),
        ("n=007&last=x", Page(7, "x")),
        ("last=", Page(100, "")),
        ("last=a%2Fb", Page(100, "a/b")),
        ("n=" + "9" * 5000, Page(100)),
    ],
)
def test_parse(query: str, page: Page) -> None:
    assert parse_page(request(query), 100) == page


@pytest.mark.parametrize("n", ["", "-1", "+1", "1.0", "x", "%20", "0x1", "1_0", "%D9%A3", "%C2%B2"])
def test_n_that_is_no_number(n: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_page(request(f"n={n}"), 100)
    assert (caught.value.status, caught.value.code.code) == (400, "PAGINATION_NUMBER_INVALID")


@pytest.mark.parametrize(
    ("page", "names", "last"),
    [
        (Page(4), NAMES[:4], "a"),
        (Page(5), NAMES, None),
        (Page(6), NAMES, None),
        (Page(2), ["1.0", "1.1"], "1.1"),
        (Page(0), [], None),
    ],
)
def test_cut(page: Page, names: list[str], last: str | None) -> None:
    asked = request("")
    links = [] if last is None else [next_link(asked, last, page.n)]
    assert page.cut(NAMES[: page.wanted], asked, str) == (names, links)


def test_nothing_has_no_next_page() -> None:
    assert Page(2).cut([], request(""), str) == ([], [])


def test_next_link_keeps_path_and_other_parameters() -> None:
    name, value = next_link(request("ns=localhost%3A5001&n=5&last=x&tag=a+b", "/v2/a%62/tags/list"), "y/ä&", 5)
    assert name == b"link"
    assert value == b'</v2/a%62/tags/list?ns=localhost%3A5001&tag=a%20b&n=5&last=y%2F%C3%A4%26>; rel="next"'


def test_links_lead_through_the_whole_list() -> None:
    seen: list[str] = []
    query = "n=2"
    while True:
        asked = request(query)
        page = parse_page(asked, 100)
        found = [name for name in NAMES if name > (page.last or "")][: page.wanted]
        names, links = page.cut(found, asked, str)
        seen += names
        if not links:
            break
        query = links[0][1].decode().partition("?")[2].partition(">")[0]
    assert seen == NAMES
