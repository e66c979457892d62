"""A registry that misbehaves as told: every request recorded, every byte counted, every fault a value.

>>> with LocalUpstream(latency=0.02, rate=50e6) as upstream:
...     upstream.add("library/app", made, "v1")
...     upstream.once(Match("GET", reference=layer.digest), Cut(after=1 << 20))
...     ...
...     assert upstream.gets(layer.digest) == 2 and upstream.overlap(layer.digest) == 0
"""

from tests.support.upstream.answers import Ending, Framing
from tests.support.upstream.api import Upstream
from tests.support.upstream.counters import Counters
from tests.support.upstream.faults import (
    NO_BLOB_HEAD,
    Action,
    Clip,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Frame,
    Hang,
    Head,
    Headers,
    Hold,
    IgnoreRange,
    Length,
    Lines,
    Match,
    Misplace,
    Reply,
    Silence,
    Slow,
    Stall,
    Wait,
    too_many,
)
from tests.support.upstream.journal import Record
from tests.support.upstream.process import UpstreamProcess
from tests.support.upstream.requests import Kind, Place, Request
from tests.support.upstream.server import LocalUpstream
from tests.support.upstream.settings import Basic, Quota, Redirect, Settings, Tls, Tokens

__all__ = [
    "NO_BLOB_HEAD",
    "Action",
    "Basic",
    "Clip",
    "Corrupt",
    "Counters",
    "Cut",
    "Delay",
    "Ending",
    "Fault",
    "Frame",
    "Framing",
    "Hang",
    "Head",
    "Headers",
    "Hold",
    "IgnoreRange",
    "Kind",
    "Length",
    "Lines",
    "LocalUpstream",
    "Match",
    "Misplace",
    "Place",
    "Quota",
    "Record",
    "Redirect",
    "Reply",
    "Request",
    "Settings",
    "Silence",
    "Slow",
    "Stall",
    "Tls",
    "Tokens",
    "Upstream",
    "UpstreamProcess",
    "Wait",
    "too_many",
]
