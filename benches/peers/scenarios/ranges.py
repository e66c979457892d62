"""Ranges of a layer that is there, as lazy pulling asks for them: in repositories of one and of many tags, several at
once."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import httpx

from benches import wrk
from benches.peers.metrics import CPU_PER_REQUEST, P50, P99, PER_S
from benches.peers.scenario import Figures, Measure, Scenario
from benches.peers.system import Cannot
from benches.usage import measured
from tests.support.images import image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.peers.stand import Stand
    from benches.peers.system import System

BLOB = 64 << 20
CONNECTIONS = 16
PARTS = 64
PART = 4 << 10


@contextlib.contextmanager
def _open(stand: Stand, *, length: int, many: bool) -> Iterator[Measure]:
    made = image([stand.effort.size(BLOB)], seed="ranges")
    path = f"/v2/team/app/blobs/{made.layers[0].digest}"
    script = wrk.random_ranges(path, made.layers[0].size, min(length, made.layers[0].size))
    with stand.mirror() as system:
        for number in range(stand.effort.tags if many else 0):
            stand.fill(system, "team/app", image([1024], seed=f"small {number}"), f"before-{number}", blobs=False)
        stand.fill(system, "team/app", made, "v1")
        yield lambda: _loaded(stand, system, path, script)


@contextlib.contextmanager
def _open_multipart(stand: Stand) -> Iterator[Measure]:
    made = image([stand.effort.size(BLOB)], seed="parts")
    path = f"/v2/team/app/blobs/{made.layers[0].digest}"
    # Two parts never touch: nobody may send them as one.
    stride = made.layers[0].size // PARTS
    ranges = ",".join(f"{start}-{start + PART - 1}" for start in range(0, stride * PARTS, stride))
    script = f'wrk.headers["Range"] = "bytes={ranges}"'
    with stand.mirror() as system:
        stand.fill(system, "team/app", made, "v1")
        said = httpx.get(f"http://127.0.0.1:{system.port}{path}", headers={"Range": f"bytes={ranges}"})
        parts = said.content.count(b"Content-Range: bytes ")

        def once() -> Figures:
            if said.status_code != 206 or parts != PARTS:
                raise Cannot(f"{said.status_code} with {parts} parts")
            return _loaded(stand, system, path, script)

        yield once


def _loaded(stand: Stand, system: System, path: str, script: str) -> Figures:
    url = f"http://127.0.0.1:{system.port}{path}"
    with measured(system) as usage:
        load = wrk.run(url, connections=CONNECTIONS, seconds=stand.effort.seconds, script=script)
    return {
        PER_S: load.rate,
        P50: load.p50 * 1e3,
        P99: load.p99 * 1e3,
        CPU_PER_REQUEST: usage.cpu / load.requests * 1e6,
    }


def _scenario(length: int, name: str, *, many: bool) -> Scenario:
    tags = "500 tags" if many else "1 tag"
    return Scenario(
        f"ranges-{name.lower().replace(' ', '')}-{'500-tags' if many else '1-tag'}",
        f"Warm ranges of {name}, a repository of {tags}, 16 connections",
        partial(_open, length=length, many=many),
        (PER_S, P50, P99, CPU_PER_REQUEST),
        needs=None,
    )


SCENARIOS = (
    *(
        _scenario(length, name, many=many)
        for length, name in ((50 << 10, "50 KiB"), (1 << 20, "1 MiB"))
        for many in (False, True)
    ),
    Scenario(
        "multi-range",
        "Warm multi-range of 64 parts of 4 KiB, 16 connections",
        _open_multipart,
        (PER_S, P50, P99, CPU_PER_REQUEST),
        needs=None,
    ),
)
