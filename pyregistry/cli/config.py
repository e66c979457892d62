"""`pyregistry config`: what is configured, and whether it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from pyregistry.cli.options import ConfigOption, RootOption, UpstreamOption, loaded

if TYPE_CHECKING:
    from pyregistry.config import Config

app = typer.Typer(help="Check, show and describe the configuration.", no_args_is_help=True)


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the configuration and the files it names; every problem is told. Exit code 2 if there is one."""
    from pyregistry.config.files import check_files  # noqa: PLC0415

    settled = loaded(config)
    check_files(settled)
    typer.echo(f"{config or 'configuration'}: good")


@app.command()
def show(config: ConfigOption = None, root: RootOption = None, upstream: UpstreamOption = None) -> None:
    """Show the configuration in effect as YAML: file, variables, defaults and well-known registries. No secrets."""
    import yaml  # noqa: PLC0415

    settled = loaded(config, upstream, storage__root=root)
    typer.echo(yaml.safe_dump(_effective(settled), sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def schema() -> None:
    """Show the JSON schema of the configuration file, for editors."""
    import json  # noqa: PLC0415

    from pyregistry.config import Config  # noqa: PLC0415

    typer.echo(json.dumps(Config.model_json_schema(), indent=2))


def _effective(config: Config) -> dict[str, Any]:
    from pyregistry.mirror.namespaces import configured_upstreams  # noqa: PLC0415

    shown: dict[str, Any] = config.model_dump(mode="json")
    shown["mirror"]["upstreams"] = {
        # An upstream has twenty settings; those that say something are enough.
        name: upstream.model_dump(mode="json", exclude_defaults=True)
        for name, upstream in configured_upstreams(config.mirror).items()
    }
    return shown
