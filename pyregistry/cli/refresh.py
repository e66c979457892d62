"""`pyregistry refresh`."""

from __future__ import annotations
from typing import Annotated
import typer
from pyregistry.cli.options import ConfigOption, RootOption, UpstreamOption, loaded


def command(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    config: ConfigOption = None,
    root: RootOption = None,
    upstream: UpstreamOption = None,
) -> None:
    """Ask upstream now what a tag is, whatever its age here."""
    raise NotImplementedError
