"""Numbers in upstreams' headers, and links."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyregistry.mirror.answers import parse_retry_after, parse_size, parse_total
from pyregistry.mirror.links import next_page
from pyregistry.mirror.quota import Quota, parse_quota

URL = "https://r.example/v2/app/tags/list?n=1000"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("999999999", 86400.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        (None, None),
    ],
)
def test_retry_after_in_seconds(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


def test_retry_after_as_a_date() -> None:
    assert parse_retry_after(formatdate(time.time() - 100, usegmt=True)) == 0.0
    assert parse_retry_after(formatdate(time.time() + 1e6, usegmt=True)) == 86400.0


@pytest.mark.parametrize(
    ("header", "total"),
    [
        ("bytes 0-0/123", 123),
        ("Bytes  0 - 0 / 5", 5),
        ("bytes */0", 0),
        ("bytes 0-0/*", None),
        ("items 0-0/1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_whole_size_in_content_range(header: str | None, total: int | None) -> None:
    assert parse_total(header) == total


@pytest.mark.parametrize(
    ("header", "size"), [("7", 7), (" 7 ", 7), ("-7", None), ("7,7", None), ("", None), (None, None)]
)
def test_content_length(header: str | None, size: int | None) -> None:
    assert parse_size(header) == size


@pytest.mark.parametrize(
    ("limit", "remaining", "quota"),
    [
        ("100;w=21600", "76;w=21600", Quota(76, 100, 21600)),
        ("100", "76", Quota(76, 100, None)),
        ("100;w=21600", "0", Quota(0, 100, 21600)),
        (None, "76; w = 60", Quota(76, None, 60)),
        ("unlimited", "76", Quota(76, None, None)),
        ("100;w=21600", None, None),
        ("100", "many", None),
        (None, "-1", None),
        (None, "76;w=x", Quota(76, None, None)),
        (None, "76,76", Quota(76, None, None)),
    ],
)
def test_quota(limit: str | None, remaining: str | None, quota: Quota | None) -> None:
    assert parse_quota(limit, remaining) == quota


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ('</v2/app/tags/list?n=2&last=b>; rel="next"', "https://r.example/v2/app/tags/list?n=2&last=b"),
        ("</v2/app/tags/list?last=b>;rel=next", "https://r.example/v2/app/tags/list?last=b"),
        ('<?last=b>; rel="next"', "https://r.example/v2/app/tags/list?last=b"),
        ('<list?last=b>; title="x"; rel="prev next"', "https://r.example/v2/app/tags/list?last=b"),
        ('</a>; rel="prev", </b>; REL="Next"', "https://r.example/b"),
        # another host's page is asked for here: the link may be wrong, our authorization must not go there
        ('<http://internal:5000/v2/app/tags/list?last=b>; rel="next"', "https://r.example/v2/app/tags/list?last=b"),
        ('<//evil.example/v2/x>; rel="next"', "https://r.example/v2/x"),
        ('</a>; rel="prev"', None),
        ("</a>", None),
        ('<http://[bad>; rel="next"', None),
        ("", None),
    ],
)
def test_the_next_page(link: str, url: str | None) -> None:
    assert next_page([link], URL) == url


@given(st.text(max_size=100))
def test_a_link_never_leaves_its_origin(text: str) -> None:
    for link in (text, f'<{text}>; rel="next"'):
        url = next_page([link], URL)
        assert url is None or url.partition("?")[0].partition("#")[0].startswith("https://r.example")
        assert url is None or url.removeprefix("https://r.example")[:1] in {"/", "?", ""}


@given(st.text(max_size=50))
def test_nothing_raises(text: str) -> None:
    parse_retry_after(text)
    parse_size(text)
    parse_total(text)
    parse_quota(text, text)
