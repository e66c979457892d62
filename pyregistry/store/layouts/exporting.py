"""Exporting: manifests and blobs of repositories, as far as they are on disk, become a layout."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyregistry.errors import Cause, Failure
from pyregistry.oci.descriptors import NO_ANNOTATIONS
from pyregistry.oci.digests import Digest, algorithm, encoded
from pyregistry.oci.layout import Entry, blob_path, encode_index
from pyregistry.store.layouts.errors import NotHere
from pyregistry.store.layouts.gathering import Gathering, Selection
from pyregistry.store.layouts.writing import finish, write_file

if TYPE_CHECKING:
    from pyregistry.oci.manifests import Manifest
    from pyregistry.oci.references import ImageName
    from pyregistry.store.content import Store
    from pyregistry.store.layouts.report import Report
    from pyregistry.store.layouts.writing import LayoutWriter
    from pyregistry.store.metadata import Metadata
    from pyregistry.store.target import Target

_CHUNK = 1 << 20
#: Of tags under which tools keep what refers to a digest, where they do not use referrers: the distribution spec's
#: (section Referrers Tag Schema), and cosign's.
_SUFFIXES = ("", ".sig", ".att", ".sbom")


@dataclass(slots=True)
class ExportPlan:
    """What a layout is made of."""

    entries: list[Entry] = field(default_factory=list)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    #: By size.
    blobs: dict[Digest, int] = field(default_factory=dict)
    #: What stays out of what is listed, with what it is.
    left_out: dict[Digest, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of its blobs."""
        return sum(self.blobs.values())


class Exporter:
    """Exports from one storage root, beside a running server or without one. Nothing is asked of any upstream."""

    def __init__(self, store: Store, metadata: Metadata) -> None:
        self._store = store
        self._metadata = metadata

    async def tags(self, target: Target) -> list[str]:
        """All tags of a repository that are on disk."""
        if target.hosted:
            return await self._metadata.hosted_tags(target.repository)
        return await self._metadata.tags(target.repository)

    async def digest(self, target: Target, tag: str) -> Digest:
        """What a tag names here. Raises NotHere."""
        fact = await self._metadata.tag(target.repository, tag, hosted=target.hosted)
        if fact is None or fact.digest is None or not fact.stored:
            advice = "no such tag" if target.hosted else "not on disk; pull it through the server first"
            raise NotHere(f"{target.repository}:{tag}: {advice}")
        return Digest(fact.digest)

    async def add(
        self,
        plan: ExportPlan,
        target: Target,
        digest: Digest,
        selection: Selection,
        *,
        name: ImageName | None = None,
        tag: str | None = None,
    ) -> None:
        """Adds an image to a plan, under `name` and `tag` in `index.json`. Raises NotHere."""
        subjects = await self._take(plan, target, digest, selection, name=name, tag=tag)
        while selection.referrers and subjects:
            for referrer, its_tag in await self._referrers(target, subjects.pop()):
                if referrer in plan.manifests:
                    continue
                its_name = name and replace(name, tag=its_tag, digest=None if its_tag else referrer)
                try:
                    subjects += await self._take(plan, target, referrer, selection, name=its_name, tag=its_tag)
                except NotHere:
                    if target.hosted:
                        raise
                    # Nobody pulled it.
                    plan.left_out[referrer] = f"referrer of {digest}"

    async def _take(
        self,
        plan: ExportPlan,
        target: Target,
        digest: Digest,
        selection: Selection,
        *,
        name: ImageName | None,
        tag: str | None,
    ) -> list[Digest]:
        """Adds one image and its entry; the manifests it brought."""
        gathering = Gathering(self._store, self._metadata, target, selection)
        await gathering.take(digest, f"{target.repository}{f':{tag}' if tag else f'@{digest}'}")
        # Its own annotations are not the entry's: one of them may be a tag of long ago.
        descriptor = replace(gathering.manifests[digest].descriptor(), annotations=NO_ANNOTATIONS)
        entry = Entry(descriptor, name, tag)
        if entry not in plan.entries:
            plan.entries.append(entry)
        plan.manifests |= gathering.manifests
        plan.blobs |= gathering.blobs
        plan.left_out |= {child: str(of.platform or of.media_type) for child, of in gathering.left_out.items()}
        return list(gathering.manifests)

    async def _referrers(self, target: Target, subject: Digest) -> list[tuple[Digest, str | None]]:
        """What refers to a manifest, with its tag where that says so."""
        listed = self._metadata.referrers if target.hosted else self._metadata.local_referrers
        found: list[tuple[Digest, str | None]] = [
            (one.digest, None) for one in await listed(target.repository, subject)
        ]
        for suffix in _SUFFIXES:
            tag = f"{algorithm(subject)}-{encoded(subject)}{suffix}"
            fact = await self._metadata.tag(target.repository, tag, hosted=target.hosted)
            if fact is not None and fact.digest is not None and fact.stored:
                found.append((Digest(fact.digest), tag))
        return found

    async def write(self, plan: ExportPlan, writer: LayoutWriter, report: Report) -> None:
        """Writes all of it; every byte is checked against its digest on the way. Raises Failure."""
        report.expect(plan.size)
        for digest, size in sorted(plan.blobs.items()):
            await self._copy(digest, size, writer, report)
        for digest, manifest in sorted(plan.manifests.items()):
            await asyncio.to_thread(write_file, writer, blob_path(digest), manifest.content)
        await asyncio.to_thread(finish, writer, encode_index(plan.entries))

    async def _copy(self, digest: Digest, size: int, writer: LayoutWriter, report: Report) -> None:
        reader = self._store.committed(digest, size)
        if reader is None:
            raise Failure(Cause.STORAGE, f"{digest} is no longer on disk: somebody deletes there; export again")
        report.begin(digest, size)
        body = reader.plan()
        hasher = hashlib.new(algorithm(digest))

        def put(data: bytes) -> None:
            hasher.update(data)
            writer.write(data)

        await asyncio.to_thread(writer.begin, blob_path(digest), size)
        while data := await body.next(_CHUNK):
            await asyncio.to_thread(put, data)
            report.moved(digest, len(data))
        if hasher.hexdigest() != encoded(digest):
            raise Failure(Cause.STORAGE, f"{digest}: its file in the store is damaged")
        await asyncio.to_thread(writer.end)
        report.end(digest, size, "copied")
