"""`pyregistry export`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path  # noqa: TC003  typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, PlatformOption, RootOption, loaded

if TYPE_CHECKING:
    from pyregistry.cli.content import Named
    from pyregistry.config import Config
    from pyregistry.store.layouts.exporting import Exporter, ExportPlan
    from pyregistry.store.layouts.gathering import Selection


def command(
    *,
    names: Annotated[list[str], typer.Argument(metavar="NAME[:TAG|@DIGEST]...", help="NAME alone: all its tags.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder, FILE.tar, or - for standard output.")],
    config: ConfigOption = None,
    root: RootOption = None,
    platform: PlatformOption = None,
    sparse: Annotated[bool, typer.Option("--sparse", help="Leave out what an index lists and is not on disk.")] = False,
    referrers: Annotated[bool, typer.Option("--referrers", help="Signatures, SBOMs and other referrers too.")] = False,
) -> None:
    """Copy hosted or mirrored images that are on disk to an OCI image layout. The server may run or not.

    No upstream is asked for anything.
    """
    settled = loaded(config, storage__root=root)
    from pyregistry.cli.content import platforms_of, resolve  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.store.layouts.gathering import Selection  # noqa: PLC0415

    selection = Selection(platforms_of(platform), sparse, referrers)
    resolved = [resolve(settled, name) for name in names]
    standard = str(path) == "-"
    if standard and sys.stdout.isatty():
        raise ConfigError("an archive is nothing for a terminal; name a file or a folder")
    plan = asyncio.run(_export(settled, resolved, None if standard else path, selection))
    _tell(plan)


async def _export(config: Config, names: list[Named], path: Path | None, selection: Selection) -> ExportPlan:
    from pyregistry.cli.content import opened  # noqa: PLC0415
    from pyregistry.cli.progress import progress  # noqa: PLC0415
    from pyregistry.store.layouts.exporting import Exporter, ExportPlan  # noqa: PLC0415
    from pyregistry.store.layouts.writing import write_layout  # noqa: PLC0415

    async with opened(config) as (store, metadata):
        exporter, plan = Exporter(store, metadata), ExportPlan()
        several = len({named.target.repository for named in names}) > 1
        for named in names:
            await _add(exporter, plan, named, selection, several=several)
        with progress() as report, write_layout(path) as writer:
            await exporter.write(plan, writer, report)
    return plan


async def _add(exporter: Exporter, plan: ExportPlan, named: Named, selection: Selection, *, several: bool) -> None:
    from dataclasses import replace  # noqa: PLC0415

    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.oci.references import parse_image  # noqa: PLC0415

    target, tag, digest = named.target, named.image.tag, named.image.digest
    bare = parse_image(target.repository)
    if digest is not None:
        # Without a tag nothing wants a name, but for telling several repositories apart.
        name = replace(bare, tag=tag, digest=None if tag else digest) if tag or several else None
        await exporter.add(plan, target, digest, selection, name=name, tag=tag)
        return
    tags = [tag] if tag is not None else await exporter.tags(target)
    if not tags:
        raise ConfigError(f"{named.text}: no tag of {target.repository} is on disk")
    for one in tags:
        found = await exporter.digest(target, one)
        await exporter.add(plan, target, found, selection, name=replace(bare, tag=one), tag=one)


def _tell(plan: ExportPlan) -> None:
    from rich.filesize import decimal  # noqa: PLC0415

    for digest, what in plan.left_out.items():
        typer.echo(f"left out: {what} {digest}", err=True)
    typer.echo(
        f"{len(plan.entries)} images, {len(plan.manifests)} manifests, {len(plan.blobs)} blobs: {decimal(plan.size)}",
        err=True,
    )
