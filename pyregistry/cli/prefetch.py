"""`pyregistry prefetch`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from pyregistry.cli.options import ConfigOption, RootOption, UpstreamOption, loaded

if TYPE_CHECKING:
    from pathlib import Path

    from pyregistry.config import Config
    from pyregistry.errors import Failure
    from pyregistry.oci.descriptors import Platform
    from pyregistry.store.layouts.report import Report

_LOOK_SECONDS = 0.25


def command(
    *,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="As clients name them: ghcr.io/org/app:v1, nginx.")
    ],
    config: ConfigOption = None,
    root: RootOption = None,
    upstream: UpstreamOption = None,
    platform: Annotated[
        list[str] | None,
        typer.Option(
            "--platform",
            metavar="OS/ARCH",
            help="Of an index, what is for this platform; repeatable; `all`: everything. Unset: this machine's.",
        ),
    ] = None,
) -> None:
    """Fetch images from upstream before somebody asks for them. The server may run or not; what is here already stays.

    Clients of a running server that ask for the same are served from the same fetch.
    """
    from pyregistry.cli.content import platforms_of  # noqa: PLC0415
    from pyregistry.mirror.prefetch import this_platform  # noqa: PLC0415

    given = platform or []
    wanted = () if "all" in given else platforms_of(given) or (this_platform(),)
    failures = asyncio.run(_prefetch(loaded(config, upstream, storage__root=root), images, wanted))
    if failures:
        for image, failure in failures[:-1]:
            typer.echo(f"pyregistry: {image}: {failure.message}", err=True)
        raise failures[-1][1]


async def _prefetch(config: Config, images: list[str], platforms: tuple[Platform, ...]) -> list[tuple[str, Failure]]:
    """Brings one image after the other; answers those that failed."""
    from pyregistry.app import open_mirror  # noqa: PLC0415
    from pyregistry.cli.content import check_owner, resolve  # noqa: PLC0415
    from pyregistry.cli.progress import progress  # noqa: PLC0415
    from pyregistry.cli.survey import check_root  # noqa: PLC0415
    from pyregistry.config import ConfigError  # noqa: PLC0415
    from pyregistry.errors import Failure  # noqa: PLC0415
    from pyregistry.oci.references import parse_reference  # noqa: PLC0415

    named = [resolve(config, image) for image in images]
    for one in named:
        if one.target.hosted:
            raise ConfigError(f"{one.text}: hosted here; there is no upstream to fetch it from")
    check_root(config.storage.root)
    check_owner(config.storage.root)
    failures: list[tuple[str, Failure]] = []
    async with open_mirror(config) as mirror:
        for one in named:
            reference = parse_reference(one.image.digest or one.image.tag or "latest")
            try:
                with progress() as report:
                    seen = _Seen(report)
                    watching = asyncio.ensure_future(seen.watch(config.storage.root))
                    try:
                        digest = await mirror.prefetch.image(one.target, reference, platforms, seen)
                    finally:
                        watching.cancel()
                        await asyncio.gather(watching, return_exceptions=True)
            except Failure as failure:
                failures.append((one.text, failure))
            else:
                separator = "@" if reference.digest is not None else ":"
                typer.echo(f"{one.target.repository}{separator}{reference.text} is here, as {digest}")
    return failures


class _Seen:
    """Reports what fills have come to, whichever process runs them: `status` sees the same."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._moved: dict[str, int] = {}
        self.expect = report.expect

    def begin(self, digest: str, size: int) -> None:
        self._moved[digest] = 0
        self._report.begin(digest, size)

    def moved(self, digest: str, count: int) -> None:
        self._report.moved(digest, count)

    def end(self, digest: str, size: int, how: str) -> None:
        del self._moved[digest]
        self._report.end(digest, size, how)

    async def watch(self, root: Path) -> None:
        from pyregistry.store.content import fills  # noqa: PLC0415

        while True:
            for fill in await asyncio.to_thread(fills, str(root)):
                known = self._moved.get(fill.digest)
                if known is not None and fill.had > known:
                    self._moved[fill.digest] = fill.had
                    self._report.moved(fill.digest, fill.had - known)
            await asyncio.sleep(_LOOK_SECONDS)
