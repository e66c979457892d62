"""References and image names."""

import pytest

from pyregistry.oci.digests import Digest, InvalidDigest
from pyregistry.oci.names import Name
from pyregistry.oci.references import (
    ImageName,
    InvalidReference,
    Reference,
    is_host,
    is_tag,
    looks_like_host,
    parse_image,
    parse_reference,
)

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize("text", ["latest", "v1.2.3", "_", "1", "A-b_c.D", "a" * 128, "sha256-" + "ab" * 32 + ".sig"])
def test_tags(text: str) -> None:
    assert is_tag(text)
    reference = parse_reference(text)
    assert reference == Reference(text, None)
    assert reference.tag == text
    assert str(reference) == text


@pytest.mark.parametrize("text", ["", ".x", "-x", "a" * 129, "a b", "ä", "a/b", "a+b", "latest\n"])
def test_no_tags(text: str) -> None:
    assert not is_tag(text)
    with pytest.raises(InvalidReference):
        parse_reference(text)


def test_digest() -> None:
    reference = parse_reference(DIGEST)
    assert reference == Reference(DIGEST, Digest(DIGEST))
    assert reference.tag is None


@pytest.mark.parametrize("text", ["sha256:abc", "md5:" + "0" * 32, ":", "latest:", DIGEST.upper()])
def test_what_has_a_colon_is_a_digest_or_nothing(text: str) -> None:
    with pytest.raises(InvalidDigest):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("nginx", ImageName(None, Name("nginx"))),
        ("nginx:1.25", ImageName(None, Name("nginx"), "1.25")),
        ("library/nginx", ImageName(None, Name("library/nginx"))),
        ("docker.io/library/nginx", ImageName("docker.io", Name("library/nginx"))),
        ("index.docker.io/library/nginx", ImageName("docker.io", Name("library/nginx"))),
        ("docker.io/nginx:1.25", ImageName("docker.io", Name("nginx"), "1.25")),
        ("localhost/app", ImageName("localhost", Name("app"))),
        ("localhost:5001/app:x", ImageName("localhost:5001", Name("app"), "x")),
        ("127.0.0.1:5000/a/b", ImageName("127.0.0.1:5000", Name("a/b"))),
        ("[::1]:5000/a", ImageName("[::1]:5000", Name("a"))),
        ("HOST/a", ImageName("HOST", Name("a"))),
        ("host/a", ImageName(None, Name("host/a"))),
        # One component is never a host: `localhost:5000` is repository and tag (distribution/reference, normalize.go).
        ("localhost:5000", ImageName(None, Name("localhost"), "5000")),
        (f"ghcr.io/org/app:v1@{DIGEST}", ImageName("ghcr.io", Name("org/app"), "v1", Digest(DIGEST))),
        (f"app@{DIGEST}", ImageName(None, Name("app"), None, Digest(DIGEST))),
    ],
)
def test_images(text: str, image: ImageName) -> None:
    assert parse_image(text) == image
    assert parse_image(str(image)) == image


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (":tag", "is empty"),
        ("nginx:", "tag is empty"),
        ("nginx@", "no algorithm"),
        ("nginx@sha256:abc", "64 hex digits"),
        ("Nginx", "'Nginx'"),
        ("ghcr.io/", "is empty"),
        ("ghcr.io/Org/app", "'Org'"),
        ("https://ghcr.io/org/app", "'https:' is not a registry host"),
        ("-.x/app", "not a registry host"),
        ("ghcr.io/org/app:v1:v2", "'app:v1'"),
        (f"app@{DIGEST}@{DIGEST}", "hex digits"),
    ],
)
def test_no_images(text: str, said: str) -> None:
    with pytest.raises(InvalidReference, match=said):
        parse_image(text)


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io",
        "localhost",
        "localhost:5000",
        "10.0.0.1:1",
        "[fe80::1]",
        "[::1]:5000",
        "a-b.C",
        "xn--bcher-kva.example",
    ],
)
def test_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    ["", ":5000", "a:", "a:x", "a:123456", "-a", "a-", "a..b", "::1", "[::1", "a_b.c", "a b", "a/b", "a." * 200 + "b"],
)
def test_no_hosts(text: str) -> None:
    assert not is_host(text)


@pytest.mark.parametrize(
    ("component", "host"),
    [("ghcr.io", True), ("localhost", True), ("a:1", True), ("Org", True), ("library", False), ("", False)],
)
def test_what_looks_like_a_host(component: str, host: bool) -> None:
    assert looks_like_host(component) is host
