"""What of one image is on disk: the manifests and blobs that an export takes, and what stays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyregistry.oci.digests import algorithm
from pyregistry.oci.manifests import parse_manifest
from pyregistry.oci.platforms import is_wanted
from pyregistry.store.layouts.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyregistry.oci.descriptors import Descriptor, Platform
    from pyregistry.oci.digests import Digest
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.content import Store
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target


@dataclass(frozen=True, slots=True)
class Selection:
    """How much of an image is exported."""

    #: Children of indexes for other platforms stay out; none: for all.
    platforms: Collection[Platform] = ()
    #: What an index lists and is not on disk may stay out.
    sparse: bool = False
    #: What refers to it comes along.
    referrers: bool = False


class Gathering:
    """One image of a repository."""

    def __init__(self, store: Store, metadata: Metadata, target: Target, selection: Selection) -> None:
        self.manifests: dict[Digest, Manifest] = {}
        #: By size.
        self.blobs: dict[Digest, int] = {}
        #: Children that stay out, and may.
        self.left_out: dict[Digest, Descriptor] = {}
        self._store = store
        self._metadata = metadata
        self._target = target
        self._selection = selection
        #: Children that are not on disk as a whole.
        self._gaps: dict[Digest, Descriptor] = {}

    async def take(self, digest: Digest, called: str) -> None:
        """Takes a manifest and all below it. `called`: what messages call it. Raises NotHere."""
        root = await self._manifest(digest, "")
        if root is None:
            raise NotHere(f"{called}: not on disk{self._advice()}")
        if (missing := await self._missing(root)) is not None:
            raise NotHere(f"{called}: blob {missing} is not on disk{self._advice()}")
        stack = [root]
        while stack:
            manifest = stack.pop()
            self.manifests[manifest.digest] = manifest
            for child in manifest.children:
                if child.digest not in self.manifests and (found := await self._child(child)) is not None:
                    stack.append(found)
        self._check(root, called)

    async def _child(self, child: Descriptor) -> Manifest | None:
        """A child that is a manifest and comes along."""
        if not is_wanted(child, self._selection.platforms):
            self.left_out[child.digest] = child
            return None
        manifest = await self._manifest(child.digest, child.media_type)
        if manifest is None:
            # BuildKit's cache is an index of layers. What a hosted index lists and was never pushed is no loss.
            if not await self._blob(child) and self._target.hosted:
                self.left_out[child.digest] = child
            elif child.digest not in self.blobs:
                self._gaps[child.digest] = child
        elif await self._missing(manifest) is not None:
            self._gaps[child.digest] = child
        else:
            return manifest
        return None

    async def _manifest(self, digest: Digest, media_type: str) -> Manifest | None:
        fact = await self._metadata.manifest(self._target.repository, digest, hosted=self._target.hosted)
        return None if fact is None else parse_manifest(fact.content, fact.media_type or media_type, algorithm(digest))

    async def _missing(self, manifest: Manifest) -> Digest | None:
        """Takes a manifest's blobs, or answers the first that is not on disk."""
        for blob in manifest.blobs:
            if not await self._blob(blob) and not blob.is_external:
                return blob.digest
        return None

    async def _blob(self, blob: Descriptor) -> bool:
        if blob.digest in self.blobs:
            return True
        fact = await self._metadata.blob(self._target.repository, blob.digest, hosted=self._target.hosted)
        if not fact.vouched or fact.size is None or self._store.committed(blob.digest, fact.size) is None:
            return False
        self.blobs[blob.digest] = fact.size
        return True

    def _check(self, root: Manifest, called: str) -> None:
        """Raises NotHere if more stays out than may."""
        there = [child for child in root.children if child.digest in self.manifests or child.digest in self.blobs]
        if self._gaps and not self._selection.sparse:
            gaps = _shown(self._gaps.values())
            raise NotHere(
                f"{called}: {len(self._gaps)} of the manifests it lists are not on disk ({gaps}); "
                "--sparse leaves them out, --platform takes some only"
            )
        if root.children and not there and not self._target.hosted:
            listed = _shown(root.children)
            raise NotHere(f"{called}: nothing of what it lists ({listed}) is wanted and on disk{self._advice()}")
        self.left_out |= self._gaps

    def _advice(self) -> str:
        return "" if self._target.hosted else "; pull it through the server first"


def _shown(children: Collection[Descriptor]) -> str:
    names = [str(child.platform or child.digest) for child in children]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
