"""Interface of hosted facts; under construction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyregistry.oci.descriptors import Descriptor
    from pyregistry.oci.manifests import Manifest
    from pyregistry.store.metadata.facts import DeleteResult, PutResult, RepositoryKind, UploadFact
    from pyregistry.store.metadata.writer import Write


class Hosted:
    """All of these are about hosted repositories. `tag`, `manifest` and `blob` take `hosted=target.hosted`."""

    def begin_upload(self, repository: str, session: str, at: float) -> Write[None]:
        raise NotImplementedError

    async def upload(self, session: str) -> UploadFact | None:
        raise NotImplementedError

    def touch_upload(self, session: str, at: float) -> Write[bool]:
        raise NotImplementedError

    def end_upload(self, session: str) -> Write[bool]:
        raise NotImplementedError

    async def idle_uploads(self, before: float, limit: int = 100) -> list[UploadFact]:
        raise NotImplementedError

    def add_blob(
        self, repository: str, digest: str, size: int, at: float, *, session: str | None = None
    ) -> Write[None]:
        raise NotImplementedError

    def mount_blob(
        self,
        repository: str,
        digest: str,
        source: str | None,
        at: float,
        *,
        hosted_source: bool = True,
        readable: Callable[[str], bool] | None = None,
    ) -> Write[bool]:
        raise NotImplementedError

    def delete_blob(self, repository: str, digest: str) -> Write[bool]:
        raise NotImplementedError

    async def known_blobs(self, digests: Iterable[str]) -> set[str]:
        raise NotImplementedError

    def put_manifest(
        self,
        repository: str,
        manifest: Manifest,
        tags: Sequence[str],
        *,
        at: float,
        immutable: Callable[[str], bool],
        sparse: bool,
    ) -> Write[PutResult]:
        raise NotImplementedError

    def delete_manifest(self, repository: str, digest: str, *, immutable: Callable[[str], bool]) -> Write[DeleteResult]:
        raise NotImplementedError

    def delete_tag(self, repository: str, tag: str) -> Write[bool]:
        raise NotImplementedError

    async def hosted_tags(self, repository: str, after: str | None = None, limit: int | None = None) -> list[str]:
        raise NotImplementedError

    async def referrers(
        self,
        repository: str,
        subject: str,
        artifact_type: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Descriptor]:
        raise NotImplementedError

    async def repository_kind(self, name: str) -> RepositoryKind | None:
        raise NotImplementedError

    async def catalog(self, after: str | None = None, limit: int | None = None) -> list[str]:
        raise NotImplementedError
