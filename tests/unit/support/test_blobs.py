import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

from tests.support.blobs import blob, file_blob, random_blob


def test_random_blobs_are_the_same_for_the_same_seed() -> None:
    first, again, other = random_blob(100_000, "a"), random_blob(100_000, "a"), random_blob(100_000, "b")
    assert first.digest == again.digest != other.digest
    assert first.digest == f"sha256:{hashlib.sha256(first.data).hexdigest()}"
    assert random_blob(5, "a", "sha512").digest.startswith("sha512:")


def test_seeded_bytes_never_change() -> None:
    """Other processes and recorded digests depend on them."""
    assert random_blob(16, "a").digest == "sha256:a64fdcd61a1c6cf61f035d7b877bf14af1f15c7f8bbd32c3a6926f4cbc1c801e"


def test_same_compares_at_an_offset() -> None:
    large = random_blob(200_000, "same")
    buffer = bytearray(large.data[1000:2000]) + bytearray(24)
    assert large.same(1000, buffer, 1000)
    assert not large.same(1001, buffer, 1000)
    assert not large.same(199_500, buffer, 1000)
    small = blob(b"hello")
    assert small.same(1, bytearray(b"ello"), 4)
    assert not small.same(1, bytearray(b"elle"), 4)


def test_a_blob_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(b"x" * 100_000)
    made = file_blob(path)
    assert made.digest == blob(b"x" * 100_000).digest
    assert made.same(0, bytearray(b"x" * 100_000), 100_000)


def test_other_processes_map_a_blob_without_a_copy() -> None:
    large = random_blob(1 << 20, "pickle")
    message = pickle.dumps(large)
    assert len(message) < 1000
    script = "import pickle, sys, hashlib; b = pickle.load(sys.stdin.buffer); print(hashlib.sha256(b.data).hexdigest())"
    seen = subprocess.run([sys.executable, "-c", script], input=message, capture_output=True, check=True)
    assert large.digest == f"sha256:{seen.stdout.decode().strip()}"
