"""`pyregistry ls`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyregistry.cli.options import ConfigOption, RootOption, loaded

if TYPE_CHECKING:
    from pyregistry.store.metadata.inventory import RepositoryRow, TagRow


def command(
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Repository, as clients name it.")] = None,
    config: ConfigOption = None,
    root: RootOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List repositories, or the tags of one with size, time and digest: what is on disk. The server may run or not."""
    settled = loaded(config, storage__root=root)
    from pyregistry.cli.content import check_owner, resolve  # noqa: PLC0415
    from pyregistry.cli.survey import check_root  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.store.metadata.inventory import Inventory  # noqa: PLC0415
    from pyregistry.store.metadata.sqlite import DATABASE  # noqa: PLC0415

    folder = settled.storage.root
    named = None if name is None else resolve(settled, name)
    if named is not None and (named.image.tag or named.image.digest):
        raise ConfigError(f"{name}: name a repository alone")
    check_root(folder)
    check_owner(folder)
    if not (folder / DATABASE).exists():
        raise ConfigError(f"{folder} has no content yet")
    with Inventory(folder) as inventory:
        if named is None:
            _show([_repository(row) for row in inventory.repositories()], json=json)
            return
        target = named.target
        tags = [_tag(row) for row in inventory.tags(target.repository, hosted=target.hosted)]
        if not tags and not inventory.manifests(target.repository, hosted=target.hosted):
            kind = "pushed to" if target.hosted else "pulled from"
            raise ConfigError(f"nothing was {kind} {target.repository}")
        _show(tags, json=json)


def _repository(row: RepositoryRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "upstream": row.upstream,
        "tags": row.tags,
        "updated_at": _time(row.updated_at),
    }


def _tag(row: TagRow) -> dict[str, Any]:
    return {
        "tag": row.name,
        "digest": row.digest,
        "media_type": row.media_type,
        "size": row.size,
        "updated_at": _time(row.updated_at),
    }


def _time(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _show(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        import orjson  # noqa: PLC0415

        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    lines = [_columns(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def _columns(row: dict[str, Any]) -> tuple[str, ...]:
    from rich.filesize import decimal  # noqa: PLC0415

    at = row["updated_at"] or ""
    if "tag" in row:
        return row["tag"], decimal(row["size"]), at, row["digest"]
    return row["name"], row["kind"], f"{row['tags']} tags", at
