"""Repository names."""

import pytest

from pyregistry.oci.names import InvalidName, is_name, parse_name


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "nginx",
        "library/nginx",
        "a/b/c/d/e",
        "ghcr.io/org/app",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a----b",
        "0/1",
        "foo/manifests/blobs/uploads/tags/list",
        "a" * 255,
        "/".join("a" * 128),
    ],
)
def test_accepts(text: str) -> None:
    assert is_name(text)
    assert parse_name(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("/", "empty component"),
        ("/a", "empty component"),
        ("a/", "empty component"),
        ("a//b", "empty component"),
        ("A", "'A'"),
        ("library/Nginx", "'Nginx'"),
        ("-a", "'-a'"),
        ("a-", "'a-'"),
        (".", r"'\.'"),
        ("a/../b", r"'\.\.'"),
        ("a..b", r"'a\.\.b'"),
        ("a___b", "'a___b'"),
        ("a._b", r"'a\._b'"),
        ("localhost:5001/app", "'localhost:5001'"),
        ("a b", "'a b'"),
        ("a\n", r"'a\\n'"),
        ("ä", "'ä'"),
        ("a" * 256, "255 characters, not 256"),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    assert not is_name(text)
    with pytest.raises(InvalidName, match=said):
        parse_name(text)
