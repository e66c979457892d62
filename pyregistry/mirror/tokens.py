"""Bearer tokens of one upstream: cached per scope, renewed before they end, fetched once over all workers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pyregistry.errors import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyregistry.mirror.single_flight import SingleFlight
    from pyregistry.mirror.token_files import TokenFiles
    from pyregistry.mirror.token_realm import Token, TokenRealm, TokenRequest

#: Tokens kept in memory; above it the oldest go.
_MOST = 2048
#: A token that was refused as soon as it was fetched is not replaced for this long, in seconds: some upstreams give a
#: token for what they then refuse (Docker Hub, for a repository that is missing).
_USELESS = 10.0


class Tokens:
    """The tokens this process knows, in front of the files that all workers share."""

    def __init__(
        self, realm: TokenRealm, files: TokenFiles, flights: SingleFlight, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._realm = realm
        self._files = files
        self._flights = flights
        self._clock = clock
        self._known: dict[str, Token] = {}
        self._useless: dict[str, tuple[str, float]] = {}

    async def get(self, ask: TokenRequest) -> str:
        """A token for `ask`. Near the end of its life it is renewed in the background. Raises Failure."""
        name = ask.name
        token = self._known.get(name)
        now = self._clock()
        if token is None or now >= token.expires:
            token = await asyncio.shield(self._flight(ask, name, None))
        elif now >= token.renew:
            self._flight(ask, name, None)
        return token.value

    async def instead_of(self, refused: str, ask: TokenRequest, asked: float) -> str | None:
        """Another token than `refused`, which was sent in a request begun at `asked` (wall clock).

        None if there is nothing better: it had been fetched for that very request. Raises Failure.
        """
        name = ask.name
        token = self._known.get(name)
        now = self._clock()
        if token is not None and token.value == refused:
            if token.fetched >= asked:
                self._useless[name] = (refused, now + _USELESS)
                return None
            useless = self._useless.get(name)
            if useless is not None and useless[0] == refused and now < useless[1]:
                return None
        elif token is not None and now < token.expires:
            return token.value
        # Twice, since a flight that others began before the refusal may bring the same token, from the file; not more
        # often, since some realms give the same token every time.
        for _ in range(2):
            token = await asyncio.shield(self._flight(ask, name, refused))
            if token.value != refused:
                return token.value
        return None

    def _flight(self, ask: TokenRequest, name: str, refused: str | None) -> asyncio.Task[Token]:
        return self._flights.task(f"token {name}", lambda: self._bring(ask, name, refused))

    async def _bring(self, ask: TokenRequest, name: str, refused: str | None) -> Token:
        """Runs in one task of one process at a time: what another worker has fetched meanwhile will do."""
        shared = await asyncio.to_thread(self._files.read, name)
        if shared is not None and shared.value == refused:
            shared = None
        if shared is None or self._clock() >= shared.renew:
            try:
                token = await self._realm.fetch(ask)
            except Failure:
                # Not yet needed: the old one serves till its end.
                if shared is None:
                    raise
                token = shared
            else:
                await asyncio.to_thread(self._files.write, name, token)
        else:
            token = shared
        self._keep(name, token)
        return token

    def _keep(self, name: str, token: Token) -> None:
        self._known.pop(name, None)
        self._known[name] = token
        self._useless.pop(name, None)
        while len(self._known) > _MOST:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._useless.pop(oldest, None)
