"""Docker's own configuration as a source of credentials: `config.json` of `docker login`, its stores and helpers.

Format: docker/cli, `cli/config/configfile` and `cli/config/types`.
"""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import orjson

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.credential import IDENTITY_TOKEN_USER, Credential
from pyregistry.mirror.credential_helper import CredentialHelper
from pyregistry.mirror.well_known import DOCKER_HUB_HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Under which `docker login` keeps Docker Hub's credentials.
DOCKER_HUB_KEY = "https://index.docker.io/v1/"


def server_key(host: str) -> str:
    """What Docker calls the registry at `host` in its configuration and to its helpers."""
    return DOCKER_HUB_KEY if host in DOCKER_HUB_HOSTS else host


def host_of_key(key: str) -> str:
    """The host a key of `auths` or `credHelpers` means: old entries are URLs."""
    host = key.partition("://")[2] or key
    host = host.partition("/")[0].lower()
    return "docker.io" if host in DOCKER_HUB_HOSTS else host


class DockerConfig:
    """`config.json` in `$DOCKER_CONFIG` or `~/.docker`, read once and again when upstream refuses what it said."""

    def __init__(self, *, lifetime: float, folder: Path | None = None) -> None:
        """`lifetime`: seconds for which helpers' answers hold."""
        self.path = (folder or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")) / "config.json"
        self._lifetime = lifetime
        self._content: Mapping[str, object] | None = None
        self._helpers: dict[str, CredentialHelper] = {}
        self._last: dict[str, Credential] = {}

    async def get(self, host: str, *, fresh: bool = False) -> Credential | None:
        """The credentials for `host`: its helper's or the store's, else those in the file. Raises Failure(DENIED)."""
        if self._content is None or fresh:
            self._content = await asyncio.to_thread(self._read)
        helper = _of_host(self._content.get("credHelpers"), host) or self._content.get("credsStore")
        if isinstance(helper, str) and helper and "/" not in helper:
            found = await self._helper(helper).get(server_key(host), fresh=fresh)
            if found is not None:
                return found
        pair = _pair(_of_host(self._content.get("auths"), host))
        if pair is None:
            return None
        last = self._last.get(host)
        if last is None or (last.username, last.secret) != pair:
            last = self._last[host] = Credential(*pair)
        return last

    def _helper(self, name: str) -> CredentialHelper:
        helper = self._helpers.get(name)
        if helper is None:
            helper = self._helpers[name] = CredentialHelper(name, lifetime=self._lifetime)
        return helper

    def _read(self) -> Mapping[str, object]:
        try:
            content = orjson.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Failure(Cause.DENIED, f"cannot read credentials from {self.path}: {error.strerror}") from None
        except orjson.JSONDecodeError:
            raise Failure(Cause.DENIED, f"cannot read credentials from {self.path}: it is not JSON") from None
        return content if isinstance(content, dict) else {}


def _of_host(entries: object, host: str) -> object:
    """The entry of a mapping whose key means `host`; the key as Docker writes it today wins."""
    if not isinstance(entries, dict):
        return None
    if server_key(host) in entries:
        return cast("object", entries[server_key(host)])
    wanted = host_of_key(host)
    return next((value for key, value in entries.items() if isinstance(key, str) and host_of_key(key) == wanted), None)


def _pair(entry: object) -> tuple[str, str] | None:
    """User name and secret of an entry of `auths`; None for the empty ones that stand there when a store has them."""
    if not isinstance(entry, dict):
        return None
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return IDENTITY_TOKEN_USER, token
    username, password = entry.get("username"), entry.get("password")
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            decoded = base64.b64decode(auth + "=" * (-len(auth) % 4)).decode()
        except ValueError:
            return None
        # Docker pads with NUL in old files.
        username, _, password = decoded.rstrip("\0").partition(":")
    if not isinstance(username, str) or not isinstance(password, str) or not username or not password:
        return None
    return username, password
