"""The HTTP clients of upstreams: one, with its connections and authorities, for all of the same settings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pyregistry import __version__
from pyregistry._native import Client

if TYPE_CHECKING:
    from pyregistry.config import UpstreamConfig


def client_of(config: UpstreamConfig) -> Client:
    """The client for an upstream. ValueError names an unreadable `ca_file` or client certificate."""
    return _shared(
        ca_file=str(config.ca_file) if config.ca_file is not None else None,
        client_cert=str(config.client_cert) if config.client_cert is not None else None,
        client_key=str(config.client_key) if config.client_key is not None else None,
        verify=config.verify,
        connect_timeout=config.connect_timeout.total_seconds(),
        progress_timeout=config.progress_timeout.total_seconds(),
    )


@cache
def _shared(
    *,
    ca_file: str | None,
    client_cert: str | None,
    client_key: str | None,
    verify: bool,
    connect_timeout: float,
    progress_timeout: float,
) -> Client:
    return Client(
        user_agent=f"pyregistry/{__version__}",
        ca_file=ca_file,
        client_cert=client_cert,
        client_key=client_key,
        verify=verify,
        connect_timeout=connect_timeout,
        progress_timeout=progress_timeout,
    )
