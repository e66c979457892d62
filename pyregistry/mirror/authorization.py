"""The Authorization header for one base URL: what upstream has asked for, remembered, and met with what we have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.challenges import Challenge, parse_challenges
from pyregistry.mirror.realms import Realms, Trust
from pyregistry.mirror.token_realm import TokenRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyregistry.mirror.credential import Credential
    from pyregistry.mirror.credentials import Credentials
    from pyregistry.mirror.tokens import Tokens

_BEARER = "Bearer "


class Authorization:
    """Remembers how this base URL wants to be asked, so that only the first request of a process meets a 401."""

    def __init__(
        self, upstream: str, base: str, *, realms: Iterable[str], credentials: Credentials, tokens: Tokens
    ) -> None:
        self._upstream = upstream
        self._host = urlsplit(base).netloc.lower()
        self._realms = Realms(base, realms)
        self._credentials = credentials
        self._tokens = tokens
        self._wanted: Challenge | None = None

    async def header(self, path: str) -> str | None:
        """What to send with a request about the repository `path`, None for nothing. Raises Failure."""
        if self._wanted is None:
            return None
        if self._wanted.scheme == "basic":
            return _basic(await self._credentials.get(self._host))
        try:
            return await self._bearer(self._wanted, path, None, 0.0)
        except Failure:
            # Upstream may have another realm by now, or want nothing any more: its challenge tells.
            return None

    async def better(self, challenge: str | None, path: str, sent: str | None, asked: float) -> str | None:
        """What to send instead of `sent`, to which upstream answered 401 and `challenge` in a request begun at `asked`.

        None if there is nothing better. Raises Failure if a token realm does not give what it should.
        """
        offered = parse_challenges([challenge] if challenge else [])
        bearer = next((one for one in offered if one.scheme == "bearer" and one.realm), None)
        basic = next((one for one in offered if one.scheme == "basic"), None)
        if bearer is not None and not (basic and self._realms.trust(bearer.realm) is Trust.REFUSED):
            return await self._better_token(bearer, path, sent, asked)
        if basic is not None:
            header = _basic(await self._credentials.get(self._host))
            if header is not None and header == sent:
                header = _basic(await self._credentials.get(self._host, fresh=True))
            self._wanted = basic
            return header if header != sent else None
        return None

    async def _better_token(self, bearer: Challenge, path: str, sent: str | None, asked: float) -> str | None:
        refused = sent.removeprefix(_BEARER) if sent is not None and sent.startswith(_BEARER) else None
        known = self._wanted
        if refused is not None and known is not None and known.scheme == "bearer" and known.realm != bearer.realm:
            # nvcr.io names another realm once a token has expired, which gives nothing to the anonymous
            # (NVIDIA/nvidia-container-toolkit#1945): the realm that served before goes first.
            try:
                header = await self._bearer(known, path, refused, asked)
            except Failure:
                header = None
            if header is not None:
                return header
        header = await self._bearer(bearer, path, refused, asked)
        self._wanted = bearer
        return header

    async def _bearer(self, challenge: Challenge, path: str, refused: str | None, asked: float) -> str | None:
        trust = self._realms.trust(challenge.realm)
        if trust is Trust.REFUSED:
            raise Failure(
                Cause.DENIED,
                f"upstream {self._upstream} sends us to a token realm that is not asked (it may not undo TLS, nor lie "
                "within our own network); if it is right, list its host in the upstream's `realms`",
            )
        credential = await self._credentials.get(self._host)
        # The scope is ours to build: ghcr.io's challenge to `/v2/` has a made-up one, others ask for more than `pull`.
        ask = TokenRequest(
            self._upstream,
            challenge.realm,
            challenge.service,
            f"repository:{path}:pull",
            credential if trust is Trust.CREDENTIALS else None,
        )
        try:
            return await self._take(ask, refused, asked)
        except Failure as failure:
            if failure.cause is not Cause.DENIED:
                raise
            if ask.credential is None:
                raise self._withheld(failure, challenge) if credential is not None else failure from None
            fresh = await self._credentials.get(self._host, fresh=True)
            if fresh is None or fresh == ask.credential:
                raise
            ask = replace(ask, credential=fresh)
        return await self._take(ask, refused, asked)

    async def _take(self, ask: TokenRequest, refused: str | None, asked: float) -> str | None:
        if refused is None:
            token: str | None = await self._tokens.get(ask)
        else:
            token = await self._tokens.instead_of(refused, ask, asked)
        return _BEARER + token if token is not None else None

    def _withheld(self, failure: Failure, challenge: Challenge) -> Failure:
        host = urlsplit(challenge.realm).netloc
        return Failure(
            Cause.DENIED,
            f"{failure.message}; it was asked without credentials, since {host} is not the upstream's host: "
            f"if it may see them, list it in `realms` of upstream {self._upstream}",
            status=failure.status,
        )


def _basic(credential: Credential | None) -> str | None:
    return credential.basic() if credential is not None and not credential.is_identity_token else None
