"""`pyregistry status`."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, RootOption, loaded

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pyregistry.cli.survey import Survey

_REFRESH_SECONDS = 0.5


def command(
    *,
    config: ConfigOption = None,
    root: RootOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show fills in progress, what is stored, and what each upstream was spared. The server may run or not."""
    # A root that is named needs no configuration: not even a good one.
    folder = Path(root) if root is not None and config is None else loaded(config, storage__root=root).storage.root

    from pyregistry.cli.survey import survey  # noqa: PLC0415

    if json:
        import orjson  # noqa: PLC0415

        typer.echo(orjson.dumps(survey(folder).as_json(), option=orjson.OPT_INDENT_2))
        return

    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console()
    if not watch:
        console.print(_shown(survey(folder)))
        return
    with Live(_shown(survey(folder)), console=console, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_REFRESH_SECONDS)
                live.update(_shown(survey(folder)), refresh=True)
        except KeyboardInterrupt:
            return


def _shown(seen: Survey) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    server = f"served by process {seen.server}" if seen.server else "not served now"
    parts: list[RenderableType] = [Text(f"{seen.root}: {server}")]
    if seen.facts is not None:
        facts = seen.facts
        parts.append(
            Text(
                f"{_bytes(facts.blob_bytes)} in {facts.blobs} blobs, {facts.manifests} manifests, {facts.tags} tags, "
                f"{sum(facts.repositories.values())} repositories; {_bytes(seen.partial_bytes)} in partials"
            )
        )
    if seen.trouble is not None:
        parts.append(Text(seen.trouble, style="red"))
    if seen.fills:
        parts.append(_fills(seen))
    if seen.upstreams or (seen.facts and seen.facts.repositories):
        parts.append(_upstreams(seen))
    for one in seen.troubles:
        state = f"is not asked until {datetime.fromtimestamp(one.until):%H:%M:%S}" if one.until else "failed last"
        parts.append(Text(f"{one.upstream} ({one.base}) {state}: {one.message}", style="yellow"))
    for name, counted in seen.upstreams.items():
        if counted.incomplete:
            told = f"{name}: {counted.incomplete} manifests were served while blobs of them could not be had"
            parts.append(Text(told, style="yellow"))
    return Group(*parts)


def _fills(seen: Survey) -> RenderableType:
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("fill", "", "", "of", "", box=None, pad_edge=False, header_style="bold")
    for fill in seen.fills:
        share = f"{fill.had / fill.size:.0%}" if fill.size else ""
        bar = ProgressBar(total=fill.size, completed=fill.had, width=28, pulse=fill.size is None and fill.owned)
        state = fill.failure.cause.name.lower() if fill.failure else "" if fill.owned else "stopped"
        algorithm, _, encoded = fill.digest.partition(":")
        table.add_row(f"{algorithm}:{encoded[:12]}", bar, share, _bytes(fill.size), state)
    return table


def _upstreams(seen: Survey) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415

    # The longest well-known name and terabytes everywhere fit 80 columns.
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("upstream", no_wrap=True)
    for title in ("repos", "requests", "hits", "served", "fetched", "saved", "asked", "quota"):
        table.add_column(title, justify="right")
    repositories = seen.facts.repositories if seen.facts else {}
    names = sorted({*seen.upstreams, *(name for name in repositories if name)})
    for name in names:
        counted, stored = seen.upstreams.get(name), str(repositories.get(name, 0))
        if counted is None:
            table.add_row(name, stored)
            continue
        ratio, quota = counted.hit_ratio, counted.quota_remaining
        table.add_row(
            name,
            stored,
            str(counted.answered),
            "" if ratio is None else f"{ratio:.1%}",
            _bytes(counted.served),
            _bytes(counted.received),
            _bytes(counted.saved),
            str(counted.requests),
            "" if quota is None else str(quota),
        )
    if hosted := repositories.get(None):
        table.add_row("hosted here", str(hosted))
    return table


def _bytes(count: int | None) -> str:
    from rich.filesize import decimal  # noqa: PLC0415

    return "?" if count is None else decimal(count)
