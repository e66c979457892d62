"""`pyregistry status`."""

from __future__ import annotations
from typing import Annotated
import typer
from pyregistry.cli.options import ConfigOption, RootOption, loaded


def command(config: ConfigOption = None, root: RootOption = None, json: bool = False, watch: bool = False) -> None:
    """Show fills, cache size and hit ratio."""
    raise NotImplementedError
