"""The metadata database: who refers to what, what a tag is, when upstream said so (`docs/design/0002-metadata.md`)."""

from pyregistry.store.metadata.database import Metadata
from pyregistry.store.metadata.facts import BlobFact, BlobOrigin, CheckKind, ManifestFact, TagFact, Totals
from pyregistry.store.metadata.writer import Write

__all__ = ["BlobFact", "BlobOrigin", "CheckKind", "ManifestFact", "Metadata", "TagFact", "Totals", "Write"]
