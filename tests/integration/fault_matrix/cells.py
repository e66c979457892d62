"""A cell of the matrix: what is in the store before the fault, who asks for what once it is there, and what came."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING

from tests.support.clients import Pace, Reply, fetch
from tests.support.images import Image, image
from tests.support.upstream import Corrupt, Cut, Hold, Kind, Match
from tests.support.upstream import Reply as Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.blobs import Blob
    from tests.support.upstream import Record, Upstream

HALF = 128 << 10
SIZE = 2 * HALF
SPAN = (HALF + 1000, HALF + 2000)
"""What the cells of ranges ask for: bytes of the half that is missing where half is there."""
HANGS_AFTER = 60.0
"""Seconds after which a client has been left hanging."""
TOLD = 1.1
"""Seconds in which a fill's failure answers for its digest (I6), and a little more: only then a fill begins anew."""


class Moment(Enum):
    """What is asked for, and when."""

    TAG = "a manifest by tag, past its freshness"
    DIGEST = "a manifest by digest"
    BLOB = "a blob from 0"
    RANGE = "a range of a blob's second half"
    DURING = "while a fill stands at half; its connection breaks once the fault is there"
    BETWEEN = "after a fill for one repository, for another repository of the upstream"


class State(Enum):
    """How much is in the store as the fault begins."""

    CACHED = "cached"
    PARTLY = "partly"
    NONE = "none"


@dataclass
class Cell:
    """One moment and state, with a repository and an upstream entry of its own: what is known of the host elsewhere
    (breaker, tokens) says nothing here."""

    row: str
    moment: Moment
    state: State

    def __post_init__(self) -> None:
        self.name = f"{self.moment.name}-{self.state.name}".lower()
        self.host = f"{self.row.replace(' ', '-').lower()}.{self.name}.test"
        self.image: Image = image([SIZE] * (3 if self.moment is Moment.DURING else 1), seed=self.host)
        self.filled, *others = self.image.layers
        self.cached, self.other = others or (self.filled, self.filled)
        self.repositories = (f"{self.name}/one", f"{self.name}/two")
        self._first: asyncio.Task[str] | None = None

    def publish(self, upstream: Upstream) -> None:
        """Puts the image upstream, in both repositories."""
        for repository in self.repositories:
            upstream.add(repository, self.image, "v1", "v2")

    # Before the fault

    async def prepare(self, server: str, upstream: Upstream) -> None:
        """Brings into the store what the cell has there."""
        first = self.repositories[0]
        match self.moment, self.state:
            case (Moment.TAG | Moment.DIGEST, State.CACHED):
                await _right(lambda: self._manifest(server, "v1"))
            case (Moment.TAG, State.PARTLY):
                # Its bytes are known, the tag is not.
                await _right(lambda: self._manifest(server, "v2"))
            case (Moment.DIGEST, State.PARTLY):
                # Its bytes are known, though not that this repository has them.
                await _right(lambda: self._manifest(server, "v1", second=True))
            case (Moment.BLOB | Moment.RANGE | Moment.BETWEEN, State.CACHED):
                await _right(lambda: self._blob(server, self.filled))
            case (Moment.BLOB | Moment.RANGE | Moment.BETWEEN, State.PARTLY):
                upstream.once(Match("GET", Kind.BLOB, first), Cut(HALF))
                upstream.once(Match("GET", Kind.BLOB, first, ranged=True), Answer(404, "BLOB_UNKNOWN"))
                assert await self._blob(server, self.filled) in {"200 cut", "404 NOT_FOUND"}
                await asyncio.sleep(TOLD)
            case (Moment.BETWEEN, State.NONE):
                upstream.once(Match("GET", Kind.BLOB, first), Corrupt(SIZE - 1))
                assert await self._blob(server, self.filled) in {"200 cut", "502 DIGEST_MISMATCH"}
                await asyncio.sleep(TOLD)
            case (Moment.DURING, _):
                await _right(lambda: self._manifest(server, "v1"))
                await _right(lambda: self._blob(server, self.cached))
                upstream.once(Match("GET", Kind.BLOB, first, self.filled.digest), Hold(HALF, self.name), Cut(HALF))
                self._first = asyncio.create_task(self._blob(server, self.filled))
                await asyncio.to_thread(upstream.wait_held, self.name)

    # With the fault

    async def ask(self, server: str, upstream: Upstream) -> str:
        """What the cell's clients got."""
        try:
            async with asyncio.timeout(HANGS_AFTER):
                return await self._ask(server, upstream)
        except TimeoutError:
            return "HANGS"

    async def _ask(self, server: str, upstream: Upstream) -> str:
        match self.moment:
            case Moment.TAG:
                return await self._manifest(server, "v1")
            case Moment.DIGEST:
                return await self._manifest(server, self.image.digest)
            case Moment.BLOB:
                return await self._blob(server, self.filled)
            case Moment.RANGE:
                return await self._blob(server, self.filled, SPAN)
            case Moment.BETWEEN:
                return await self._blob(server, self.filled, second=True)
            case Moment.DURING:
                return await self._ask_during(server, upstream)

    async def _ask_during(self, server: str, upstream: Upstream) -> str:
        assert self._first is not None
        if self.state is State.PARTLY:
            pace = Pace(stall_after=1000)
            joined = asyncio.create_task(self._blob(server, self.filled, pace=pace))
            stalled = asyncio.create_task(pace.stalled.wait())
            await asyncio.wait((joined, stalled), return_when=asyncio.FIRST_COMPLETED)
            stalled.cancel()
            upstream.release(self.name)
            pace.resume.set()
            second = await joined
        else:
            second = await self._blob(server, self.cached if self.state is State.CACHED else self.other)
            upstream.release(self.name)
        return f"{second}, fill {await self._first}"

    # Afterwards

    async def recover(self, server: str) -> None:
        """Returns once everything can be had again."""
        await _right(lambda: self._manifest(server, "v1"))
        await _right(lambda: self._manifest(server, self.image.digest))
        await _right(lambda: self._blob(server, self.filled))
        await _right(lambda: self._blob(server, self.filled, second=True))

    # Requests

    def records(self, upstream: Upstream) -> list[Record]:
        """What upstream was asked for this cell."""
        return [record for record in upstream.records() if record.request.repository in self.repositories]

    def trace(self, records: list[Record]) -> str:
        """Requests in order: method, then `t` a tag, `d` a manifest by digest, `b` a blob, `r` the rest of one (Range),
        `p` its first byte alone; `@` where a redirect led. `Gb*3`: three in a row. Two things go on at once: what
        is asked of the blob that is being filled comes last, its bodies after the question whether it is there."""
        ordered = sorted(records, key=lambda one: (one.request.reference == self.filled.digest, _asks(one), one.number))
        runs = ((letters, len(list(run))) for letters, run in groupby(map(_letters, ordered)))
        return " ".join(letters if count == 1 else f"{letters}*{count}" for letters, count in runs)

    async def _manifest(self, server: str, reference: str, *, second: bool = False) -> str:
        url = f"{server}/v2/{self.host}/{self.repositories[second]}/manifests/{reference}"
        return outcome(await fetch(url), self.image.manifest)

    async def _blob(
        self,
        server: str,
        blob: Blob,
        span: tuple[int, int] | None = None,
        *,
        second: bool = False,
        pace: Pace | None = None,
    ) -> str:
        url = f"{server}/v2/{self.host}/{self.repositories[second]}/blobs/{blob.digest}"
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span is not None else {}
        reply = await fetch(url, headers=headers, pace=pace)
        begin, end = span if span is not None and reply.status == 206 else (0, blob.size)
        return outcome(reply, bytes(blob.data[begin:end]))


async def _right(ask: Callable[[], Awaitable[str]]) -> None:
    """Asks until all is well: failures are told for a second, limits until their Retry-After, and a machine that is
    busy as the cells begin may take longer than the row has patience."""
    while (got := await ask()) != "200":
        assert got != "WRONG"
        await asyncio.sleep(0.1)


def outcome(reply: Reply, wanted: bytes) -> str:
    """`200` or `206`: every byte right; with `stale`: and a Warning. `cut`: ended short, and so that the client knows;
    `cut wrong`: with bytes that are not the content's. Else status and cause."""
    if reply.status in {200, 206}:
        if not reply.complete:
            return f"{reply.status} cut{'' if wanted.startswith(reply.body) else ' wrong'}"
        if reply.body != wanted:
            return "WRONG"
        return f"{reply.status}{' stale' if 'stale' in reply.headers.get('warning', '') else ''}"
    error = json.loads(reply.body)["errors"][0]
    return f"{reply.status} {(error.get('detail') or {}).get('cause', error['code'])}"


def _asks(record: Record) -> bool:
    """Whether it is for a blob's body."""
    return record.request.kind is Kind.BLOB and _letters(record)[:2] in {"Gb", "Gr"}


def _letters(record: Record) -> str:
    request = record.request
    if request.kind is Kind.MANIFEST:
        what = "d" if ":" in request.reference else "t"
    else:
        ranged = request.header("range")
        what = "b" if ranged is None else "p" if ranged == "bytes=0-0" else "r"
    return f"{request.method[0]}{what}{'@' if request.target.startswith('/cdn/') else ''}"
