"""Which token realms may be asked, and which of them may see credentials (I11, CVE-2026-33540)."""

from __future__ import annotations

import ipaddress
import re
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Host names as they are written plainly. The native client also takes `127.1`, `0x7f000001`, `%6cocalhost` and
#: `①②⑦.0.0.1` for what they stand for: nobody but an attacker writes a realm so.
_PLAIN = re.compile(r"(?:[a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*")
_HEXADECIMAL = re.compile(r"0x[0-9a-f]*")
#: IPv4 addresses in IPv6's clothes (NAT64, 6to4).
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("2002::/16"))


class Trust(Enum):
    """What a realm may be sent."""

    CREDENTIALS = "credentials"  #: on the upstream's own host, or listed in its `realms`
    ANONYMOUS = "anonymous"  #: anywhere else: a token may be asked for, without saying who we are
    REFUSED = "refused"  #: nothing


class Realms:
    """The realm rule of one base URL.

    The upstream's own host counts whatever the port: a token server beside a registry is common, and who answers for
    the host could ask for Basic as well. Refused are realms that would undo TLS (`http` for an upstream of `https`),
    and realms of a public upstream at an address inside our network, which it has no business pointing us to.
    """

    def __init__(self, base: str, listed: Iterable[str]) -> None:
        """`listed`: `host`, `host:port`, or a URL (of which the host and port count)."""
        self._base = urlsplit(base)
        self._listed = frozenset(_host_and_port(entry) for entry in listed)

    def trust(self, realm: str) -> Trust:
        """What may be sent to `realm`, an absolute URL as the challenge has it."""
        parts = _split(realm)
        host = parts.hostname if parts is not None else None
        if parts is None or not host or parts.scheme not in {"http", "https"} or parts.username is not None:
            return Trust.REFUSED
        if self._base.scheme == "https" and parts.scheme != "https":
            return Trust.REFUSED
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if host == self._base.hostname or (host, None) in self._listed or (host, port) in self._listed:
            return Trust.CREDENTIALS
        if not _is_plain(host) or (_is_internal(host) and not _is_internal(self._base.hostname or "")):
            return Trust.REFUSED
        return Trust.ANONYMOUS


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host_and_port(entry: str) -> tuple[str, int | None]:
    parts = _split(entry if "://" in entry else f"//{entry}")
    if parts is None or not parts.hostname:
        return "", None
    return parts.hostname, parts.port


def _is_plain(host: str) -> bool:
    if _PLAIN.fullmatch(host) is not None:
        return _HEXADECIMAL.fullmatch(host.rpartition(".")[2]) is None
    return _address(host) is not None


def _is_internal(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    return not address.is_global or any(address in network for network in _TRANSLATED)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
