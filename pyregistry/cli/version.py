"""`pyregistry version`."""

from __future__ import annotations

import typer


def command() -> None:
    """Show the version."""
    from pyregistry import __version__  # noqa: PLC0415

    typer.echo(f"pyregistry {__version__}")
