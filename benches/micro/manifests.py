"""Manifests read from bytes."""

from __future__ import annotations

import json

from benches.micro.ready import at_once
from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_INDEX, OCI_MANIFEST


def described(name: str, **fields: object) -> dict[str, object]:
    return {"mediaType": "application/x", "digest": digest_of(name.encode()), "size": 1, **fields}


def image(number: int, layers: int = 6) -> bytes:
    """The manifest of the image of that number."""
    listed = [described(f"{number}-{layer}") for layer in range(layers)]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(str(number)), "layers": listed}
    return json.dumps(document).encode()


def parsed(number: int) -> Manifest:
    return parse_manifest(image(number), None)


def index(platforms: int) -> bytes:
    """An index of images for so many architectures."""
    children = [
        described(str(number), platform={"os": "linux", "architecture": f"arch{number}"}) for number in range(platforms)
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()


_IMAGE, _INDEX = image(1), index(6)

WORKS = {
    "manifest of 6 layers": at_once(lambda: parse_manifest(_IMAGE, None)),
    "index of 6 platforms": at_once(lambda: parse_manifest(_INDEX, None)),
}
