"""The upstream's doors: bearer tokens, Basic, challenges, and addresses that were signed."""

import base64
import itertools
import math
import secrets
import threading
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from tests.support.upstream.answers import Answer, document, error
from tests.support.upstream.requests import Kind, Place, Request
from tests.support.upstream.settings import Basic, Settings, Tokens


class Doors:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self._signatures: dict[str, tuple[float, float]] = {}
        """When each ends, and how often it may still be used."""
        self._numbers = itertools.count(1)

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def expire_addresses(self) -> None:
        with self._lock:
            self._signatures.clear()

    def challenge(self, request: Request, settings: Settings, realm: str) -> Answer | None:
        """None if the request may pass, else a 401 (or 403) with what to do."""
        auth = settings.auth
        if auth is None:
            return None
        scheme, _, credentials = (request.authorization or "").partition(" ")
        if isinstance(auth, Basic):
            if scheme.lower() == "basic" and _user(credentials, auth.users):
                return None
            return _refuse('Basic realm="upstream"')
        scope = f"repository:{request.repository}:pull"
        if scheme.lower() == "bearer":
            with self._lock:
                expiry, scopes = self._tokens.get(credentials, (0.0, frozenset[str]()))
            if expiry > time.monotonic() and (request.kind is Kind.PING or scope in scopes):
                return None
        if auth.challenge is not None:
            given = (auth.challenge,) if isinstance(auth.challenge, str) else auth.challenge
            return _refuse(*(one.replace("{realm}", f"{realm}/token") for one in given))
        asked: str | None = scope
        if request.kind is Kind.PING:
            asked = auth.ping_scope
        elif request.kind is Kind.CATALOG:
            asked = "registry:catalog:*"
        challenge = f'Bearer realm="{realm}/token",service="upstream"'
        if asked:
            challenge += f',scope="{asked}"'
        return _refuse(challenge)

    def issue(self, request: Request, auth: Tokens | Basic | None) -> Answer:
        """The token endpoint: GET with query and Basic, or POST as OAuth 2 has it."""
        if not isinstance(auth, Tokens):
            return error(404, "UNSUPPORTED", "no token server here")
        form = list(request.query)
        if request.method == "POST":
            form += parse_qsl(request.body.decode())
        fields = dict(form)
        scheme, _, credentials = (request.authorization or "").partition(" ")
        user: str | None = None
        if scheme.lower() == "basic":
            user = _user(credentials, auth.users)
        elif "password" in fields and auth.users.get(fields.get("username", "")) == fields["password"]:
            user = fields["username"]
        claimed = bool(scheme) or "password" in fields
        if user is None and (claimed or not auth.anonymous):
            return error(401, "UNAUTHORIZED", "wrong or no credentials")
        scopes = [scope for name, value in form if name == "scope" for scope in value.split(" ")]
        granted = frozenset(self._granted(scopes[: 1 if auth.first_scope_only else None], user, auth))
        lifetime = auth.lifetime if auth.lifetime is not None else (auth.expires_in or 60)
        with self._lock:
            token = f"token-{next(self._numbers)}-{secrets.token_hex(8)}"
            self._tokens[token] = (time.monotonic() + lifetime, granted)
        names = ("token", "access_token") if auth.field == "both" else (auth.field,)
        body: dict[str, object] = dict.fromkeys(names, token)
        if auth.expires_in is not None:
            body |= {"expires_in": auth.expires_in, "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        return document(body)

    def sign(self, request: Request, settings: Settings, base: str) -> Answer:
        """A redirect of a blob to a signed address."""
        redirect = settings.redirect
        assert redirect is not None
        lifetime = redirect.lifetime if redirect.lifetime is not None else 3600
        signature = secrets.token_hex(16)
        with self._lock:
            self._signatures[signature] = (time.monotonic() + lifetime, redirect.uses or math.inf)
        address = f"{base}/cdn/{request.repository}/{request.reference}?signature={signature}"
        return Answer(redirect.status, [("Location", address)])

    def refuse_address(self, request: Request) -> Answer | None:
        """None if a signed address is good, else what an object store says."""
        if request.authorization is not None and request.place is not Place.REGISTRY:
            return error(400, "InvalidArgument", "Only one auth mechanism allowed")
        signature = request.parameters.get("signature", "")
        with self._lock:
            expiry, uses = self._signatures.get(signature, (0.0, 0.0))
            self._signatures[signature] = (expiry, uses - 1)
        if expiry <= time.monotonic() or uses <= 0:
            return error(403, "AccessDenied", "Request has expired")
        return None

    @staticmethod
    def _granted(scopes: list[str], user: str | None, auth: Tokens) -> list[str]:
        granted = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            if kind == "repository" and (user is not None or name not in auth.private):
                granted += [f"repository:{name}:{action}" for action in actions.split(",")]
        return granted


def _refuse(*challenges: str) -> Answer:
    headers = tuple(("WWW-Authenticate", challenge) for challenge in challenges)
    return error(401, "UNAUTHORIZED", "authentication required", headers)


def _user(credentials: str, users: Mapping[str, str]) -> str | None:
    name, _, password = base64.b64decode(credentials).decode().partition(":")
    return name if password and users.get(name) == password else None
