"""Questions to ask of what an upstream recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.support.upstream.journal import Record
from tests.support.upstream.requests import Kind

_POINTERS = (301, 302, 303, 307, 308, 401)
"""Statuses that only say where or how to ask."""


@dataclass(frozen=True)
class Counters:
    """A snapshot of every request so far. A reference is a tag or a digest; a digest also finds what went by a tag."""

    records: Sequence[Record]

    def select(
        self, reference: str | None = None, *, method: str | None = None, kind: Kind | None = None
    ) -> list[Record]:
        return [
            r
            for r in self.records
            if (reference is None or reference in (r.request.reference, r.digest))
            and method in (None, r.request.method)
            and kind in (None, r.request.kind)
        ]

    def gets(self, reference: str | None = None, kind: Kind | None = None) -> int:
        """GETs, but for those answered by a challenge or a redirect."""
        return sum(r.status not in _POINTERS for r in self.select(reference, method="GET", kind=kind))

    def heads(self, reference: str | None = None, kind: Kind | None = None) -> int:
        """HEADs, but for those answered by a challenge or a redirect."""
        return sum(r.status not in _POINTERS for r in self.select(reference, method="HEAD", kind=kind))

    def tokens(self) -> int:
        return len(self.select(kind=Kind.TOKEN))

    def body_bytes(self, reference: str | None = None) -> int:
        """Body bytes handed to the kernel: of one blob or manifest, or of everything."""
        return sum(r.sent for r in self.select(reference))

    def ranges(self, digest: str) -> list[tuple[int, int]]:
        """(offset, bytes sent) of every body of the content, in the order asked."""
        return [(r.begin, r.sent) for r in self.records if r.digest == digest and r.request.method == "GET"]

    def overlap(self, digest: str) -> int:
        """Bytes of the content that were sent more than once, each counted as often as it was too many."""
        ranges = self.ranges(digest)
        return sum(count for _, count in ranges) - sum(end - begin for begin, end in _union(ranges))

    def covered(self, digest: str) -> list[tuple[int, int]]:
        """(begin, end) of what was sent at least once, in order, merged."""
        return list(_union(self.ranges(digest)))

    def first_bytes(self) -> dict[str, float]:
        """When the first body byte of each blob and manifest was sent."""
        times: dict[str, float] = {}
        for record in self.records:
            if record.digest is not None and record.first_byte is not None:
                times.setdefault(record.digest, record.first_byte)
        return times

    def connections(self) -> int:
        return len({r.request.connection for r in self.records})

    def unknown(self) -> list[str]:
        """Requests no registry would understand: a test of ours that has any is wrong."""
        return [f"{r.request.method} {r.request.target}" for r in self.select(kind=Kind.UNKNOWN)]


def _union(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    current: tuple[int, int] | None = None
    for begin, count in sorted(r for r in ranges if r[1]):
        if current is None or begin > current[1]:
            if current is not None:
                yield current
            current = (begin, begin + count)
        else:
            current = (current[0], max(current[1], begin + count))
    if current is not None:
        yield current
