"""Runs rows of the matrix, all their cells at once: one server, and an upstream for each row."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.integration.fault_matrix.cells import Cell, Moment, State
from tests.support.certificates import Authority
from tests.support.upstream import Kind, LocalUpstream, Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.integration.fault_matrix.table import Row
    from tests.support.serve import Serve

Seen = dict[tuple[str, Moment, State], str]
"""What came of each cell: `outcome: requests upstream`."""
_NO_BREAKER = {"failures": 1_000_000, "pause": "100ms"}
"""Failures in a row are a matter of their own: test_outages."""
RECOVERS_WITHIN = 60.0


def run_rows(rows: Sequence[Row], serve: Callable[..., Serve], folder: Path) -> Seen:
    """Fails if something cannot be had, whole and right, once its fault has gone. `folder` is for certificates."""
    authority = Authority(folder / "authority")
    tls = Tls(*authority.server())
    with ExitStack() as stack:
        running = []
        for row in rows:
            upstream = stack.enter_context(LocalUpstream(tls=tls if row.tls else None, **row.before))
            running.append(_Running(row, upstream, tls, authority.cert))
        entries = {cell.host: one.entry() for one in running for cell in one.cells}
        server = serve(upstreams=entries, mirror={"breaker": _NO_BREAKER}, log={"level": "warning"})
        return asyncio.run(_run(running, server.url))


async def _run(running: list[_Running], server: str) -> Seen:
    seen: Seen = {}
    for cells in await asyncio.gather(*(one.run(server) for one in running)):
        seen |= cells
    return seen


class _Running:
    def __init__(self, row: Row, upstream: LocalUpstream, tls: Tls, ca_file: str) -> None:
        self._row = row
        self._upstream = upstream
        self._tls = tls
        self._ca_file = ca_file
        self.cells = [Cell(row.name, moment, state) for moment in Moment for state in State]
        for cell in self.cells:
            cell.publish(upstream)

    def entry(self) -> dict[str, object]:
        """The upstream as the server's configuration has it."""
        row = self._row
        return {
            "url": self._upstream.url,
            "connect_timeout": row.patience,
            "progress_timeout": row.patience,
            "freshness": {"ttl": "0s", "negative_ttl": "0s", "answer_within": row.answer_within},
            "ca_file": self._ca_file if row.tls else None,
        }

    async def run(self, server: str) -> Seen:
        cells, upstream = self.cells, self._upstream
        # Fills under way come last: they wait with the patience of the row.
        for during in (False, True):
            chosen = [cell for cell in cells if (cell.moment is Moment.DURING) is during]
            await asyncio.gather(*(cell.prepare(server, upstream) for cell in chosen))
        before = [len(cell.records(upstream)) for cell in cells]
        await asyncio.to_thread(self._begin)
        outcomes = await asyncio.gather(*(cell.ask(server, upstream) for cell in cells))
        seen = {
            (self._row.name, cell.moment, cell.state): f"{got}: {cell.trace(cell.records(upstream)[old:])}".rstrip()
            for cell, got, old in zip(cells, outcomes, before, strict=True)
        }
        await asyncio.to_thread(self._end)
        async with asyncio.timeout(RECOVERS_WITHIN):
            await asyncio.gather(*(cell.recover(server) for cell in cells))
        return seen

    def _begin(self) -> None:
        row, upstream = self._row, self._upstream
        if row.reconnect:
            # The fault meets those who connect.
            upstream.down()
        if row.expired:
            upstream.expire_addresses()
        if row.during:
            upstream.configure(**row.during)
        if row.tls:
            upstream.configure(tls=dataclasses.replace(self._tls, delay=row.handshake))
        if row.match.kind is Kind.TOKEN:
            upstream.always(row.match, *row.faults)
        elif row.faults:
            for cell in self.cells:
                for repository in cell.repositories:
                    upstream.always(dataclasses.replace(row.match, repository=repository), *row.faults)
        if row.reconnect and not row.down:
            upstream.up()

    def _end(self) -> None:
        row, upstream = self._row, self._upstream
        upstream.remove_fault()
        if row.during:
            upstream.configure(**{name: row.before.get(name) for name in row.during})
        if row.tls:
            upstream.configure(tls=self._tls)
        upstream.up()
