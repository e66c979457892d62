"""Asking a token realm for a bearer token (distribution, `docs/spec/auth/token.md` and `oauth.md`)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry._native import Client
    from pyregistry.mirror.credential import Credential
    from pyregistry.mirror.endpoint import OnRequest

#: Seconds a token lives if the realm does not say (token.md, `expires_in`).
DEFAULT_LIFETIME = 60.0
#: A token is renewed this long before it ends, or after four fifths of a short life.
EARLY = 30.0
#: Largest answer read: some tokens carry a grant per scope, none a megabyte.
_LIMIT = 1 << 20
#: Seconds for it: whoever else wants this token waits, in every worker.
DEADLINE = 60.0
#: Longest token taken: longer ones fit in no server's headers, and thousands are kept, in memory and in files.
_LONGEST = 32 << 10


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. Times are of the wall clock, since workers share it."""

    value: str = field(repr=False)
    fetched: float
    #: From then on another should be fetched, while this one still serves.
    renew: float
    expires: float


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a token is for. `credential` is None where the realm may not see it, or there is none."""

    upstream: str
    realm: str
    service: str
    scope: str
    credential: Credential | None

    @property
    def name(self) -> str:
        """The name under which all workers of a root share this token; no secret can be read from it."""
        who = self.credential.fingerprint if self.credential is not None else ""
        parts = (self.upstream, self.realm, self.service, self.scope, who)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


class TokenRealm:
    """The token realms of one upstream: who asks them, and how."""

    def __init__(self, client: Client, *, on_request: OnRequest, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._on_request = on_request
        self._clock = clock

    async def fetch(self, ask: TokenRequest) -> Token:
        """A new token. Raises Failure: DENIED if the realm refuses, else what kept it from answering."""
        began = self._clock()
        headers = [("accept", "application/json")]
        method, url, body = "GET", _url(ask), None
        if ask.credential is not None and ask.credential.is_identity_token:
            method, url, body = "POST", ask.realm, _form(ask, ask.credential.secret)
            headers.append(("content-type", "application/x-www-form-urlencoded"))
        elif ask.credential is not None:
            headers.append(("authorization", ask.credential.basic()))
        where = f"token realm {_shown(ask.realm)} of upstream {ask.upstream}"
        try:
            async with asyncio.timeout(DEADLINE):
                answer = await self._client.request(method, url, headers, body=body, limit=_LIMIT)
        except TimeoutError:
            self._on_request("token", 0)
            raise Failure(Cause.TIMEOUT, f"{where} has not sent a token within {DEADLINE:g} s") from None
        except ValueError:
            raise Failure(Cause.PROTOCOL, f"{where} is no URL that can be asked") from None
        except Failure:
            self._on_request("token", 0)
            raise
        self._on_request("token", answer.status)
        if answer.status != 200:
            # 400 and 404 too: realms refuse a scope in many ways, and none of them says that the image is gone.
            failure = refusal(answer, where)
            if failure.cause is Cause.NOT_FOUND or answer.status == 400:
                failure = Failure(Cause.DENIED, failure.message, status=answer.status)
            raise failure
        return self._token(answer.body, began, where)

    def _token(self, body: bytes, began: float, where: str) -> Token:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise Failure(Cause.PROTOCOL, f"{where} gave no JSON object")
        value = document.get("token") or document.get("access_token")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            raise Failure(Cause.PROTOCOL, f"{where} gave no token that can stand in a header")
        if len(value) > _LONGEST:
            raise Failure(Cause.PROTOCOL, f"{where} gave a token of {len(value)} bytes; at most {_LONGEST} are taken")
        life = _lifetime(document.get("expires_in"))
        return Token(value, self._clock(), began + life - min(EARLY, life / 5), began + life)


def _lifetime(value: object) -> float:
    """`expires_in`, which has been seen as a string, too."""
    try:
        life = float(value)  # type: ignore[arg-type]  # whatever it cannot take is caught
    except (TypeError, ValueError):
        return DEFAULT_LIFETIME
    # Also false for what is no number (NaN).
    return min(life, 86400.0) if life > 0 else DEFAULT_LIFETIME


def _url(ask: TokenRequest) -> str:
    parts = urlsplit(ask.realm)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if ask.service:
        query.append(("service", ask.service))
    query.append(("scope", ask.scope))
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))


def _form(ask: TokenRequest, refresh_token: str) -> bytes:
    return urlencode(
        {
            "grant_type": "refresh_token",
            "service": ask.service,
            "client_id": "pyregistry",
            "scope": ask.scope,
            "refresh_token": refresh_token,
        }
    ).encode()


def _shown(realm: str) -> str:
    """The realm for messages, without its query."""
    return urlunsplit(urlsplit(realm)._replace(query="", fragment=""))
