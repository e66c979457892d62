"""Manifests to store, and the databases to store them in."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyregistry.oci.digests import digest_of
from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from pyregistry.store.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HUB = "docker.io"
NGINX = "docker.io/library/nginx"
OTHER = "docker.io/library/redis"
APP = "team/app"
TOOL = "team/tool"

#: Another database joins the contract tests by a line here.
BACKENDS: dict[str, Callable[[Path], Metadata]] = {"sqlite": Metadata.open}


@contextmanager
def opened(backend: str, root: Path) -> Iterator[Metadata]:
    """A database of that kind, closed at the end."""
    metadata = BACKENDS[backend](root)
    try:
        yield metadata
    finally:
        metadata.close()


def never(_: str) -> bool:
    """No tag is immutable."""
    return False


def always(_: str) -> bool:
    """Every tag is immutable."""
    return True


def layer(name: str) -> str:
    """The digest of the layer that `image` makes of a name."""
    return digest_of(name.encode())


def described(name: str, size: int = 10, **fields: object) -> dict[str, object]:
    return {"mediaType": "application/x", "digest": layer(name), "size": size, **fields}


def image(*layers: str | dict[str, object], subject: Manifest | None = None, **fields: object) -> Manifest:
    """An image with the config `config` and these layers."""
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described("config", 2)}
    document |= {"layers": [described(item) if isinstance(item, str) else item for item in layers], **fields}
    if subject is not None:
        document["subject"] = subject.descriptor().to_json()
    return parse_manifest(json.dumps(document).encode(), None)


def index(*children: Manifest, **fields: object) -> Manifest:
    """An index of these."""
    listed = [child.descriptor().to_json() for child in children]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed, **fields}
    return parse_manifest(json.dumps(document).encode(), None)


async def push(metadata: Metadata, repository: str, manifest: Manifest, *tags: str, at: float = 1.0) -> None:
    """Pushes a manifest as a client does: its blobs, then itself."""
    for blob in manifest.blobs:
        if not blob.is_external:
            await metadata.add_blob(repository, blob.digest, blob.size, at)
    result = await metadata.put_manifest(repository, manifest, tags, at=at, immutable=never, sparse=False)
    assert result.written
