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
        ("", Page()),
        ("ns=docker.io", Page()),
        ("n=10", Page(10)),
        ("n=0", Page(0)),
        ("n=007&last=x", Page(7, "x")),
        ("last=", Page(None, "")),
        ("last=a%2Fb", Page(None, "a/b")),
        ("n=" + "9" * 5000, Page(10**18)),
    ],
)
def test_parse(query: str, page: Page) -> None:
    assert parse_page(request(query)) == page


@pytest.mark.parametrize("n", ["", "-1", "+1", "1.0", "x", "%20", "0x1", "1_0", "%D9%A3", "%C2%B2"])
def test_n_that_is_no_number(n: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_page(request(f"n={n}"))
    assert (caught.value.status, caught.value.code.code) == (400, "PAGINATION_NUMBER_INVALID")


@pytest.mark.parametrize(
    ("page", "names", "last"),
    [
        (Page(), NAMES, None),
        (Page(2), ["1.0", "1.1"], "1.1"),
        (Page(2, "1.1"), ["A", "a"], "a"),
        (Page(2, "a"), ["b"], None),
        (Page(5), NAMES, None),
        (Page(6), NAMES, None),
        (Page(1, "b"), [], None),
        (Page(0), [], None),
        (Page(None, "1.05"), ["1.1", "A", "a", "b"], None),
        (Page(2, ""), ["1.0", "1.1"], "1.1"),
    ],
)
def test_cut(page: Page, names: list[str], last: str | None) -> None:
    assert page.cut(NAMES) == (names, last)


def test_at_most() -> None:
    assert Page(None, "a").at_most(10) == Page(10, "a")
    assert Page(11, "a").at_most(10) == Page(10, "a")
    assert Page(10).at_most(10) == Page(10)
    assert Page(0).at_most(10) == Page(0)


def test_next_link_keeps_path_and_other_parameters() -> None:
    name, value = next_link(request("ns=localhost%3A5001&n=5&last=x&tag=a+b", "/v2/a%62/tags/list"), "y/ä&", 5)
    assert name == b"link"
    assert value == b'</v2/a%62/tags/list?ns=localhost%3A5001&tag=a%20b&n=5&last=y%2F%C3%A4%26>; rel="next"'


def test_links_lead_through_the_whole_list() -> None:
    seen: list[str] = []
    query = "n=2"
    while True:
        asked = request(query)
        page = parse_page(asked)
        names, last = page.cut(NAMES)
        seen += names
        if last is None:
            break
        _, value = next_link(asked, last, page.n or 0)
        query = value.decode().partition("?")[2].partition(">")[0]
    assert seen == NAMES
