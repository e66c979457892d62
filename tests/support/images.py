"""Deterministic images for tests: OCI and Docker manifests, indexes, artifacts with a subject."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.support.blobs import Blob, blob, digest_of, random_blob

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

EMPTY = blob(b"{}")
"""The empty JSON object that artifacts have for a config."""

Platform = tuple[str, str]
"""Operating system and architecture."""


class Flavor(Enum):
    """Which family of media types: index, manifest, config, layer."""

    OCI = (OCI_INDEX, OCI_MANIFEST, OCI_CONFIG, OCI_LAYER)
    DOCKER = (DOCKER_LIST, DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)


@dataclass(frozen=True)
class Image:
    """A manifest with everything it refers to: an image, an index of images (`children`), or an artifact."""

    manifest: bytes
    media_type: str
    digest: str
    config: Blob | None = None
    layers: tuple[Blob, ...] = ()
    children: tuple["Image", ...] = ()
    platform: Platform | None = None
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers, each once."""
        every = (self.config, *self.layers) if self.config else self.layers
        return tuple({b.digest: b for b in every}.values())

    @property
    def size(self) -> int:
        """Bytes of the manifest and its blobs, children too."""
        own = len(self.manifest) + sum(b.size for b in self.blobs)
        return own + sum(child.size for child in self.children)

    def walk(self) -> Iterator["Image"]:
        """Children before parents, itself last."""
        for child in self.children:
            yield from child.walk()
        yield self

    def descriptor(self) -> dict[str, Any]:
        entry: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.manifest)}
        if self.platform:
            entry["platform"] = {"architecture": self.platform[1], "os": self.platform[0]}
        if self.artifact_type:
            entry["artifactType"] = self.artifact_type
        if self.annotations:
            entry["annotations"] = dict(self.annotations)
        return entry


def descriptor(of: Blob, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": of.digest, "size": of.size}


def image(
    sizes: Sequence[int] = (4096, 65536),
    *,
    seed: str | int = 0,
    flavor: Flavor = Flavor.OCI,
    platform: Platform = ("linux", "amd64"),
    algorithm: str = "sha256",
    layers: Sequence[Blob] | None = None,
    diff_ids: Sequence[str] | None = None,
    subject: Image | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An image with one layer of random bytes per size, or the `layers` given. Same arguments, same digests."""
    if layers is None:
        layers = [random_blob(size, f"{seed}/layer{n}", algorithm) for n, size in enumerate(sizes)]
    _, manifest_type, config_type, layer_type = flavor.value
    config = {
        "architecture": platform[1],
        "os": platform[0],
        "config": {"Labels": {"seed": str(seed)}},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids or (layer.digest for layer in layers))},
    }
    config_blob = blob(_json(config), algorithm)
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": descriptor(config_blob, config_type),
        "layers": [descriptor(layer, layer_type) for layer in layers],
    }
    _annotate(body, subject, annotations)
    data = _json(body)
    return Image(
        manifest=data,
        media_type=manifest_type,
        digest=digest_of(data, algorithm),
        config=config_blob,
        layers=tuple(layers),
        platform=platform,
        subject=subject.digest if subject else None,
        annotations=annotations,
    )


def index(
    children: Sequence[Image],
    *,
    flavor: Flavor = Flavor.OCI,
    algorithm: str = "sha256",
    subject: Image | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An index (or manifest list) of images or of other indexes; an empty one is valid too."""
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": flavor.value[0],
        "manifests": [child.descriptor() for child in children],
    }
    _annotate(body, subject, annotations)
    data = _json(body)
    return Image(
        manifest=data,
        media_type=flavor.value[0],
        digest=digest_of(data, algorithm),
        children=tuple(children),
        subject=subject.digest if subject else None,
        annotations=annotations,
    )


PLATFORMS: tuple[Platform, ...] = (("linux", "amd64"), ("linux", "arm64"), ("windows", "amd64"))


def multi_platform(
    sizes: Sequence[int] = (4096, 65536),
    *,
    seed: str | int = 0,
    flavor: Flavor = Flavor.OCI,
    platforms: Sequence[Platform] = PLATFORMS,
) -> Image:
    """An index with one image of its own per platform."""
    made = [image(sizes, seed=f"{seed}/{'-'.join(p)}", flavor=flavor, platform=p) for p in platforms]
    return index(made, flavor=flavor)


def artifact(
    data: bytes,
    artifact_type: str,
    *,
    subject: Image | None = None,
    media_type: str = "application/octet-stream",
    annotations: Mapping[str, str] | None = None,
    algorithm: str = "sha256",
) -> Image:
    """An artifact with an empty config and one layer; with a subject, a referrer of it."""
    layer = blob(data, algorithm)
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(EMPTY, OCI_EMPTY),
        "layers": [descriptor(layer, media_type)],
    }
    _annotate(body, subject, annotations)
    manifest = _json(body)
    return Image(
        manifest=manifest,
        media_type=OCI_MANIFEST,
        digest=digest_of(manifest, algorithm),
        config=EMPTY,
        layers=(layer,),
        subject=subject.digest if subject else None,
        artifact_type=artifact_type,
        annotations=annotations,
    )


def tar_layer(files: Mapping[str, bytes]) -> tuple[Blob, str]:
    """A gzip'd tar of `files` and its diff id, for clients that unpack; same files, same digest."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return blob(gzip.compress(raw.getvalue(), compresslevel=1, mtime=0)), digest_of(raw.getvalue())


def tar_image(
    *layers: Mapping[str, bytes], flavor: Flavor = Flavor.OCI, platform: Platform = ("linux", "amd64")
) -> Image:
    """An image that can really be unpacked, one layer per mapping of path to content."""
    packed = [tar_layer(files) for files in layers]
    return image(layers=[b for b, _ in packed], diff_ids=[d for _, d in packed], flavor=flavor, platform=platform)


def _annotate(body: dict[str, Any], subject: Image | None, annotations: Mapping[str, str] | None) -> None:
    if subject is not None:
        body["subject"] = {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": len(subject.manifest),
        }
    if annotations:
        body["annotations"] = dict(annotations)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
