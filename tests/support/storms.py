"""Pulls as clients do them, one or many at once, every byte compared."""

import asyncio
import resource
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.support.blobs import Blob
from tests.support.clients import Connection, Reply
from tests.support.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Image

ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))


@dataclass
class Pull:
    """One client's pull of one image."""

    begun: float
    ended: float = 0
    manifests: list[Reply] = field(default_factory=list)
    """By tag (or what was asked), then each by digest."""
    blobs: dict[str, Reply] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        return all(reply.right for reply in (*self.manifests, *self.blobs.values()))

    def wrong(self) -> list[str]:
        """What was not right, for a test's message."""
        every = [("manifest", reply) for reply in self.manifests] + list(self.blobs.items())
        return [
            f"{name}: {r.status}, {r.received} bytes, complete={r.complete}, same={r.same}, {r.body[:200]!r}"
            for name, r in every
            if not r.right
        ]

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


async def pull(
    url: str,
    repository: str,
    image: Image,
    reference: str | None = None,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    head_first: bool = True,
) -> Pull:
    """Pulls `image` as containerd does: HEAD by reference, GET by digest, then config and layers all at once.

    `reference`: tag, else the image's digest. `head_first=False`: GET by reference, as docker and crane do.
    `query`: for every request, as `ns=ghcr.io`.
    """
    result = Pull(time.monotonic())
    suffix = f"?{query}" if query else ""
    accepting = {**(headers or {}), "Accept": ACCEPT}
    base = f"/v2/{repository}"

    async with await Connection.open(url) as connection:
        first = f"{base}/manifests/{reference or image.digest}{suffix}"
        if head_first:
            head = await connection.request(first, method="HEAD", headers=accepting)
            result.manifests.append(_checked(head, image, head=True))
            if not head.right:
                return _ended(result)
            first = f"{base}/manifests/{image.digest}{suffix}"
        for part in reversed(list(image.walk())):
            target = first if part is image else f"{base}/manifests/{part.digest}{suffix}"
            reply = _checked(await connection.request(target, headers=accepting), part)
            result.manifests.append(reply)
            if not reply.right:
                return _ended(result)

    async def one(blob: Blob) -> None:
        async with await Connection.open(url) as connection:
            target = f"{base}/blobs/{blob.digest}{suffix}"
            result.blobs[blob.digest] = await connection.request(target, headers=headers, expect=blob)

    every = {b.digest: b for part in image.walk() for b in part.blobs}
    await asyncio.gather(*(one(b) for b in every.values()))
    return _ended(result)


async def storm(
    url: str,
    names: Sequence[tuple[str, str | None]],
    image: Image,
    clients: int = 50,
    *,
    query: str = "",
    head_first: bool = True,
) -> list[Pull]:
    """So many clients pull at once; `names` are (repository, tag or None) dealt round."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    dealt = [names[n % len(names)] for n in range(clients)]
    return list(
        await asyncio.gather(*(pull(url, r, image, tag, query=query, head_first=head_first) for r, tag in dealt))
    )


def run_storm(
    url: str, names: Sequence[tuple[str, str | None]], image: Image, clients: int = 50, *, query: str = ""
) -> list[Pull]:
    """`storm` for tests without a loop."""
    return asyncio.run(storm(url, names, image, clients, query=query))


def first_byte_delays(pulls: Sequence[Pull], upstream_first_byte: Mapping[str, float]) -> list[float]:
    """Seconds from max(request sent, upstream's first byte) to the client's first body byte, per client and blob."""
    return [
        reply.first_byte - max(reply.asked, upstream_first_byte[digest])
        for one in pulls
        for digest, reply in one.blobs.items()
        if reply.first_byte is not None and digest in upstream_first_byte
    ]


def median_first_byte_delay(pulls: Sequence[Pull], upstream_first_byte: Mapping[str, float]) -> float:
    return statistics.median(first_byte_delays(pulls, upstream_first_byte))


def _checked(reply: Reply, image: Image, *, head: bool = False) -> Reply:
    if reply.status == 200:
        named = reply.headers.get("docker-content-digest") == image.digest
        typed = reply.headers.get("content-type") == image.media_type
        sized = reply.headers.get("content-length") == str(len(image.manifest))
        reply.same = named and typed and sized and reply.body == (b"" if head else image.manifest)
    return reply


def _ended(result: Pull) -> Pull:
    result.ended = time.monotonic()
    return result
