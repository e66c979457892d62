"""Image layouts: what their files may say."""

import json
from typing import Any

import pytest

from pyregistry.oci.descriptors import Descriptor
from pyregistry.oci.digests import digest_of
from pyregistry.oci.layout import (
    IMAGE_NAME,
    LAYOUT,
    REF_NAME,
    Entry,
    InvalidLayout,
    blob_path,
    by_repository,
    check_layout_file,
    encode_index,
    parse_index,
)
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.oci.references import parse_image

DIGEST = digest_of(b"manifest")


def index(*annotations: dict[str, str]) -> bytes:
    entries: list[dict[str, Any]] = [
        {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 8, "annotations": one} for one in annotations
    ]
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def test_the_layout_file() -> None:
    check_layout_file(LAYOUT)
    for content in (b"", b"[]", b"{}", b'{"imageLayoutVersion":"2.0.0"}', b'{"imageLayoutVersion":1}'):
        with pytest.raises(InvalidLayout, match="oci-layout"):
            check_layout_file(content)


def test_where_blobs_are() -> None:
    assert blob_path(DIGEST) == f"blobs/sha256/{DIGEST[7:]}"
    assert blob_path(digest_of(b"", "sha512")).startswith("blobs/sha512/cf83e1")


@pytest.mark.parametrize(
    ("annotations", "name", "tag"),
    [
        ({}, None, None),
        ({REF_NAME: "v1"}, None, "v1"),
        ({REF_NAME: "ghcr.io/team/app:v1"}, "ghcr.io/team/app:v1", "v1"),
        ({REF_NAME: "team/app"}, "team/app", None),
        ({REF_NAME: "v2", IMAGE_NAME: "docker.io/library/app:v1"}, "docker.io/library/app:v1", "v2"),
        ({IMAGE_NAME: "team/app:v1"}, "team/app:v1", "v1"),
        ({IMAGE_NAME: f"team/app@{DIGEST}"}, f"team/app@{DIGEST}", None),
    ],
)
def test_what_entries_are_called(annotations: dict[str, str], name: str | None, tag: str | None) -> None:
    (entry,) = parse_index(index(annotations))
    assert entry.tag == tag
    assert (None if entry.name is None else str(entry.name)) == name


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidLayout, match=r"index\.json: 'no name'"):
        parse_index(index({REF_NAME: "no name"}))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"manifests":1}', b'{"manifests":[{"digest":"md5:1","size":1}]}'])
def test_an_index_that_is_none(content: bytes) -> None:
    with pytest.raises(InvalidLayout, match=r"index\.json: "):
        parse_index(content)


def test_what_is_written_is_read() -> None:
    descriptor = Descriptor(OCI_MANIFEST, DIGEST, 8)
    written = [
        Entry(descriptor, parse_image("team/app:v1"), "v1"),
        Entry(descriptor, None, "v2"),
        Entry(descriptor),
    ]
    read = parse_index(encode_index(written))
    assert [(entry.name, entry.tag, entry.descriptor.digest) for entry in read] == [
        (entry.name, entry.tag, DIGEST) for entry in written
    ]


def test_nameless_entries_are_of_the_only_repository() -> None:
    one = parse_index(index({REF_NAME: "ghcr.io/team/app:v1"}, {}))
    assert {name: len(entries) for name, entries in by_repository(one).items()} == {"ghcr.io/team/app": 2}
    unclear: list[list[dict[str, str]]] = [[{}], [{REF_NAME: "a/b:1"}, {REF_NAME: "c/d:1"}, {REF_NAME: "v1"}]]
    for annotations in unclear:
        with pytest.raises(InvalidLayout, match="does not say which repository"):
            by_repository(parse_index(index(*annotations)))
