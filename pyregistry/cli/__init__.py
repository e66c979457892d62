"""The command line. Each command imports what it needs when it runs: `version` must not load a web server."""

from __future__ import annotations

import sys

import typer

from pyregistry.cli import config, exporting, importing, ls, prefetch, refresh, rm, serve, status, version

__all__ = ["app", "main"]

app = typer.Typer(
    name="pyregistry",
    help="An OCI registry and pull-through mirror: one upstream fetch per digest, streamed to everyone who waits.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Tracebacks with the values of local variables would show secrets.
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command("serve")(serve.command)
app.command("status")(status.command)
app.command("refresh")(refresh.command)
app.command("prefetch")(prefetch.command)
app.command("ls")(ls.command)
app.command("import")(importing.command)
app.command("export")(exporting.command)
app.command("rm")(rm.command)
app.add_typer(config.app, name="config")
app.command("version")(version.command)


def main() -> None:
    """Runs the command line. What the user can mend is plain lines and exit code 2; anything else is a traceback."""
    try:
        app()
    except Exception as error:
        lines = _plain(error)
        if lines is None:
            raise
        for line in lines:
            print(f"pyregistry: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def _plain(error: Exception) -> tuple[str, ...] | None:
    """What to tell of an error that is not ours; None for a bug."""
    from pyregistry.config import ConfigError  # noqa: PLC0415  only where something went wrong
    from pyregistry.errors import Failure  # noqa: PLC0415

    if isinstance(error, ConfigError):
        return error.problems
    if isinstance(error, Failure):
        return (error.message,)
    from pyregistry.oci.layout import InvalidLayout  # noqa: PLC0415
    from pyregistry.store.layouts.errors import NotHere, Refused  # noqa: PLC0415

    if isinstance(error, InvalidLayout | NotHere | Refused):
        return (str(error),)
    return None
