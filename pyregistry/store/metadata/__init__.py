"""The metadata database: who refers to what, what a tag is, when upstream said so (`docs/design/0002-metadata.md`)."""

from pyregistry.store.metadata.database import Metadata
from pyregistry.store.metadata.facts import (
    BlobFact,
    BlobOrigin,
    CheckKind,
    DeleteResult,
    ManifestFact,
    Missing,
    PutResult,
    RepositoryKind,
    TagFact,
    Totals,
    UploadFact,
)
from pyregistry.store.metadata.writer import Write

__all__ = [
    "BlobFact",
    "BlobOrigin",
    "CheckKind",
    "DeleteResult",
    "ManifestFact",
    "Metadata",
    "Missing",
    "PutResult",
    "RepositoryKind",
    "TagFact",
    "Totals",
    "UploadFact",
    "Write",
]
