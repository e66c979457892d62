"""Manifests of every kind that upstreams send, and of kinds they should not."""

import hashlib
import json
from typing import Any

import pytest

from pyregistry.oci.manifests import (
    MAX_MANIFEST_SIZE,
    InvalidManifest,
    Manifest,
    UnsupportedManifest,
    parse_manifest,
)
from pyregistry.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, OCI_INDEX, OCI_MANIFEST

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def named(seed: str, **more: object) -> dict[str, Any]:
    """A descriptor of content that says `seed`."""
    digest = "sha256:" + hashlib.sha256(seed.encode()).hexdigest()
    return {"mediaType": f"application/{seed}", "digest": digest, "size": len(seed), **more}


CONFIG = named("config") | {"mediaType": CONFIG_TYPE}
IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": CONFIG,
    "layers": [named("one"), named("two")],
}
INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [named("amd64", platform={"os": "linux", "architecture": "amd64"}), named("arm64")],
}


def parse(document: object, media_type: str | None = None) -> Manifest:
    """The manifest of a document."""
    return parse_manifest(json.dumps(document).encode(), media_type)


@pytest.mark.parametrize("kind", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_image(kind: str) -> None:
    manifest = parse(IMAGE | {"mediaType": kind})
    assert manifest.media_type == kind
    assert [blob.digest for blob in manifest.blobs] == [
        named("config")["digest"],
        named("one")["digest"],
        named("two")["digest"],
    ]
    assert manifest.children == ()
    assert manifest.subject is None
    assert manifest.artifact_type == CONFIG_TYPE


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_index(kind: str) -> None:
    manifest = parse(INDEX | {"mediaType": kind})
    assert manifest.media_type == kind
    assert manifest.blobs == ()
    assert [str(child.platform) for child in manifest.children] == ["linux/amd64", "None"]
    assert manifest.artifact_type is None


def test_content_is_kept_byte_for_byte() -> None:
    content = b' {"schemaVersion" :2,\n"manifests":[ ] , "zz":1.0} \n'
    manifest = parse_manifest(content, OCI_INDEX)
    assert manifest.content is content
    assert manifest.size == len(content)
    assert manifest.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert parse_manifest(content, OCI_INDEX, "sha512").digest == "sha512:" + hashlib.sha512(content).hexdigest()


def test_empty_ones() -> None:
    assert parse({"schemaVersion": 2, "manifests": []}).children == ()
    assert len(parse({"schemaVersion": 2, "config": CONFIG, "layers": None, "annotations": None}).blobs) == 1


def test_artifact_with_subject() -> None:
    manifest = parse(
        IMAGE | {"artifactType": "application/sbom", "subject": named("subject"), "annotations": {"a": "b"}}
    )
    assert manifest.subject is not None
    assert manifest.subject.digest == named("subject")["digest"]
    assert manifest.artifact_type == "application/sbom"
    assert manifest.descriptor().to_json() == {
        "mediaType": OCI_MANIFEST,
        "digest": manifest.digest,
        "size": manifest.size,
        "artifactType": "application/sbom",
        "annotations": {"a": "b"},
    }


def test_artifact_type_of_an_index_is_only_its_own() -> None:
    assert parse(INDEX | {"artifactType": "application/set", "subject": named("s")}).artifact_type == "application/set"
    assert parse(INDEX | {"artifactType": ""}).artifact_type is None


def test_artifact_manifest_of_the_release_candidates() -> None:
    manifest = parse({"mediaType": OCI_ARTIFACT, "artifactType": "application/x", "blobs": [named("blob")]})
    assert [blob.digest for blob in manifest.blobs] == [named("blob")["digest"]]


def test_external_layers_are_no_errors() -> None:
    layer = named("foreign", urls=["https://example.com/x"])
    assert [blob.is_external for blob in parse(IMAGE | {"layers": [layer]}).blobs] == [False, True]


class TestMediaType:
    """Its own, else the header's, else guessed."""

    def test_its_own_wins(self) -> None:
        assert parse(IMAGE, "text/plain").media_type == OCI_MANIFEST
        assert parse(IMAGE, OCI_INDEX).media_type == OCI_MANIFEST

    def test_header_without_parameters(self) -> None:
        document = {key: value for key, value in IMAGE.items() if key != "mediaType"}
        assert parse(document, f"{DOCKER_MANIFEST}; charset=utf-8").media_type == DOCKER_MANIFEST

    @pytest.mark.parametrize("header", [None, "", "text/plain", "application/json; charset=utf-8", "no type", "a/b/c"])
    def test_guessed_where_the_header_says_nothing(self, header: str | None) -> None:
        assert parse({"schemaVersion": 2, "config": CONFIG, "layers": []}, header).media_type == OCI_MANIFEST
        assert parse({"schemaVersion": 2, "layers": []}, header).media_type == OCI_MANIFEST
        assert parse({"schemaVersion": 2, "manifests": []}, header).media_type == OCI_INDEX

    def test_unlisted_is_an_artifact(self) -> None:
        manifest = parse({"mediaType": "application/vnd.example+json", "layers": [named("l")], "schemaVersion": 7})
        assert manifest.media_type == "application/vnd.example+json"
        assert len(manifest.blobs) == 1
        assert parse({"hello": 1}, "application/vnd.example+json").blobs == ()

    @pytest.mark.parametrize("kind", ["x", "a/b\r\nSet-Cookie: c", "a/b; charset=utf-8", 1, ["a/b"]])
    def test_that_is_none(self, kind: object) -> None:
        with pytest.raises(InvalidManifest, match=r"manifest\.mediaType"):
            parse(IMAGE | {"mediaType": kind})


@pytest.mark.parametrize(
    ("document", "header"),
    [
        ({"schemaVersion": 1, "name": "a", "fsLayers": [{"blobSum": "x"}], "history": []}, None),
        ({"schemaVersion": 1, "fsLayers": []}, "application/json"),
        ({"fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}, None),
    ],
)
def test_schema_1_is_unsupported(document: object, header: str | None) -> None:
    with pytest.raises(UnsupportedManifest, match="schema 1"):
        parse(document, header)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (IMAGE | {"manifests": [named("x")]}, "manifest.manifests has no place"),
        (INDEX | {"config": CONFIG}, "manifest.config has no place"),
        (INDEX | {"layers": [named("x")]}, "manifest.layers has no place"),
        (IMAGE | {"fsLayers": [1]}, "manifest.fsLayers has no place"),
        (IMAGE | {"schemaVersion": 1}, "manifest.schemaVersion"),
        (IMAGE | {"schemaVersion": "2"}, "manifest.schemaVersion"),
    ],
)
def test_two_kinds_at_once(document: object, said: str) -> None:
    """CVE-2021-41190"""
    with pytest.raises(InvalidManifest, match=said):
        parse(document)


def test_empty_foreign_fields_are_harmless() -> None:
    assert parse(INDEX | {"layers": None, "config": None}).media_type == OCI_INDEX
    assert parse(IMAGE | {"manifests": []}).media_type == OCI_MANIFEST


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "not a JSON object"),
        (None, "not a JSON object"),
        ({}, "no mediaType"),
        ({"errors": [{"code": "DENIED"}]}, "no mediaType"),
        (IMAGE | {"layers": {}}, r"manifest\.layers is not a list"),
        (IMAGE | {"layers": [named("a"), 1]}, r"layers\[1\] is not an object"),
        (IMAGE | {"config": []}, "config is not an object"),
        (IMAGE | {"subject": named("s", size=-1)}, r"subject\.size"),
        (IMAGE | {"artifactType": 1}, r"manifest\.artifactType"),
        (IMAGE | {"annotations": {"a": 1}}, r"manifest\.annotations"),
        (INDEX | {"manifests": [named("a", digest="sha256:x")]}, r"manifests\[0\]\.digest"),
    ],
)
def test_says_what_is_wrong_and_where(document: object, said: str) -> None:
    with pytest.raises(InvalidManifest, match=said):
        parse(document)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xef\xbb\xbf{}",
    ],
)
def test_no_json(content: bytes) -> None:
    with pytest.raises(InvalidManifest, match="not JSON"):
        parse_manifest(content, OCI_MANIFEST)


def test_size_is_bounded() -> None:
    padding = MAX_MANIFEST_SIZE - len(b'{"manifests":[]}')
    assert parse_manifest(b'{"manifests":[]}' + b" " * padding, None).size == MAX_MANIFEST_SIZE
    with pytest.raises(InvalidManifest, match="at most 8388608"):
        parse_manifest(b'{"manifests":[]}' + b" " * (padding + 1), None)
