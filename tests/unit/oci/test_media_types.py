"""Media types."""

import pytest

from pyregistry.oci import media_types
from pyregistry.oci.media_types import (
    MANIFEST_ACCEPT,
    SCHEMA1_TYPES,
    essence,
    is_generic_type,
    is_index_type,
    is_manifest_type,
    is_media_type,
)


def test_upstream_is_asked_for_every_kind_but_schema_1() -> None:
    assert MANIFEST_ACCEPT == (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "*/*",
    )
    assert not SCHEMA1_TYPES & set(MANIFEST_ACCEPT)


def test_kinds_are_disjoint() -> None:
    for kind in (media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST):
        assert is_manifest_type(kind)
        assert not is_index_type(kind)
    for kind in (media_types.OCI_INDEX, media_types.DOCKER_LIST):
        assert is_index_type(kind)
        assert not is_manifest_type(kind)
    assert not is_manifest_type(media_types.OCI_ARTIFACT)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("text/plain; charset=utf-8", "text/plain"),
        (" Application/JSON ;x=y", "application/json"),
        ("", ""),
        (";", ""),
    ],
)
def test_essence(header: str, kind: str) -> None:
    assert essence(header) == kind
    assert is_generic_type(essence(header))


@pytest.mark.parametrize("text", ["a/b", "application/vnd.oci.image.manifest.v1+json", "application/x.y-z_1"])
def test_media_types(text: str) -> None:
    assert is_media_type(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a/", "/b", "a/b/c", "a/b;c", "a/b\r\nx: y", "a/b\n", "ä/b", "a/" + "b" * 200]
)
def test_no_media_types(text: str) -> None:
    assert not is_media_type(text)
