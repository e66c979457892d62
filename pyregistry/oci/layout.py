"""OCI image layouts (image spec, image-layout.md): what their files are called, and what `index.json` names.

Pure: reading and writing the files is `store/layouts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from pyregistry.oci.digests import algorithm, encoded
from pyregistry.oci.manifests import ManifestError, parse_manifest
from pyregistry.oci.media_types import OCI_INDEX
from pyregistry.oci.references import ImageName, InvalidReference, is_tag, parse_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.digests import Digest

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
#: What `oci-layout` says; there is no other version.
LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'

#: A tag, as most tools write it; some write a whole image name.
REF_NAME: Final = "org.opencontainers.image.ref.name"
#: A whole image name: docker, containerd and nerdctl write it beside the tag.
IMAGE_NAME: Final = "io.containerd.image.name"


class InvalidLayout(ValueError):
    """Not an image layout, or one that cannot be taken; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `index.json`, with what its annotations call it."""

    descriptor: Descriptor
    #: The whole name, where one is given.
    name: ImageName | None = None
    tag: str | None = None


def blob_path(digest: Digest) -> str:
    """Where a layout has a digest."""
    return f"blobs/{algorithm(digest)}/{encoded(digest)}"


def check_layout_file(content: bytes) -> None:
    """Raises InvalidLayout unless `content` is an `oci-layout` file of a version we know."""
    try:
        document: object = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidLayout(f"{LAYOUT_FILE} is not JSON: {error}") from None
    version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
    if not isinstance(version, str) or version.partition(".")[0] != "1":
        raise InvalidLayout(f"{LAYOUT_FILE} names image layout version {str(version)[:40]!r}; only 1.0.0 is known")


def parse_index(content: bytes) -> tuple[Entry, ...]:
    """The entries of an `index.json`. Raises InvalidLayout."""
    try:
        index = parse_manifest(content, OCI_INDEX)
    except ManifestError as error:
        raise InvalidLayout(f"{INDEX_FILE}: {error}") from None
    return tuple(_entry(descriptor) for descriptor in index.children)


def encode_index(entries: Iterable[Entry]) -> bytes:
    """An `index.json` with these entries."""
    manifests = [_to_json(entry) for entry in entries]
    return orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def by_repository(entries: Sequence[Entry]) -> Mapping[str, tuple[Entry, ...]]:
    """Entries by the repository they name, as `HOST/NAME` or `NAME`.

    One that names none is of the only repository that is named. Raises InvalidLayout if that is not one.
    """
    named: dict[str, list[Entry]] = {}
    nameless = []
    for entry in entries:
        if entry.name is None:
            nameless.append(entry)
        else:
            named.setdefault(entry.name.name, []).append(entry)
    if nameless:
        if len(named) != 1:
            raise InvalidLayout(f"{INDEX_FILE} does not say which repository {_called(nameless[0])} is of; name one")
        next(iter(named.values())).extend(nameless)
    return {name: tuple(entries) for name, entries in named.items()}


def _entry(descriptor: Descriptor) -> Entry:
    reference = descriptor.annotations.get(REF_NAME)
    whole = descriptor.annotations.get(IMAGE_NAME)
    name = None if whole is None else _image(whole)
    if reference is None:
        return Entry(descriptor, name, None if name is None else name.tag)
    if is_tag(reference):
        return Entry(descriptor, name, reference)
    named = _image(reference)
    return Entry(descriptor, name or named, named.tag)


def _image(text: str) -> ImageName:
    try:
        return parse_image(text)
    except InvalidReference as error:
        raise InvalidLayout(f"{INDEX_FILE}: {error}") from None


def _called(entry: Entry) -> str:
    return entry.tag or entry.descriptor.digest


def _to_json(entry: Entry) -> dict[str, object]:
    document = entry.descriptor.to_json()
    annotations = dict(entry.descriptor.annotations)
    if entry.tag is not None:
        annotations[REF_NAME] = entry.tag
    if entry.name is not None:
        annotations[IMAGE_NAME] = str(entry.name)
    if annotations:
        document["annotations"] = annotations
    return document
