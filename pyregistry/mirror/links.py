"""Link headers of paged lists (RFC 8288; distribution spec, section Content Discovery)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_TARGET = re.compile(r"<([^<>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


def next_page(headers: Iterable[str], url: str) -> str | None:
    """The URL of the page after the one that came from `url`; None at the end.

    Always of `url`'s own origin, whatever host the link names: registries behind proxies name hosts and schemes that
    are not theirs, and our authorization must not follow a link elsewhere (I11).
    """
    for header in headers:
        for target, parameters in _TARGET.findall(header):
            relations = [quoted or bare for quoted, bare in _REL.findall(parameters)]
            if any("next" in relation.lower().split() for relation in relations):
                return _at_origin(target.strip(), url)
    return None


def _at_origin(target: str, url: str) -> str | None:
    try:
        there = urlsplit(urljoin(url, target))
    except ValueError:
        return None
    here = urlsplit(url)
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))
