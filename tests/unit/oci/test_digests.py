"""Digests."""

import hashlib

import pytest

from pyregistry.oci.digests import (
    EMPTY_BLOBS,
    InvalidDigest,
    algorithm,
    digest_of,
    encoded,
    parse_digest,
)

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_accepts_both_registered_algorithms(text: str) -> None:
    digest = parse_digest(text)
    assert digest == text
    assert f"{algorithm(digest)}:{encoded(digest)}" == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no algorithm"),
        ("latest", "no algorithm"),
        ("sha256:", "64 hex digits, not 0"),
        (SHA256[:-1], "64 hex digits, not 63"),
        (SHA256 + "0", "64 hex digits, not 65"),
        (SHA256.replace("sha256", "sha512"), "128 hex digits, not 64"),
        (SHA256.upper(), "'SHA256' is not supported"),
        ("sha256:" + "A" * 64, "other than 0-9 and a-f"),
        ("sha256:" + "g" * 64, "other than 0-9 and a-f"),
        (SHA256[:-1] + "\n", "other than 0-9 and a-f"),
        ("sha256:" + "٣" * 64, "other than 0-9 and a-f"),
        ("md5:" + "0" * 32, "'md5' is not supported"),
        ("sha256:sha256:" + "0" * 57, "other than 0-9 and a-f"),
    ],
)
def test_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(InvalidDigest, match=said):
        parse_digest(text)


def test_message_does_not_grow_with_what_a_client_sends() -> None:
    with pytest.raises(InvalidDigest) as caught:
        parse_digest("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_digest_of() -> None:
    assert digest_of(b"a") == "sha256:" + hashlib.sha256(b"a").hexdigest()
    assert digest_of(b"a", "sha512") == "sha512:" + hashlib.sha512(b"a").hexdigest()
    with pytest.raises(InvalidDigest):
        digest_of(b"a", "md5")


def test_empty_blobs_are_the_empty_string_under_every_algorithm() -> None:
    assert set(EMPTY_BLOBS) == {digest_of(b""), digest_of(b"", "sha512")}
    assert set(EMPTY_BLOBS.values()) == {b""}
    # A literal, so that hashlib is not its own witness.
    assert "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" in EMPTY_BLOBS
