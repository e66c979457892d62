"""`pyregistry rm`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, RootOption, loaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry.cli.content import Named
    from pyregistry.config import Config
    from pyregistry.store.metadata import Metadata


def command(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME[:TAG|@DIGEST]", help="Of a hosted repository.")],
    config: ConfigOption = None,
    root: RootOption = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole repository NAME.")] = False,
) -> None:
    """Remove a tag, a manifest with its tags, or a whole hosted repository. The server may run or not.

    The bytes stay on disk: what nothing refers to any more is not collected yet.
    """
    settled = loaded(config, storage__root=root)
    from pyregistry.cli.content import resolve  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415

    named = resolve(settled, name)
    if not named.target.hosted:
        raise ConfigError(
            f"{name}: {named.target.repository} is mirrored and would be fetched again; "
            "`pyregistry refresh` asks upstream what a tag is now"
        )
    tag, digest = named.image.tag, named.image.digest
    if everything == bool(tag or digest):
        raise ConfigError(f"{name}: name a tag, a digest, or with --all a whole repository")
    if tag and digest:
        raise ConfigError(f"{name}: name a tag or a digest, not both")
    typer.echo(asyncio.run(_remove(settled, named)))


async def _remove(config: Config, named: Named) -> str:
    from pyregistry.cli.content import opened  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.policy.immutability import ImmutableTags  # noqa: PLC0415

    repository, tag, digest = named.target.repository, named.image.tag, named.image.digest
    tags = ImmutableTags(config.policy.immutable_tags)

    def immutable(tag: str) -> bool:
        return tags.binds(repository, tag)

    async with opened(config) as (_, metadata):
        if tag is not None:
            if await metadata.tag(repository, tag, hosted=True) is not None and immutable(tag):
                raise _immutable(repository, tag)
            found = await metadata.delete_tag(repository, tag)
        elif digest is not None:
            result = await metadata.delete_manifest(repository, digest, immutable=immutable)
            if result.immutable is not None:
                raise _immutable(repository, result.immutable)
            found = result.found
        else:
            return await _remove_all(config, metadata, repository, immutable)
    if not found:
        raise ConfigError(f"{repository} has no {tag or digest}")
    return f"{named.text} removed"


async def _remove_all(config: Config, metadata: Metadata, repository: str, immutable: Callable[[str], bool]) -> str:
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.store.metadata.inventory import Inventory  # noqa: PLC0415

    bound = [tag for tag in await metadata.hosted_tags(repository) if immutable(tag)]
    if bound:
        raise _immutable(repository, bound[0])
    with Inventory(config.storage.root) as inventory:
        manifests = inventory.manifests(repository, hosted=True)
        blobs = inventory.blobs(repository, hosted=True)
    if not manifests and not blobs:
        raise ConfigError(f"nothing was pushed to {repository}")
    # Writes go together into one transaction where they can.
    removed = [metadata.delete_manifest(repository, digest, immutable=immutable) for digest in manifests]
    for write in removed:
        result = await write
        if result.immutable is not None:
            raise _immutable(repository, result.immutable)
    # Only now: until its manifests are gone, their blobs are wanted.
    for gone in [metadata.delete_blob(repository, digest) for digest in blobs]:
        await gone
    return f"{repository} removed: {len(manifests)} manifests, {len(blobs)} blobs"


def _immutable(repository: str, tag: str) -> Exception:
    from pyregistry.config import ConfigError  # noqa: PLC0415

    return ConfigError(f"{repository}:{tag} is immutable (policy.immutable_tags); nothing was removed")
