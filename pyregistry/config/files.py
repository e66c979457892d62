"""The files a configuration names, looked at before anything starts: a wrong one is one clear line, not a crash."""

from __future__ import annotations

import shutil
import ssl
from typing import TYPE_CHECKING

from pyregistry.config.problems import ConfigError, dotted

if TYPE_CHECKING:
    from pathlib import Path

    from pyregistry.config.model import Config


def check_files(config: Config) -> None:
    """Raises ConfigError naming every file that cannot be used."""
    problems: list[str] = []
    if (tls := config.http.tls) is not None:
        _check_pair(tls.cert, tls.key, "http.tls", problems)
    for name, upstream in (config.mirror.upstreams or {}).items():
        key = dotted(("mirror", "upstreams", name))
        if upstream.ca_file is not None:
            _check_authorities(upstream.ca_file, f"{key}.ca_file", problems)
        if upstream.client_cert is not None and upstream.client_key is not None:
            _check_pair(upstream.client_cert, upstream.client_key, f"{key}.client_cert", problems)
        if upstream.credential_helper is not None:
            _check_program(f"docker-credential-{upstream.credential_helper}", f"{key}.credential_helper", problems)
        if upstream.password_file is not None:
            _read(upstream.password_file, f"{key}.password_file", problems)
    if problems:
        raise ConfigError(problems)


def _read(path: Path, key: str, problems: list[str]) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        problems.append(f"{key}: {path}: {error.strerror}")
        return None


def _check_pair(cert: Path, key_file: Path, key: str, problems: list[str]) -> None:
    read = [_read(cert, key, problems), _read(key_file, key, problems)]
    if None in read:
        return
    try:
        # A password would be asked for at the terminal; a server has nobody to answer.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            said = "the private key is not this certificate's"
        elif b"ENCRYPTED" in (read[1] or b""):
            said = "the private key is encrypted; give it without a password"
        else:
            said = "no PEM certificate chain with its private key"
        problems.append(f"{key}: {cert} and {key_file}: {said}")


def _check_program(name: str, key: str, problems: list[str]) -> None:
    if shutil.which(name) is None:
        problems.append(f"{key}: there is no program {name} on the PATH")


def _check_authorities(path: Path, key: str, problems: list[str]) -> None:
    if _read(path, key, problems) is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        problems.append(f"{key}: {path}: no PEM certificates")
