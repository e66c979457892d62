"""Descriptors."""

from typing import Any

import pytest

from pyregistry.oci.descriptors import MAX_SIZE, Descriptor, InvalidDescriptor, Platform, parse_descriptor
from pyregistry.oci.digests import Digest

DIGEST = Digest("sha256:" + "ab" * 32)
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN: dict[str, Any] = {"mediaType": LAYER, "digest": DIGEST, "size": 7}
FULL: dict[str, Any] = {
    **PLAIN,
    "artifactType": "application/x",
    "annotations": {"a": "b", "text": "two\nlines"},
    "platform": {
        "os": "windows",
        "architecture": "arm",
        "variant": "v7",
        "os.version": "10.0",
        "os.features": ["win32k"],
    },
    "urls": ["https://example.com/layer"],
}


def test_plain() -> None:
    descriptor = parse_descriptor(PLAIN)
    assert descriptor == Descriptor(LAYER, DIGEST, 7)
    assert not descriptor.is_external
    assert descriptor.to_json() == PLAIN


def test_full() -> None:
    descriptor = parse_descriptor(FULL)
    assert descriptor.platform == Platform("windows", "arm", "v7", "10.0", ("win32k",))
    assert str(descriptor.platform) == "windows/arm/v7"
    assert descriptor.is_external
    assert descriptor.to_json() == FULL
    assert parse_descriptor(descriptor.to_json()) == descriptor


def test_is_hashable() -> None:
    assert len({parse_descriptor(FULL), parse_descriptor(FULL), parse_descriptor(PLAIN)}) == 2


def test_unset_may_be_missing_or_null() -> None:
    # Go encodes nil slices and maps without omitempty as null.
    nothing = {"annotations": None, "urls": None, "platform": None, "artifactType": None, "data": None}
    assert parse_descriptor(PLAIN | nothing) == parse_descriptor(PLAIN)
    assert parse_descriptor(PLAIN | {"annotations": {}, "artifactType": ""}) == parse_descriptor(PLAIN)


def test_unknown_fields_are_no_errors() -> None:
    assert parse_descriptor(PLAIN | {"org.example": [1], "data": "e30="}) == parse_descriptor(PLAIN)


def test_media_type_may_be_missing() -> None:
    assert parse_descriptor({"digest": DIGEST, "size": 0}).media_type == ""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "x is not an object"),
        ([], "x is not an object"),
        ({}, "x.digest is not a string"),
        (PLAIN | {"digest": 1}, "x.digest is not a string"),
        (PLAIN | {"digest": "sha256:1"}, "x.digest: .*64 hex digits"),
        (PLAIN | {"digest": "blake3:" + "0" * 64}, "x.digest: .*not supported"),
        (PLAIN | {"size": None}, "x.size"),
        (PLAIN | {"size": -1}, "x.size"),
        (PLAIN | {"size": True}, "x.size"),
        (PLAIN | {"size": 1.0}, "x.size"),
        (PLAIN | {"size": "1"}, "x.size"),
        (PLAIN | {"size": MAX_SIZE + 1}, "x.size"),
        (PLAIN | {"mediaType": 1}, "x.mediaType"),
        (PLAIN | {"artifactType": "a\0b"}, "x.artifactType .*printable"),
        (PLAIN | {"annotations": []}, "x.annotations"),
        (PLAIN | {"annotations": {"a": 1}}, "x.annotations"),
        (PLAIN | {"urls": "https://example.com"}, "x.urls"),
        (PLAIN | {"urls": [1]}, "x.urls"),
        (PLAIN | {"platform": "linux"}, "x.platform is not an object"),
        (PLAIN | {"platform": {"os": 1}}, "x.platform.os"),
        (PLAIN | {"platform": {"os.features": 1}}, "x.platform.os.features"),
    ],
)
def test_says_what_is_wrong_and_where(value: object, said: str) -> None:
    with pytest.raises(InvalidDescriptor, match=said):
        parse_descriptor(value, "x")
