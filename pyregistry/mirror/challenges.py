"""What an upstream asks for in WWW-Authenticate (RFC 9110 section 11.6.1), read leniently.

A header may hold several challenges, and commas separate both challenges and parameters. Seen in the wild and read too:
missing or doubled commas, spaces around `=`, values without quotes, quotes that never end, several headers joined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GAP = re.compile(r"[\s,]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)("|\\?\Z)', re.DOTALL)
_BARE = re.compile(r"[^\s,]*")
#: `Negotiate YWJj==`: a scheme's single value. What follows must end the challenge, or it is a parameter's name.
_TOKEN68 = re.compile(r"[0-9A-Za-z\-._~+/]+=*(?=[ \t]*(?:,|\Z))")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way upstream offers to authenticate. Scheme and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        """Where to get a token (Bearer), or a name for people (Basic); empty if missing."""
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        """What to ask a token for; empty if missing, as nvcr.io has it."""
        return self.parameters.get("service", "")


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge of these WWW-Authenticate values, in order. Never raises; what makes no sense is left out."""
    found: list[Challenge] = []
    for header in headers:
        found += _challenges(header)
    return found


def _challenges(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    at = _end(_GAP, header, 0)
    while at < len(header):
        word = _TOKEN.match(header, at)
        if word is None:
            at = _end(_GAP, header, at + 1)
            continue
        at = word.end()
        equals = _EQUALS.match(header, at)
        if equals is not None:
            value, at = _value(header, equals.end())
            if found:
                found[-1][1].setdefault(word[0].lower(), value)
        else:
            found.append((word[0].lower(), {}))
            at = _end(_GAP, header, at)
            single = _TOKEN68.match(header, at)
            # A plain word may be the next scheme (`Negotiate, Basic`); one with `=` or `/` is surely a value.
            if single is not None and not _TOKEN.fullmatch(single[0]):
                at = single.end()
        at = _end(_GAP, header, at)
    return [Challenge(scheme, MappingProxyType(parameters)) for scheme, parameters in found]


def _value(header: str, at: int) -> tuple[str, int]:
    quoted = _QUOTED.match(header, at)
    if quoted is not None:
        return _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    end = _end(_BARE, header, at)
    return header[at:end], end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match is not None else at
