"""Who we are to an upstream, looked up where the configuration says: itself, a file, a helper, Docker's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.credential import Credential
from pyregistry.mirror.credential_helper import CredentialHelper
from pyregistry.mirror.docker_config import DockerConfig, server_key

if TYPE_CHECKING:
    from pathlib import Path

    from pyregistry.config import UpstreamConfig


class CredentialSource(Protocol):
    """A place that may know credentials for a host."""

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        """Credentials for `host` (`host[:port]` of a base URL), None if it knows none.

        `fresh`: upstream refused what it said last. Raises Failure(DENIED) if it should know but cannot say.
        """


class Credentials:
    """The credentials of one upstream. Each source remembers what it said until that is refused or its lifetime ends.

    Those in the configuration are for every URL of the upstream; helpers and Docker's configuration are asked by host,
    so that one registry's credentials do not reach another URL of the list.
    """

    def __init__(self, config: UpstreamConfig) -> None:
        self._sources = _sources(config)
        self._found: dict[str, bool] = {}

    @property
    def anonymous(self) -> bool:
        """Whether nothing is configured, or what is configured has known nothing so far."""
        return not self._sources or (bool(self._found) and not any(self._found.values()))

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        """The credentials for `host`; None: be anonymous. `fresh`: the last were refused. Raises Failure(DENIED)."""
        for source in self._sources:
            credential = await source.get(host, fresh=fresh)
            if credential is not None:
                self._found[host] = True
                return credential
        self._found[host] = False
        return None


class _Written:
    """User name and password in the configuration (or its environment variables)."""

    def __init__(self, credential: Credential) -> None:
        self._credential = credential

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        return self._credential


class _PasswordFile:
    """A user name in the configuration and a file with the password, which others may replace while we run."""

    def __init__(self, username: str, path: Path) -> None:
        self._username = username
        self._path = path
        self._credential: Credential | None = None

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        if self._credential is None or fresh:
            password = await asyncio.to_thread(self._read)
            if self._credential is None or password != self._credential.secret:
                self._credential = Credential(self._username, password)
        return self._credential

    def _read(self) -> str:
        try:
            password = self._path.read_text().rstrip("\r\n")
        except OSError as error:
            raise Failure(Cause.DENIED, f"cannot read password_file {self._path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise Failure(Cause.DENIED, f"cannot read password_file {self._path}: it is not UTF-8 text") from None
        if not password:
            raise Failure(Cause.DENIED, f"password_file {self._path} is empty")
        return password


class _Helper:
    """A `docker-credential-*` program."""

    def __init__(self, helper: CredentialHelper) -> None:
        self._helper = helper

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        return await self._helper.get(server_key(host), fresh=fresh)


def _sources(config: UpstreamConfig) -> list[CredentialSource]:
    sources: list[CredentialSource] = []
    lifetime = config.credential_lifetime.total_seconds()
    if config.username is not None and config.password is not None:
        sources.append(_Written(Credential(config.username, config.password.get_secret_value())))
    elif config.username is not None and config.password_file is not None:
        sources.append(_PasswordFile(config.username, config.password_file))
    if config.credential_helper is not None:
        sources.append(_Helper(CredentialHelper(config.credential_helper, lifetime=lifetime)))
    if config.docker_config:
        sources.append(DockerConfig(lifetime=lifetime))
    return sources
