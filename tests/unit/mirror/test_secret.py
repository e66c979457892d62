"""The secret of a storage root."""

import threading
from pathlib import Path

from pyregistry.mirror.secret import shared_secret


def test_all_who_ask_get_the_same(tmp_path: Path) -> None:
    run = tmp_path / "run"
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(shared_secret(run))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert [path.name for path in run.iterdir()] == ["secret"]
    assert (run / "secret").stat().st_mode & 0o777 == 0o600


def test_roots_have_their_own(tmp_path: Path) -> None:
    assert shared_secret(tmp_path / "a") != shared_secret(tmp_path / "b")


def test_a_broken_one_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"")
    assert len(shared_secret(tmp_path)) == 32
