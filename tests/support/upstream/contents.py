"""What the scripted upstream holds: repositories of blobs, manifests and tags."""

from dataclasses import dataclass, field

from tests.support.blobs import Blob
from tests.support.images import OCI_INDEX, Image, index


@dataclass
class Repository:
    blobs: dict[str, Blob] = field(default_factory=dict)
    manifests: dict[str, Image] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, image: Image, *tags: str) -> None:
        """The image with its children, under the tags."""
        for part in image.walk():
            self.manifests[part.digest] = part
            self.blobs |= {b.digest: b for b in part.blobs}
        self.tags |= dict.fromkeys(tags, image.digest)

    def manifest(self, reference: str, *, tag_schema: bool) -> Image | None:
        """The manifest of a tag or digest; with `tag_schema`, referrers under the tag `<algorithm>-<hex>` too."""
        found = self.manifests.get(self.tags.get(reference, reference))
        if found is None and tag_schema and "-" in reference:
            referrers = self.referrers(reference.replace("-", ":", 1))
            return index(referrers) if referrers else None
        return found

    def referrers(self, subject: str, artifact_type: str | None = None) -> list[Image]:
        found = [m for m in self.manifests.values() if m.subject == subject]
        return [m for m in found if artifact_type in (None, m.artifact_type)]


def referrers_document(images: list[Image]) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image.descriptor() for image in images]}
