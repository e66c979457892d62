"""Platforms on the command line."""

import pytest

from pyregistry.oci.descriptors import Descriptor, Platform
from pyregistry.oci.digests import digest_of
from pyregistry.oci.platforms import InvalidPlatform, is_wanted, parse_platform

ARM_V7 = Descriptor("", digest_of(b""), 0, platform=Platform("linux", "arm", "v7"))


def test_parsing() -> None:
    assert parse_platform("linux/amd64") == Platform("linux", "amd64")
    assert parse_platform("linux/arm/v7") == Platform("linux", "arm", "v7")
    for text in ("", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/amd64 "):
        with pytest.raises(InvalidPlatform, match="OS/ARCHITECTURE"):
            parse_platform(text)


@pytest.mark.parametrize(
    ("platforms", "wanted"),
    [
        ([], True),
        (["linux/arm"], True),
        (["linux/arm/v7"], True),
        (["linux/arm/v6"], False),
        (["linux/amd64"], False),
        (["linux/amd64", "linux/arm"], True),
        (["windows/arm"], False),
    ],
)
def test_which_children_are_wanted(platforms: list[str], wanted: bool) -> None:
    assert is_wanted(ARM_V7, [parse_platform(text) for text in platforms]) is wanted


def test_a_child_without_a_platform_is_wanted() -> None:
    assert is_wanted(Descriptor("", digest_of(b""), 0), [parse_platform("linux/amd64")])
