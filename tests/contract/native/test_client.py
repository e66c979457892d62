"""`Client`, `Answer` and `Source` as Python sees them. What they do on the wire is tested in `rust/fetch/tests`."""

import asyncio
import datetime
import ipaddress
import os
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pyregistry._native import Client
from pyregistry.errors import Cause, Failure
from tests.contract.native.blob_server import Asked, BlobServer


async def test_an_answer_is_whole(client: Client) -> None:
    def script(asked: Asked) -> tuple[str, bytes]:
        return f"418 Teapot\r\nX-Name: caf\xe9\r\nX-Two: a\r\nX-Two: b\r\nX-Got: {asked.headers['accept']}", asked.body

    async with BlobServer(script=script) as server:
        url = server.url + "?token=s3cr3t"
        answer = await client.request("POST", url, [("Accept", "a/b")], body=b"hello")
        assert (answer.status, answer.body) == (418, b"hello")
        assert answer.url == server.url
        assert answer.header("x-got") == "a/b"
        assert answer.header("x-none") is None
        assert [value for name, value in answer.headers if name == "x-two"] == ["a", "b"]
        assert server.asked[0].headers["user-agent"] == "pyregistry-test"


@pytest.mark.parametrize(
    ("reply", "limit", "cause"),
    [
        ("200 OK", 4, Cause.TOO_LARGE),
        ("200 OK\r\nLocation: ftp://x", 10, None),
        ("302 X\r\nLocation: ftp://x", 9, Cause.PROTOCOL),
    ],
)
async def test_failures_of_answers(client: Client, reply: str, limit: int, cause: Cause | None) -> None:
    async with BlobServer(script=lambda _: (reply, b"hello")) as server:
        if cause is None:
            assert (await client.request("GET", server.url, [], limit=limit)).body == b"hello"
            return
        with pytest.raises(Failure) as caught:
            await client.request("GET", server.url, [], limit=limit)
        assert caught.value.cause is cause
        assert server.url in caught.value.message


async def test_no_answer(client: Client) -> None:
    with pytest.raises(Failure) as caught:
        await client.request("GET", "http://bob:hunter2@127.0.0.1:1/?sig=s3cr3t", [])
    assert caught.value.cause is Cause.UNREACHABLE
    assert caught.value.retryable
    assert "s3cr3t" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_no_progress() -> None:
    client = Client(user_agent="t", progress_timeout=0.05)
    async with BlobServer(bytes(100)) as server:
        server.gate(50)
        with pytest.raises(Failure) as caught:
            await client.request("GET", server.url, [])
        assert caught.value.cause is Cause.TIMEOUT


async def test_bad_arguments_are_told_at_the_call(client: Client) -> None:
    with pytest.raises(ValueError, match="not a URL"):
        client.request("GET", "nginx", [])
    with pytest.raises(ValueError, match="not a URL"):
        client.source("nginx", [])
    with pytest.raises(ValueError, match="Authorization") as caught:
        client.source("http://x/", [("Authorization", "s3cr3t\n")])
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(ValueError, match="progress_timeout"):
        Client(user_agent="t", progress_timeout=-1)
    with pytest.raises(ValueError, match="client_cert and client_key"):
        Client(user_agent="t", client_cert="x")
    with pytest.raises(ValueError, match=r"/nowhere\.pem"):
        Client(user_agent="t", ca_file="/nowhere.pem")


async def test_a_source_sends_nothing_before_it_is_begun(client: Client) -> None:
    async with BlobServer(b"hello") as server:
        source = client.source(server.url, [])
        assert (source.received, source.statuses) == (0, [])
        assert server.asked == []


async def test_a_cancelled_request_ends(client: Client) -> None:
    async with BlobServer(bytes(100)) as server:
        server.gate(0)
        request = asyncio.ensure_future(client.request("GET", server.url, []))
        await server.arrived.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        # The connection is dropped with the request: its handler sees the end of it.
        server.open()


async def test_many_at_once(client: Client) -> None:
    async with BlobServer(b"hello") as server:
        answers = await asyncio.gather(*(client.request("GET", server.url, []) for _ in range(200)))
        assert [answer.body for answer in answers] == [b"hello"] * 200


def _certificate(folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None) -> Path:
    """Writes name.crt and name.key: an authority, or signed by one."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / f"{name}.crt"


def _issued(folder: Path, *names: str) -> None:
    ca = _certificate(folder, "ca", None)
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    for name in names:
        _certificate(folder, name, (x509.load_pem_x509_certificate(ca.read_bytes()), key))


async def test_tls_authority_and_client_certificate(tmp_path: Path) -> None:
    _issued(tmp_path, "server", "client")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    cert, key, ca = (str(tmp_path / name) for name in ("client.crt", "client.key", "ca.crt"))
    async with BlobServer(b"hello", tls=context) as server:
        for welcome in (
            Client(user_agent="t", ca_file=ca, client_cert=cert, client_key=key),
            Client(user_agent="t", verify=False, client_cert=cert, client_key=key),
        ):
            assert (await welcome.request("GET", server.url, [])).body == b"hello"
        for stranger in (Client(user_agent="t", client_cert=cert, client_key=key), Client(user_agent="t", ca_file=ca)):
            with pytest.raises(Failure) as caught:
                await stranger.request("GET", server.url, [])
            assert caught.value.cause is Cause.UNREACHABLE


@pytest.mark.parametrize("runner", ["asyncio", "uvloop"])
def test_a_loop_that_closes_on_work_prints_nothing(runner: str) -> None:
    """Work in flight when the loop, and then the process, ends: nobody is told, and nothing is printed."""
    program = f"""
        import asyncio, {runner}, socket
        from pyregistry._native import Client

        async def main(listener):
            client = Client(user_agent="t")
            url = f"http://127.0.0.1:{{listener.getsockname()[1]}}/"
            for _ in range(20):
                client.request("GET", url, [])
            await asyncio.sleep(0)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            for _ in range(3):
                {runner}.run(main(listener))
        """
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=30,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_fork_after_the_threads_began_is_told() -> None:
    program = """
        import asyncio, os
        from pyregistry._native import Client

        async def main():
            asked = Client(user_agent="t").request("GET", "http://127.0.0.1:1/", [])
            await asyncio.gather(asked, return_exceptions=True)

        asyncio.run(main())
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(main())
            except RuntimeError as error:
                os._exit(0 if "fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=30,
    )


async def test_proxy_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async with BlobServer(b"hello") as proxy, BlobServer(b"direct") as direct:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        client = Client(user_agent="t")
        assert (await client.request("GET", "http://registry.example/v2/", [])).body == b"hello"
        assert proxy.asked[0].path == "http://registry.example/v2/"
        assert (await client.request("GET", direct.url, [])).body == b"direct"
