"""`pyregistry import`."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003  typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, PlatformOption, RootOption, loaded

if TYPE_CHECKING:
    from pyregistry.config import Config
    from pyregistry.oci.descriptors import Platform
    from pyregistry.store.layouts.importing import Imported
    from pyregistry.store.layouts.plan import ImportPlan
    from pyregistry.store.layouts.reading import Layout


def command(
    *,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="OCI image layout: a folder, or a tar archive of one.")],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME[:TAG]]", help="Hosted repository; unset: as the layout says.")
    ] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    platform: PlatformOption = None,
) -> None:
    """Bring images from an OCI image layout into a hosted repository. The server may run or not.

    NAME:TAG brings one image under that tag, NAME all of them under the tags the layout gives.
    """
    settled = loaded(config, storage__root=root)
    from pyregistry.cli.content import platforms_of  # noqa: PLC0415
    from pyregistry.store.layouts.reading import open_layout  # noqa: PLC0415

    with open_layout(path) as layout:
        plans = _plans(settled, layout, name, platforms_of(platform))
        done = asyncio.run(_import(settled, layout, plans))
    for repository, plan in plans.items():
        for left in (*plan.left_out.values(), *done[repository].left_out):
            typer.echo(f"left out: {left.platform or left.media_type} {left.digest}", err=True)
        _tell(repository, plan, done[repository])


def _plans(config: Config, layout: Layout, name: str | None, platforms: tuple[Platform, ...]) -> dict[str, ImportPlan]:
    """What each repository gets. Raises ConfigError, InvalidLayout."""
    from pyregistry.cli.content import resolve  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.oci.layout import by_repository  # noqa: PLC0415
    from pyregistry.store.layouts.plan import plan_import  # noqa: PLC0415

    entries = layout.entries()
    if not entries:
        raise ConfigError(f"{layout.path} has no images")
    if name is not None:
        named = resolve(config, name)
        if named.image.digest is not None:
            raise ConfigError(f"{name}: the layout says what the digest is; name a tag")
        plan = plan_import(layout, entries, tag=named.image.tag, platforms=platforms)
        return {named.hosted().repository: plan}
    plans = {}
    for repository, its_entries in by_repository(entries).items():
        target = resolve(config, repository).hosted()
        plans[target.repository] = plan_import(layout, its_entries, platforms=platforms)
    return plans


async def _import(config: Config, layout: Layout, plans: dict[str, ImportPlan]) -> dict[str, Imported]:
    from pyregistry.cli.content import opened  # noqa: PLC0415
    from pyregistry.cli.progress import progress  # noqa: PLC0415
    from pyregistry.policy.immutability import ImmutableTags  # noqa: PLC0415
    from pyregistry.store.layouts.importing import Importer  # noqa: PLC0415

    async with opened(config, new=True) as (store, metadata):
        with progress() as report:
            importer = Importer(
                store,
                metadata,
                immutable=ImmutableTags(config.policy.immutable_tags).binds,
                sparse=config.policy.sparse_indexes,
                sparse_blobs=config.policy.sparse_images,
                report=report,
            )
            for repository, plan in plans.items():
                await importer.check(layout, repository, plan)
            return {repository: await importer.run(layout, repository, plan) for repository, plan in plans.items()}


def _tell(repository: str, plan: ImportPlan, done: Imported) -> None:
    from rich.filesize import decimal  # noqa: PLC0415

    for digest, tags in plan.tags.items():
        for tag in tags:
            typer.echo(f"{repository}:{tag} is {digest}")
    if not any(plan.tags.values()):
        for digest in plan.roots:
            typer.echo(f"{repository}@{digest}")
    if done.manifests or done.blobs:
        spared = f"; {decimal(done.spared)} were here already" if done.spared else ""
        typer.echo(f"{done.manifests} manifests, {done.blobs} blobs new: {decimal(done.copied)} copied{spared}")
    else:
        typer.echo("nothing new: all of it was here already")
