"""`pyregistry serve`."""

from __future__ import annotations

from typing import Annotated

import typer

# Typer reads these at run time.
from pyregistry.cli.options import ConfigOption, RootOption, UpstreamOption, loaded


def command(
    *,
    config: ConfigOption = None,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address to serve on.")] = None,
    root: RootOption = None,
    workers: Annotated[str | None, typer.Option(metavar="N|auto", help="Worker processes.")] = None,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT|off", help="Address of metrics and probes.")] = None,
    upstream: UpstreamOption = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(metavar="FORMAT", help="json or console.")] = None,
) -> None:
    """Serve: mirror upstream registries, the well-known public ones unless told otherwise.

    Flags win over variables (PYREGISTRY_HTTP__LISTEN), and those over the configuration file.
    """
    settled = loaded(
        config,
        upstream,
        http__listen=listen,
        storage__root=root,
        http__workers=workers,
        metrics__listen=metrics,
        log__level=log_level,
        log__format=log_format,
    )
    from pyregistry.config.files import check_files  # noqa: PLC0415
    from pyregistry.server import serve  # noqa: PLC0415

    check_files(settled)
    raise typer.Exit(serve(settled))
