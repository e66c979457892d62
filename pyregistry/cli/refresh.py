"""`pyregistry refresh`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, RootOption, UpstreamOption, loaded

if TYPE_CHECKING:
    from pyregistry.config import Config


def command(
    *,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="As clients name it: ghcr.io/org/app:v1, nginx.")],
    config: ConfigOption = None,
    root: RootOption = None,
    upstream: UpstreamOption = None,
) -> None:
    """Ask upstream now what a tag is, whatever its age here. The server may run or not; it answers so from then on."""
    typer.echo(asyncio.run(_refresh(loaded(config, upstream, storage__root=root), image)))


async def _refresh(config: Config, image: str) -> str:
    from pyregistry.app import open_mirror  # noqa: PLC0415
    from pyregistry.cli.content import resolve  # noqa: PLC0415
    from pyregistry.cli.survey import check_root  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415

    named = resolve(config, image)
    if named.image.digest is not None:
        raise ConfigError(f"{image}: a digest never changes; name a tag")
    target, tag = named.target, named.image.tag or "latest"
    if target.hosted:
        raise ConfigError(f"{image}: hosted here; there is no upstream to ask")
    check_root(config.storage.root)
    async with open_mirror(config) as mirror:
        manifest = await mirror.manifests.refresh(target, tag)
    return f"{target.repository}:{tag} is {manifest.digest}"
