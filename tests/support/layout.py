"""OCI image layouts on disk: what skopeo and crane push, and what the scripted upstream can serve as well."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.blobs import Blob, file_blob
from tests.support.images import OCI_INDEX, Image

REF_NAME = "org.opencontainers.image.ref.name"


def write_layout(folder: Path, images: Mapping[str, Image]) -> Path:
    """An image layout with these images by tag; blobs that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images.values():
        for part in image.walk():
            for blob in part.blobs:
                _write(blob_path(folder, blob.digest), blob.data)
            _write(blob_path(folder, part.digest), part.manifest)
    entries = [
        {**image.descriptor(), "annotations": {**(image.annotations or {}), REF_NAME: tag}}
        for tag, image in images.items()
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def read_layout(folder: Path, tag: str) -> Image:
    """The image of a tag, its blobs mapped from the layout's files."""
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    found = next(entry for entry in entries if entry.get("annotations", {}).get(REF_NAME) == tag)
    return _read(folder, found)


def blob_path(folder: Path, digest: str) -> Path:
    algorithm, _, name = digest.partition(":")
    return folder / "blobs" / algorithm / name


def files_of(*images: Image) -> dict[str, bytes]:
    """What a layout of these images has under `blobs`, by path."""
    found = {}
    for part in (part for made in images for part in made.walk()):
        for digest, data in [(part.digest, part.manifest), *((b.digest, bytes(b.data)) for b in part.blobs)]:
            found[str(blob_path(Path(), digest))] = data
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    """What a layout's folder has under `blobs`, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("blobs/*/*")}


def tags_in(folder: Path) -> dict[str | None, str]:
    """Digests in `index.json` by tag."""
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get(REF_NAME): entry["digest"] for entry in entries}


def adopt(folder: Path, file: Path) -> Blob:
    """Moves a file into the layout, under its digest."""
    made = file_blob(file)
    target = blob_path(folder, made.digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)
    return file_blob(target)


def _write(path: Path, data: bytes | memoryview) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _read(folder: Path, entry: Mapping[str, Any]) -> Image:
    manifest = blob_path(folder, entry["digest"]).read_bytes()
    body = json.loads(manifest)
    platform = entry.get("platform")

    def blob(described: Mapping[str, Any]) -> Blob:
        return file_blob(blob_path(folder, described["digest"]))

    return Image(
        manifest=manifest,
        media_type=entry["mediaType"],
        digest=entry["digest"],
        config=blob(body["config"]) if "config" in body else None,
        layers=tuple(blob(layer) for layer in body.get("layers", ())),
        children=tuple(_read(folder, child) for child in body.get("manifests", ())),
        platform=(platform["os"], platform["architecture"]) if platform else None,
        subject=body["subject"]["digest"] if "subject" in body else None,
        artifact_type=body.get("artifactType"),
        annotations=body.get("annotations"),
    )
