"""Manifests: no bytes, however close to a manifest, raise anything but a ManifestError."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, ManifestError, parse_manifest
from pyregistry.oci.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
)

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
types = st.sampled_from(
    [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, OCI_ARTIFACT, *SCHEMA1_TYPES, "a/b", ""]
)


def shaped(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the fields, some of them of the wrong shape."""
    return st.fixed_dictionaries({}, optional={key: value | json for key, value in fields.items()})


annotations = st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers(0, 9), max_size=3)
platforms = shaped({"os": st.text(max_size=3), "architecture": st.text(max_size=3), "os.features": st.just(["x"])})
descriptors = shaped(
    {
        "mediaType": types,
        "digest": st.binary(max_size=1).map(digest_of),
        "size": st.integers(-1, 2**63),
        "annotations": annotations,
        "platform": platforms,
        "urls": st.lists(st.text(max_size=4), max_size=2),
    }
)
good = st.fixed_dictionaries(
    {"mediaType": types, "digest": st.binary(max_size=1).map(digest_of), "size": st.integers(0, 2**40)}
)
lists = st.lists(good | descriptors, max_size=3)
manifests = shaped(
    {
        "schemaVersion": st.sampled_from([1, 2]),
        "mediaType": types,
        "artifactType": types,
        "config": good | descriptors,
        "layers": lists,
        "manifests": lists,
        "blobs": lists,
        "subject": good | descriptors,
        "annotations": annotations,
        "fsLayers": json,
    }
)
headers = st.none() | types | st.text(max_size=20) | types.map("{}; charset=utf-8".format)


def check(content: bytes, header: str | None) -> Manifest | None:
    """Parses, and checks what holds for every manifest."""
    try:
        manifest = parse_manifest(content, header)
    except ManifestError:
        return None
    assert manifest.content == content
    assert manifest.digest == digest_of(content)
    assert manifest.media_type.isascii()
    assert manifest.media_type.isprintable()
    assert all(0 <= one.size < 2**63 for one in (*manifest.blobs, *manifest.children))
    orjson.dumps(manifest.descriptor().to_json())
    hash(manifest)
    return manifest


@given(st.binary(), headers)
def test_any_bytes(content: bytes, header: str | None) -> None:
    check(content, header)


@given(json, headers)
def test_any_json(document: object, header: str | None) -> None:
    check(orjson.dumps(document), header)


@given(manifests, headers)
def test_near_manifests(document: dict[str, Any], header: str | None) -> None:
    manifest = check(orjson.dumps(document), header)
    if manifest is not None:
        listed = [document.get(key) or [] for key in ("layers", "blobs")]
        assert len(manifest.blobs) == sum(map(len, listed)) + (document.get("config") is not None)
        assert len(manifest.children) == len(document.get("manifests") or [])
        assert (manifest.subject is None) == (document.get("subject") is None)


@given(good, st.lists(good, max_size=4), good)
def test_good_manifests(config: dict[str, Any], layers: list[dict[str, Any]], subject: dict[str, Any]) -> None:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, "subject": subject}
    manifest = check(orjson.dumps(document), None)
    assert manifest is not None
    assert [one.to_json() for one in manifest.blobs] == [config, *layers]
