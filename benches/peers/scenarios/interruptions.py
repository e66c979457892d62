"""A cold pull that does not go to its end at once: a range of it, a client that leaves, a broken upstream, a kill."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from benches.peers.fetch import get, get_until_whole
from benches.peers.metrics import SECONDS, TRIES, UPSTREAM
from benches.peers.scenario import Figures, Measure, Scenario
from benches.peers.system import Cannot
from tests.support.images import Image, image
from tests.support.upstream import Cut, Match

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.peers.stand import Stand
    from benches.peers.system import System

LATENCY = 0.02
LIMIT = 50e6
BLOB = 64 << 20
RANGE = 50 << 10


def _scenario(
    measure: Callable[[Stand, System, Image, str], Figures],
) -> Callable[[Stand], contextlib.AbstractContextManager[Measure]]:
    """Opens `measure(stand, system, image, path of its layer)` on a fresh mirror each time; the manifest was pulled."""

    @contextlib.contextmanager
    def opened(stand: Stand) -> Iterator[Measure]:
        made = image([stand.effort.size(BLOB)], seed=measure.__name__)
        stand.upstream.add("team/app", made, "v1")
        stand.upstream.configure(latency=LATENCY, rate=LIMIT)

        def once() -> Figures:
            with stand.mirror() as system:
                get(system.port, "/v2/team/app/manifests/v1")
                return measure(stand, system, made, f"/v2/team/app/blobs/{made.layers[0].digest}")

        yield once

    return opened


def _first_range(_stand: Stand, system: System, made: Image, path: str) -> Figures:
    got = get(system.port, path, wanted=(made.layers[0].size // 2, RANGE))
    if not got.status:
        raise Cannot(got.failure)
    if not got.whole:
        raise RuntimeError(got.failure)
    return {SECONDS: got.seconds}


def _abort(stand: Stand, system: System, made: Image, path: str) -> Figures:
    layer = made.layers[0]
    left = get(system.port, path, leave_after=layer.size // 2)
    if not left.whole:
        raise Cannot(left.failure)
    # The mirror has noticed that the client left, and some mirrors have thrown away what they had.
    threading.Event().wait(0.5)
    _, seconds = get_until_whole(system.port, path)
    return {UPSTREAM: stand.upstream_ratio(made), SECONDS: seconds}


def _cut(stand: Stand, system: System, made: Image, path: str) -> Figures:
    layer = made.layers[0]
    stand.upstream.once(Match("GET", reference=layer.digest), Cut(layer.size // 2))
    tries, seconds = get_until_whole(system.port, path)
    return {TRIES: tries, UPSTREAM: stand.upstream_ratio(made), SECONDS: seconds}


def _kill(stand: Stand, system: System, made: Image, path: str) -> Figures:
    layer = made.layers[0]
    pulling = threading.Thread(target=get, args=(system.port, path))
    pulling.start()
    stand.upstream.wait_sent(layer.digest, layer.size * 3 // 4)
    system.kill()
    pulling.join()
    system.start()
    get(system.port, "/v2/team/app/manifests/v1")
    _, seconds = get_until_whole(system.port, path)
    return {UPSTREAM: stand.upstream_ratio(made), SECONDS: seconds}


SCENARIOS = (
    Scenario(
        "first-range",
        "First-ever range: 50 KiB from the middle of a cold layer of 64 MiB, upstream at 50 MB/s and 20 ms",
        _scenario(_first_range),
        (SECONDS,),
        says="Seconds until the client has the range; who answers 200 is read up to it.",
    ),
    Scenario(
        "client-abort",
        "The only client leaves at half of 64 MiB, another one comes half a second later",
        _scenario(_abort),
        (UPSTREAM, SECONDS),
        says="Seconds: the second client's.",
    ),
    Scenario(
        "upstream-cut",
        "Upstream's connection breaks at half of 64 MiB",
        _scenario(_cut),
        (TRIES, UPSTREAM, SECONDS),
        says="Requests: how often the client had to ask.",
    ),
    Scenario(
        "kill",
        "`kill -9` of every process at three quarters of 64 MiB, and a restart",
        _scenario(_kill),
        (UPSTREAM, SECONDS),
        says="Seconds: the pull after the restart.",
    ),
)
