"""Files a configuration names: each one that cannot be used is named, and why."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pyregistry.config import Config, ConfigError
from pyregistry.config.files import check_files

Pair = tuple[Path, Path]


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., Pair]:
    """A certificate and its key, the key encrypted on wish."""

    def make(name: str, password: bytes | None = None) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        cert_file, key_file = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        )
        return cert_file, key_file

    return make


def tls(cert: Path, key: Path) -> Config:
    return Config.model_validate({"http": {"tls": {"cert": cert, "key": key}}})


def problem(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        check_files(config)
    (told,) = caught.value.problems
    return told


def test_good_files(pair: Callable[..., Pair], tmp_path: Path) -> None:
    cert, key = pair("a")
    (tmp_path / "password").write_text("p")
    upstream = {
        "url": "https://a",
        "ca_file": cert,
        "client_cert": cert,
        "client_key": key,
        "username": "u",
        "password_file": tmp_path / "password",
    }
    check_files(
        Config.model_validate({"http": {"tls": {"cert": cert, "key": key}}, "mirror": {"upstreams": {"a": upstream}}})
    )


def test_a_missing_file(pair: Callable[..., Pair]) -> None:
    cert, _ = pair("a")
    assert problem(tls(cert, Path("/nowhere"))) == "http.tls: /nowhere: No such file or directory"


def test_a_key_of_another_certificate(pair: Callable[..., Pair]) -> None:
    cert, key = pair("a")[0], pair("b")[1]
    assert problem(tls(cert, key)).endswith("the private key is not this certificate's")


def test_an_encrypted_key(pair: Callable[..., Pair]) -> None:
    assert "password" in problem(tls(*pair("a", b"secret")))


def test_files_that_are_no_pem(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("hello")
    assert problem(tls(file, file)).endswith("no PEM certificate chain with its private key")
    config = Config.model_validate({"mirror": {"upstreams": {"a.example": {"url": "https://a", "ca_file": file}}}})
    assert problem(config) == f'mirror.upstreams["a.example"].ca_file: {file}: no PEM certificates'


def test_a_missing_credential_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-here"
    helper.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def named(name: str) -> Config:
        upstream = {"url": "https://a", "credential_helper": name}
        return Config.model_validate({"mirror": {"upstreams": {"a.example": upstream}}})

    check_files(named("here"))
    assert problem(named("away")) == (
        'mirror.upstreams["a.example"].credential_helper: there is no program docker-credential-away on the PATH'
    )
