"""TLS of the scripted upstream, with and without clients' certificates."""

import ssl
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tests.support.blobs import random_blob
from tests.support.certificates import Authority, Pair
from tests.support.upstream import LocalUpstream, Tls, UpstreamProcess

LAYER = random_blob(3 << 20, "tls")


def body(host: str, authority: Authority, client: Pair | None = None) -> bytes:
    context = ssl.create_default_context(cafile=authority.cert)
    if client is not None:
        context.load_cert_chain(*client)
    connection = HTTPSConnection(host, context=context, timeout=10)
    try:
        connection.request("GET", f"/v2/team/app/blobs/{LAYER.digest}")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("kind", [LocalUpstream, UpstreamProcess])
def test_https(tmp_path: Path, kind: type[LocalUpstream | UpstreamProcess]) -> None:
    authority = Authority(tmp_path)
    with kind(tls=Tls(*authority.server())) as upstream:
        upstream.add_blob("team/app", LAYER)
        assert upstream.url.startswith("https://127.0.0.1:")
        assert body(upstream.host, authority) == LAYER.data
        with pytest.raises(ssl.SSLCertVerificationError):
            body(upstream.host, Authority(tmp_path / "other"))


def test_clients_must_show_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with LocalUpstream(tls=Tls(*authority.server(), client_ca=authority.cert)) as upstream:
        upstream.add_blob("team/app", LAYER)
        assert body(upstream.host, authority, authority.client()) == LAYER.data
        with pytest.raises((ssl.SSLError, ConnectionError)):
            body(upstream.host, authority)
        assert len(upstream.records()) == 1
