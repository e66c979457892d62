"""References and image names against naive models."""

import string

from hypothesis import given
from hypothesis import strategies as st

from pyregistry.oci.digests import Digest, InvalidDigest
from pyregistry.oci.names import Name
from pyregistry.oci.references import (
    ImageName,
    InvalidReference,
    is_host,
    is_tag,
    looks_like_host,
    parse_image,
    parse_reference,
)
from tests.property.test_digests import hexes, is_digest, near_digests
from tests.property.test_names import names

WORD = string.ascii_letters + string.digits + "_"


def model_tag(text: str) -> bool:
    """The rule, naively."""
    return 1 <= len(text) <= 128 and text[0] in WORD and all(character in WORD + ".-" for character in text)


tags = st.text(WORD + ".-", min_size=1, max_size=128).filter(lambda text: text[0] in WORD)
digests = st.one_of(hexes(64).map("sha256:{}".format), hexes(128).map("sha512:{}".format))
hosts = st.one_of(
    st.sampled_from(["ghcr.io", "localhost", "docker.io", "127.0.0.1", "[::1]", "UPPER"]),
    st.sampled_from(["localhost:5000", "a:1", "[::1]:65535", "A.b-c.d:443"]),
)


@given(st.one_of(st.text(), tags, near_digests, st.text(WORD + ".-:", max_size=140)))
def test_references(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        assert not model_tag(text)
        assert ":" not in text
    except InvalidDigest:
        assert not is_digest(text)
        assert ":" in text
    else:
        assert reference.text == text
        assert model_tag(text) == (reference.digest is None) == is_tag(text)
        assert is_digest(text) == (reference.digest is not None)


@given(st.none() | hosts, names.filter(lambda name: len(name) < 200), st.none() | tags, st.none() | digests)
def test_images_are_read_as_they_are_written(host: str | None, name: str, tag: str | None, digest: str | None) -> None:
    first, slash, _ = name.partition("/")
    if host is None and slash and looks_like_host(first):
        return  # would be read as a host, as it should
    image = ImageName(host, Name(name), tag, None if digest is None else Digest(digest))
    assert parse_image(str(image)) == image


@given(st.one_of(st.text(), st.text("ab.:/@-A0[]", max_size=40)))
def test_any_text_is_an_image_or_an_error(text: str) -> None:
    try:
        image = parse_image(text)
    except InvalidReference:
        return
    assert parse_image(str(image)) == image


def model_host(text: str) -> bool:
    """The rule for host names and IPv4 addresses, naively."""
    host, colon, port = text.partition(":")
    if colon and not (1 <= len(port) <= 5 and all(digit in string.digits for digit in port)):
        return False
    return all(
        label and label[0] != "-" != label[-1] and all(c in string.ascii_letters + string.digits + "-" for c in label)
        for label in host.split(".")
    )


@given(st.text("ab0.-:A_ \n", max_size=30))
def test_hosts(text: str) -> None:
    assert is_host(text) == model_host(text)
