"""A credential: what proves to an upstream who we are. The secret is in no repr, message or log line."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

#: The user name with which Docker marks an identity token (docker-credential-helpers, README, "Development").
IDENTITY_TOKEN_USER = "<token>"


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name with its password, or an identity token (an OAuth 2 refresh token): then `username` is `<token>`."""

    username: str
    secret: str = field(repr=False)
    #: Tells credentials apart without telling them. It names files and locks, so it is slow to guess by.
    fingerprint: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        secret, name = self.secret.encode(), self.username.encode()
        object.__setattr__(self, "fingerprint", hashlib.pbkdf2_hmac("sha256", secret, name, 10_000, 16).hex())

    @property
    def is_identity_token(self) -> bool:
        """Whether the secret is an identity token: good for a token realm alone, never for Basic."""
        return self.username == IDENTITY_TOKEN_USER

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()
