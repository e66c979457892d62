"""Options that several commands share, and the configuration they come to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pyregistry.config import Config

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="PYREGISTRY_CONFIG", metavar="FILE", help="Configuration (YAML)."),
]
RootOption = Annotated[
    str | None, typer.Option("--root", metavar="FOLDER", help="Storage root, instead of the configured one.")
]
UpstreamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--upstream",
        metavar="NAME=URL",
        help="Mirror this registry; repeatable. The first is the default one. Only these are mirrored then.",
    ),
]
PlatformOption = Annotated[
    list[str] | None,
    typer.Option("--platform", metavar="OS/ARCH", help="Of an index, only what is for this platform; repeatable."),
]


def loaded(file: Path | None, upstreams: list[str] | None = None, **flags: str | None) -> Config:
    """The configuration in effect; `flags` are keys with `__` for the dot. Raises ConfigError."""
    from pyregistry.config import load  # noqa: PLC0415

    return load(file, {key.replace("__", "."): value for key, value in flags.items()}, upstreams or ())
