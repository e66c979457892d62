"""The matrix: a row for each fault of the scripted upstream, and what is expected of each of its cells.

A row's text has a line for each `Moment` and in it, between bars, a cell for each `State`: cached | partly | none.
A cell is `what clients get: what upstream is asked`, in the words of `outcome` and the letters of `Cell.trace`.
`fails 502 X` is that error, or a body that ends short (`cut`): whether its head had gone by then is chance. `Hb?` may
come or not, `Gr*1..3` comes one to three times, `GrGr@*2` is `Gr Gr@ Gr Gr@`. A cell that names no requests leaves them
open.

Three rules save columns. What is cached is never asked about but for its tag (`digest`, `blob` and `range` of CACHED).
A cold range is its bytes or an error, whatever it costs. While a fill is under way its own client is told of too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.upstream import (
    NO_BLOB_HEAD,
    Clip,
    Corrupt,
    Cut,
    Delay,
    Ending,
    Frame,
    Framing,
    Hang,
    Head,
    Headers,
    IgnoreRange,
    Kind,
    Length,
    Lines,
    Match,
    Misplace,
    Place,
    Redirect,
    Reply,
    Silence,
    Slow,
    Stall,
    Tokens,
    too_many,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.upstream import Action

Cells = dict[str, str]
"""A moment's name in lower case to its three cells."""

FINE: Cells = {
    "tag": "200: Ht | 200: Ht | 200: Ht Gd",
    "digest": "200: | 200: Hd | 200: Gd",
    "blob": "200: | 200: Gr | 200: Hb? Gb",
    "range": "206: | 206: Gr | 206: Gr",
    "during": "200, fill 200: Gr | 200, fill 200: Gr | 200, fill 200: Gb Gr",
    "between": "200: Hb | 200: Hb Gr | 200: Hb? Gb",
}
"""As if nothing were wrong: what is missing is fetched, once, and a fill that broke goes on where it stood."""


PROBED = FINE | {
    "blob": "200: | 200: Gr | 200: Hb? Gp? Gb",
    "between": "200: Hb Gp | 200: Hb Gp Gr | 200: Hb? Gp? Gb",
}
"""The same where HEAD does not tell a blob's size."""


def refused(
    error: str, *, asked: str = "", probed: str = "", runs: str = "", rest: str = "", stale: bool = True
) -> Cells:
    """Upstream gives nothing but `error`. Suffixes of requests: of a question, of a blob's, of a fill's runs, and of
    the runs of a fill that stood at half."""
    fails = f"fails {error}"
    known = f"200 stale: Ht{asked}" if stale else f"{error}: Ht{asked}"
    return {
        "tag": f"{known} | {error}: Ht{asked} | {error}: Ht{asked}",
        "digest": f"200: | {error}: Hd{asked} | {error}: Gd{asked}",
        "blob": f"200: | {fails}: Gr{runs} | {error}: Gb{runs}",
        "range": f"206: | {fails}: Gr{runs} | {fails}: Gr{runs}",
        "during": f"200, fill {fails}: Gr{rest} | {fails}, fill {fails}: Gr{rest} | "
        f"{error}, fill {fails}: Gb{runs} Gr{rest}",
        "between": f"{error}: Hb{asked}{probed} | {error}: Hb{asked}{probed} Gr*0..11 | {error}: Gb{runs}",
    }


def unasked(cells: Cells) -> Cells:
    """The same where no request arrives."""
    return {
        moment: " | ".join(cell.partition(":")[0] + ":" for cell in row.split(" | ")) for moment, row in cells.items()
    }


def broken(error: str, *, runs: str, rest: str, whole: str | None = None) -> Cells:
    """Bodies bring nothing but `error` (a `whole` one that); questions are answered."""
    whole = whole or f"{error}: Gd"
    fails = f"fails {error}"
    return FINE | {
        "tag": f"200: Ht | 200: Ht | {whole.replace(': ', ': Ht ')}",
        "digest": f"200: | 200: Hd | {whole}",
        "blob": f"200: | {fails}: Gr{runs} | {fails}: Hb? Gb{runs}",
        "range": f"206: | {fails}: Gr{runs} | {fails}: Gr{runs}",
        "during": f"200, fill {fails}: Gr{rest} | {fails}, fill {fails}: Gr{rest} | "
        f"{fails}, fill {fails}: Gb{runs} Gr{rest}",
        "between": f"200: Hb | {fails}: Hb Gr{runs} | {fails}: Hb? Gb{runs}",
    }


def rest_broken(error: str, *, runs: str = "", rest: str = "") -> Cells:
    """Only ranges bring `error`: what had begun cannot go on, what had not is fetched whole."""
    fails = f"fails {error}"
    return FINE | {
        "blob": f"200: | {fails}: Gr{runs} | 200: Hb? Gb",
        "range": f"206: | 206 or {fails}: Gr{runs} | 206 or {fails}: Gr{runs}",
        "during": f"200, fill {fails}: Gr{rest} | {fails}, fill {fails}: Gr{rest} | 200, fill {fails}: Gb Gr{rest}",
        "between": f"200: Hb | {fails}: Hb Gr{runs} | 200: Hb? Gb",
    }


@dataclass(frozen=True)
class Row:
    """A fault and what comes of it."""

    name: str
    expected: Cells
    faults: tuple[Action, ...] = ()
    match: Match = field(default_factory=Match)
    before: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the upstream from the beginning."""
    during: Mapping[str, Any] = field(default_factory=dict)
    """Settings that change as the fault begins."""
    reconnect: bool = False
    """Connections break as it begins."""
    down: bool = False
    expired: bool = False
    """Addresses that redirects gave before are good no more."""
    tls: bool = False
    handshake: float | None = 0
    """Seconds before TLS begins; None: it never does."""
    patience: str = "20s"
    """For a connection, and for the next piece of an answer."""
    answer_within: str = "20s"


ELSEWHERE = Redirect(place=Place.OTHER_HOST)
REDIRECTED = FINE | {
    "blob": "200: | 200: Gr Gr@ | 200: Hb? Hb@? Gb Gb@",
    "range": "206: | 206: Gr Gr@ | 206: Gr Gr@",
    "during": "200, fill 200: Gr@ Gr Gr@ | 200, fill 200: Gr@ Gr Gr@ | 200, fill 200: Gb Gb@ Gr@ Gr Gr@",
    "between": "200: Hb Hb@ | 200: Hb Hb@ Gr Gr@ | 200: Hb? Hb@? Gb Gb@",
}
BRIEF = "900ms"
QUOTA = (("ratelimit-limit", "10;w=60"), ("ratelimit-remaining", "0;w=60"), ("Retry-After", "1"))
ANOTHER = Reply(200, body=b'{"schemaVersion":2}')
STRANGE = b"no colon\r\n: nameless\r\nX: \x01\xff\r\nX: one\n two\r\n"
HALF = 128 << 10
LAST = 2 * HALF - 1
DENIED = refused("404 DENIED", probed=" Gp")
LIMITED = refused("429 RATE_LIMITED") | {
    # Whichever of the two is answered first holds the other back.
    "between": "429 RATE_LIMITED: Hb | 429 RATE_LIMITED: Hb? Gr? | 429 RATE_LIMITED: Gb"
}

ROWS: dict[str, list[Row]] = {
    "answers": [
        Row("none", FINE),
        Row("late", FINE, (Delay(0.2),)),
        Row("500", refused("502 UPSTREAM", runs="*3", rest="*8"), (Reply(500),)),
        Row("503", refused("502 UPSTREAM", runs="*3", rest="*8"), (Reply(503, headers=(("Retry-After", "1"),)),)),
        Row("404", refused("404 NOT_FOUND", probed=" Gp", stale=False), (Reply(404),)),
        Row("401", DENIED, (Reply(401),)),
        Row("403", DENIED, (Reply(403),)),
        Row("429", LIMITED, (too_many(1),)),
        Row("429 of the quota", LIMITED, (Reply(429, headers=QUOTA),)),
        Row("204", refused("502 UPSTREAM", probed=" Gp", runs="*3", rest="*4"), (Reply(204, body=b""),)),
        Row(
            "another body",
            {
                "tag": "200 stale: Ht Gt | 502 PROTOCOL: Ht Gt | 502 PROTOCOL: Ht Gt",
                "digest": "200: | 200: Hd | 502 PROTOCOL: Gd",
                "blob": "200: | fails 502 SIZE_MISMATCH: Gr*3 | fails 502 DIGEST_MISMATCH: Hb? Gb",
                "range": "206: | fails 502 SIZE_MISMATCH: Gr*3 | "
                "416 RANGE_INVALID or fails 502 DIGEST_MISMATCH or fails 502 SIZE_MISMATCH: Gr*1..3",
                "during": "200, fill fails 502 SIZE_MISMATCH: Gr*4 | "
                "fails 502 SIZE_MISMATCH, fill fails 502 SIZE_MISMATCH: Gr*4 | "
                "fails 502 DIGEST_MISMATCH, fill fails 502 SIZE_MISMATCH: Gb Gr*4",
                "between": "200: Hb | fails 502 SIZE_MISMATCH: Hb Gr*3 | fails 502 DIGEST_MISMATCH: Hb? Gb",
            },
            (ANOTHER,),
        ),
        Row("no HEAD of blobs", PROBED, (Reply(405),), NO_BLOB_HEAD),
    ],
    "connections": [
        Row("refused", unasked(refused("502 UNREACHABLE")), reconnect=True, down=True),
        Row(
            "silent", refused("504 TIMEOUT", runs="*3", rest="*4"), (Silence(),), patience=BRIEF, answer_within="100ms"
        ),
        # A connection that breaks before an answer may have been a kept one: each request is sent twice.
        Row("reset", refused("502 UNREACHABLE", asked="*2", runs="*6", rest="*16"), (Hang(),)),
        Row("closed", refused("502 UNREACHABLE", asked="*2", runs="*6", rest="*16"), (Hang(Ending.FIN),)),
        Row("no HTTP", refused("502 PROTOCOL", asked="*2", runs="*2", rest="*2"), (Head(b"SSH-2.0-x\r\n"),)),
        Row("TLS late", FINE, reconnect=True, tls=True, handshake=0.2),
        Row(
            "TLS never",
            unasked(refused("504 TIMEOUT")),
            reconnect=True,
            tls=True,
            handshake=None,
            patience=BRIEF,
            answer_within="100ms",
        ),
    ],
    "bodies": [
        Row(
            "cut",
            FINE
            | {
                "blob": "200: | 200: Gr*2 | 200: Hb? Gb Gr*2",
                "range": "206: | 206: Gr*1..2 | 206: Gr*1..2",
                "during": "200, fill 200: Gr*2 | 200, fill 200: Gr*2 | 200, fill 200: Gb Gr*4",
                "between": "200: Hb | 200: Hb Gr*2 | 200: Hb? Gb Gr*2",
            },
            (Cut(100_000),),
        ),
        Row(
            "ended early",
            FINE
            | {
                "blob": "200: | 200: Gr*2 | 200: Hb? Gb Gr*2",
                "range": "206: | 206: Gr*1..2 | 206: Gr*1..2",
                "during": "200, fill 200: Gr*2 | 200, fill 200: Gr*2 | 200, fill 200: Gb Gr*4",
                "between": "200: Hb | 200: Hb Gr*2 | 200: Hb? Gb Gr*2",
            },
            (Cut(100_000, Ending.FIN),),
        ),
        Row("cut at once", broken("502 UNREACHABLE", runs="*18", rest="*23", whole="502 UNREACHABLE: Gd"), (Cut(0),)),
        Row(
            "stalled",
            # A busy machine's upstream may seem to stall once more.
            FINE
            | {
                "blob": "200: | 200: Gr*2..4 | 200: Hb? Gb Gr*2..4",
                "range": "206: | 206: Gr*1..4 | 206: Gr*1..4",
                "during": "200, fill 200: Gr*2..4 | 200, fill 200: Gr*2..4 | 200, fill 200: Gb Gr*4..8",
                "between": "200: Hb | 200: Hb Gr*2..4 | 200: Hb? Gb Gr*2..4",
            },
            (Stall(100_000, "never"),),
            patience=BRIEF,
        ),
        Row("stalled at once", broken("504 TIMEOUT", runs="*6", rest="*7"), (Stall(0, "never"),), patience=BRIEF),
        Row("slow", FINE, (Slow(400_000),)),
        Row(
            "wrong bytes",
            broken("502 DIGEST_MISMATCH", runs="", rest="", whole="502 PROTOCOL: Gd")
            | {"range": "206: | 206 or fails 502 DIGEST_MISMATCH: Gr | 206 or fails 502 DIGEST_MISMATCH: Gr"},
            (Corrupt(10), Corrupt(HALF + 10)),
        ),
        Row(
            "a wrong last byte",
            broken("502 DIGEST_MISMATCH", runs="", rest="", whole="200: Gd")
            | {"range": "206: | 206 or fails 502 DIGEST_MISMATCH: Gr | 206 or fails 502 DIGEST_MISMATCH: Gr"},
            (Corrupt(LAST),),
        ),
        Row(
            "shorter than announced",
            FINE
            | {
                "tag": "200: Ht | 200: Ht | 502 UNREACHABLE: Ht Gd",
                "digest": "200: | 200: Hd | 502 UNREACHABLE: Gd",
                "blob": "200: | 200: Gr | fails 502 SIZE_MISMATCH: Hb? Gb Gr*2",
                "range": "206: | 206: Gr | 206 or fails 502 SIZE_MISMATCH: Gr*1..3",
                "during": "200, fill 200: Gr | 200, fill 200: Gr | fails 502 SIZE_MISMATCH, fill 200: Gb Gr*3",
                "between": "200: Hb | 200: Hb Gr | fails 502 SIZE_MISMATCH: Hb? Gb Gr*2",
            },
            (Length(7),),
        ),
        Row(
            "longer than announced",
            FINE
            | {
                "tag": "200: Ht | 200: Ht | 502 PROTOCOL: Ht Gd",
                "digest": "200: | 200: Hd | 502 PROTOCOL: Gd",
                "blob": "200: | fails 502 SIZE_MISMATCH: Gr*24 | fails 502 DIGEST_MISMATCH: Hb? Gb",
                "range": "206: | 206 or fails 502 SIZE_MISMATCH: Gr*2..24 | "
                "206 or fails 502 DIGEST_MISMATCH or fails 502 SIZE_MISMATCH: Gr*1..24",
                "during": "200, fill fails 502 SIZE_MISMATCH: Gr*24 | "
                "fails 502 SIZE_MISMATCH, fill fails 502 SIZE_MISMATCH: Gr*24 | "
                "fails 502 DIGEST_MISMATCH, fill fails 502 SIZE_MISMATCH: Gb Gr*24",
                "between": "200: Hb | fails 502 SIZE_MISMATCH: Hb Gr*24 | fails 502 DIGEST_MISMATCH: Hb? Gb",
            },
            (Length(-7),),
        ),
        # Without a size a range is answered by the whole; a fill that has ended by then has one.
        Row("chunked", PROBED | {"range": "206: | 206: Gr | 206 or 200: Gr"}, (Frame(),)),
        Row(
            "until the connection closes",
            PROBED | {"range": "206: | 206: Gr | 206 or 200: Gr"},
            (Frame(Framing.CLOSE),),
        ),
    ],
    "ranges": [
        Row("ignored", FINE | {"range": "206: | 206: Gr Gb? | 206: Gr Gb?"}, (IgnoreRange(),)),
        Row(
            "another place",
            rest_broken("502 PROTOCOL")
            | {
                "range": "206: | 206 or fails 502 PROTOCOL: Gr | "
                "206 or fails 502 PROTOCOL or fails 502 SIZE_MISMATCH: Gr*1..3"
            },
            (Misplace(by=10),),
        ),
        Row("another size", rest_broken("502 SIZE_MISMATCH", rest="*2"), (Misplace(grow=10),)),
        Row(
            "no sense",
            rest_broken("502 PROTOCOL"),
            (Headers({"Content-Range": "bytes 5-4/some"}),),
            Match(ranged=True),
        ),
        Row(
            "less than asked for",
            FINE
            | {
                "blob": "200: | 200: Gr*3 | 200: Hb? Gb",
                "range": "206: | 206: Gr*1..3 | 206: Gr*1..3",
                "during": "200, fill 200: Gr*3 | 200, fill 200: Gr*3 | 200, fill 200: Gb Gr*3",
                "between": "200: Hb | 200: Hb Gr*3 | 200: Hb? Gb",
            },
            (Clip(50_000),),
        ),
    ],
    "headers": [
        Row("malformed", FINE, (Lines(STRANGE),)),
        Row(
            "two lengths",
            broken("502 PROTOCOL", runs="*2", rest="*2", whole="502 PROTOCOL: Gd*2"),
            (Lines(b"Content-Length: 5\r\n"),),
        ),
        Row(
            "digest of another",
            # Of a manifest that is not there: no word against the tag.
            FINE | {"tag": "200 stale: Ht Gd | 502 PROTOCOL: Ht Gd | 502 PROTOCOL: Ht Gd"},
            (Headers({"Docker-Content-Digest": "sha256:" + "0" * 64}),),
        ),
        Row(
            "digest that is none",
            FINE | {"tag": "200: Ht Gt | 200: Ht Gt | 200: Ht Gt"},
            (Headers({"Docker-Content-Digest": "nonsense"}),),
        ),
        Row(
            "no digest",
            FINE | {"tag": "200: Ht Gt | 200: Ht Gt | 200: Ht Gt"},
            (Headers({"Docker-Content-Digest": None}),),
        ),
        Row("type of a page", FINE, (Headers({"Content-Type": "text/html"}),)),
        Row("an encoding that is none", FINE, (Headers({"Content-Encoding": "gzip"}),)),
    ],
    "doors": [
        Row(
            "redirects in a circle",
            refused("502 PROTOCOL", asked="*11", runs="*11", rest="*11"),
            (Reply(307, headers=(("Location", "?"),)),),
        ),
        Row(
            "redirect to nowhere",
            refused("502 PROTOCOL"),
            (Reply(307, headers=(("Location", "http://["),)),),
        ),
        Row(
            "addresses that serve once",
            REDIRECTED
            # What it had is good for once more: nobody has asked for an address since.
            | {"during": "200, fill 200: Gr@ | 200, fill 200: Gr@ | 200, fill 200: Gb Gb@ Gr@"},
            before={"redirect": ELSEWHERE},
            during={"redirect": Redirect(place=Place.OTHER_HOST, uses=1)},
        ),
        Row("addresses expired", REDIRECTED, before={"redirect": ELSEWHERE}, expired=True),
        Row(
            "addresses that never serve",
            FINE
            | {
                "blob": "200: | fails 502 UPSTREAM: GrGr@*18 | 502 UPSTREAM: GbGb@*18",
                "range": "206: | fails 502 UPSTREAM: GrGr@*18 | 502 UPSTREAM: GrGr@*18",
                "during": "200, fill fails 502 UPSTREAM: Gr@ GrGr@*1..24 | "
                "fails 502 UPSTREAM, fill fails 502 UPSTREAM: Gr@ GrGr@*1..24 | "
                "502 UPSTREAM, fill fails 502 UPSTREAM: GbGb@*18 Gr@ GrGr@*1..24",
                "between": "502 UPSTREAM: Hb Hb@ Gp Gp@ | 502 UPSTREAM: Hb Hb@ Gp Gp@ GrGr@*1..18 | "
                "502 UPSTREAM: GbGb@*18",
            },
            before={"redirect": ELSEWHERE},
            during={"redirect": Redirect(place=Place.OTHER_HOST, lifetime=0)},
            expired=True,
        ),
        Row(
            "challenge cut short",
            refused("404 DENIED"),
            during={"auth": Tokens(challenge='Bearer realm="{realm},service')},
        ),
        Row(
            "several challenges",
            # The first request of each cell learns what is wanted.
            {
                "tag": "200: Ht*2 | 200: Ht*2 | 200: Ht*2 Gd",
                "digest": "200: | 200: Hd*2 | 200: Gd*2",
                "blob": "200: | 200: Gr*2 | 200: Hb? Gb*2",
                "range": "206: | 206: Gr*2 | 206: Gr*2",
                "during": "200, fill 200: Gr*2 | 200, fill 200: Gr*2 | 200, fill 200: Gb*2 Gr*2",
                "between": "200: Hb*2 | 200: Hb*1..2 Gr*1..2 | 200: Hb? Gb*2",
            },
            during={"auth": Tokens(challenge=("Negotiate", 'Basic realm="x"', 'Bearer realm="{realm}"'))},
        ),
        Row("challenge of an unknown scheme", DENIED, during={"auth": Tokens(challenge='Hawk ts="1"')}),
        Row("challenge without a realm", DENIED, during={"auth": Tokens(challenge='Bearer service="x"')}),
        Row(
            "no tokens",
            refused("502 UPSTREAM"),
            (Reply(500),),
            Match(kind=Kind.TOKEN),
            during={"auth": Tokens()},
        ),
    ],
}
