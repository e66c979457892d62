"""What an upstream is like while nothing goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.upstream.requests import Place


@dataclass(frozen=True)
class Tokens:
    """Bearer authentication: 401 with a challenge, and a token endpoint at `/token`."""

    place: Place = Place.REGISTRY
    """Where the realm points; the token server answers at all three."""
    users: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = True
    """Whether a token is given without credentials."""
    private: tuple[str, ...] = ()
    """Repositories that an anonymous token is not good for."""
    expires_in: int | None = 300
    """What the answer says."""
    lifetime: float | None = None
    """Seconds a token really lives, where that differs."""
    field: str = "both"
    """`token`, `access_token` or both."""
    first_scope_only: bool = False
    ping_scope: str | None = None
    """A placeholder scope in the challenge to /v2/, as ghcr.io has."""
    challenge: str | tuple[str, ...] | None = None
    """This challenge, word for word but for `{realm}`; several: a header for each."""


@dataclass(frozen=True)
class Basic:
    users: Mapping[str, str]


@dataclass(frozen=True)
class Redirect:
    """Blobs are redirected to a signed address, which answers 400 to any Authorization when it is another place."""

    place: Place = Place.OTHER_PORT
    status: int = 307
    lifetime: float | None = None
    """Seconds; afterwards 403. `expire_addresses()` ends all at once."""
    uses: int | None = None
    """Requests an address is good for; afterwards 403."""
    heads: bool = True
    """Whether HEAD is redirected too."""


@dataclass(frozen=True)
class Quota:
    """Docker Hub's: GETs of manifests count, HEADs do not; 429 at none left."""

    limit: int = 100
    window: int = 21600
    remaining: int | None = None
    retry_after: int | None = None


@dataclass(frozen=True)
class Tls:
    """HTTPS at every place, with these PEM files."""

    cert: str
    key: str
    client_ca: str | None = None
    """Clients must show a certificate of this authority."""
    delay: float | None = 0
    """Seconds before the handshake; None: it never comes."""


@dataclass(frozen=True)
class Settings:
    latency: float = 0
    """Seconds from a request to its answer."""
    rate: float | None = None
    """Body bytes per second in total."""
    connection_rate: float | None = None
    """Body bytes per second and connection."""
    send_buffer: int | None = None
    """SO_SNDBUF of connections accepted from now on; the kernel doubles it."""
    referrers: bool = True
    """The referrers API; off: 404, and referrers are found under the tag `<algorithm>-<hex>`."""
    referrers_page: int | None = None
    tags_page: int | None = None
    auth: Tokens | Basic | None = None
    redirect: Redirect | None = None
    quota: Quota | None = None
    tls: Tls | None = None
    """For connections accepted from now on."""
