"""Media types of manifests and of what the API itself sends."""

from __future__ import annotations

import re
from typing import Final

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
#: Of release candidates of OCI 1.1, never final; some registries still hold such manifests.
OCI_ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"

JSON: Final = "application/json"

#: Docker's schema 1: its digest is not that of its bytes, and current clients refuse it. Answered 404.
SCHEMA1_TYPES: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

#: What an upstream is asked for, whatever the client accepts, so that one answer serves every client. Schema 1 is not
#: in it: a registry that can convert must not, and one that has nothing else answers 404 itself or is found out by the
#: parser. `*/*` last, as containerd sends it, for manifests of media types nobody has listed.
MANIFEST_ACCEPT: Final[tuple[str, ...]] = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, "*/*")

_RESTRICTED_NAME = r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(f"{_RESTRICTED_NAME}/{_RESTRICTED_NAME}")

_IMAGE_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_GENERIC = frozenset(
    {"", "application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream"}
)


def is_manifest_type(media_type: str) -> bool:
    """Whether it is an image manifest's type (not an index's)."""
    return media_type in _IMAGE_MANIFESTS


def is_index_type(media_type: str) -> bool:
    """Whether it is an index's or a manifest list's type."""
    return media_type in _INDEXES


def is_generic_type(media_type: str) -> bool:
    """Whether it says no more than that there are bytes; registry.access.redhat.com sends `text/plain`."""
    return media_type in _GENERIC


def is_media_type(text: str) -> bool:
    """Whether it can stand in a Content-Type header (RFC 6838 section 4.2, type and subtype alone)."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def essence(header: str) -> str:
    """A Content-Type header without its parameters, in lower case (RFC 9110 section 8.3.1)."""
    return header.partition(";")[0].strip().lower()
