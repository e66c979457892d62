"""Docker credential helpers: `docker-credential-NAME` programs that know or make short-lived credentials.

Protocol (docker-credential-helpers, README, section Development): the argument `get`, the server on standard input,
JSON on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.credential import Credential

if TYPE_CHECKING:
    from collections.abc import Callable

#: What helpers print, with exit code 1, if they know nothing of a server.
_NOT_FOUND = b"credentials not found"
#: A helper that has failed, or whose answer upstream has refused, is not asked again sooner than this, in seconds.
_SOONEST_AGAIN = 10.0
#: Seconds a helper may take: some go through a cloud's login.
_TIMEOUT = 30.0
#: Seconds to wait for a killed one, should something of it live on outside its session.
_END_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What the helper said, or how it failed, and when."""

    credential: Credential | None
    failure: Failure | None
    asked: float

    def answer(self) -> Credential | None:
        if self.failure is not None:
            raise self.failure
        return self.credential


class CredentialHelper:
    """One helper program, its answers kept for `lifetime` seconds. One process of it at a time."""

    def __init__(
        self,
        name: str,
        *,
        lifetime: float,
        timeout: float = _TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.program = f"docker-credential-{name}"
        self._lifetime = lifetime
        self._timeout = timeout
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._one_at_a_time = asyncio.Lock()

    async def get(self, server: str, *, fresh: bool = False) -> Credential | None:
        """The credentials for `server`, None if the helper has none. `fresh`: what it said last was refused.

        Raises Failure(DENIED) if it cannot be run, fails or takes too long.
        """
        if (found := self._remembered(server, fresh=fresh)) is not None:
            return found.answer()
        async with self._one_at_a_time:
            if (found := self._remembered(server, fresh=fresh)) is not None:
                return found.answer()
            known = self._known.get(server)
            try:
                now = _Known(await self._ask(server), None, self._clock())
            except Failure as failure:
                now = _Known(None, failure, self._clock())
                if known is not None and known.credential is not None and not fresh:
                    # Upstream has not refused it: it may serve until the helper works again.
                    now = replace(known, asked=self._clock() - self._lifetime + _SOONEST_AGAIN)
            self._known[server] = now
            return now.answer()

    def _remembered(self, server: str, *, fresh: bool) -> _Known | None:
        known = self._known.get(server)
        if known is None:
            return None
        soon = fresh or known.failure is not None
        holds = min(self._lifetime, _SOONEST_AGAIN) if soon else self._lifetime
        return known if self._clock() - known.asked < holds else None

    async def _ask(self, server: str) -> Credential | None:
        output, code = await self._run(server)
        if code != 0:
            if _NOT_FOUND in output.lower():
                return None
            raise self._failure(f"ended with code {code}", server)
        try:
            answer = orjson.loads(output)
            username, secret = answer["Username"], answer["Secret"]
        except (ValueError, TypeError, KeyError):
            raise self._failure("gave no answer that can be understood", server) from None
        if not isinstance(username, str) or not isinstance(secret, str):
            raise self._failure("gave no answer that can be understood", server)
        return Credential(username, secret) if secret else None

    async def _run(self, server: str) -> tuple[bytes, int]:
        """Runs the helper; answers its output and exit code.

        A child begins with our open file descriptions and so with the locks on them (`Store.lock`). It keeps them only
        until its exec: they are all opened O_CLOEXEC, asyncio (vfork) and libuv (fork) exec at once and run none of our
        code before, and a lock that its owner releases is gone for the child too.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                self.program,
                "get",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failure(f"cannot be run ({error.strerror})", server) from None
        try:
            async with asyncio.timeout(self._timeout):
                output, _ = await process.communicate(server.encode())
        except TimeoutError:
            raise self._failure(f"took longer than {self._timeout:g} s", server) from None
        finally:
            if process.returncode is None:
                # Its whole session: what it has started itself would hold the pipes open.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                # To the pipes' end, which closes them.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_END_TIMEOUT):
                        await process.communicate()
        return output, process.returncode or 0

    def _failure(self, what: str, server: str) -> Failure:
        # Nothing it printed is repeated: it may hold the secret.
        return Failure(
            Cause.DENIED,
            f"credential helper {self.program} {what}; try `echo {server} | {self.program} get` as the server's user",
        )
