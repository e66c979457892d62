import time
from pathlib import Path

from pyregistry.server.heartbeat import Heartbeats


def test_beats_are_seen_through_another_mapping(tmp_path: Path) -> None:
    main = Heartbeats.create(tmp_path / "heartbeats", 3)
    worker = Heartbeats.open(tmp_path / "heartbeats")
    before = time.monotonic()
    worker.beat(1)
    last = main.last(1)
    assert last is not None
    assert before - 1e-6 <= last <= time.monotonic()
    assert main.last(0) is None
    assert main.last(2) is None
    main.clear(1)
    assert worker.last(1) is None
    main.close()
    worker.close()


def test_a_new_file_leaves_the_old_mapping_alone(tmp_path: Path) -> None:
    old = Heartbeats.create(tmp_path / "heartbeats", 2)
    old.beat(1)
    new = Heartbeats.create(tmp_path / "heartbeats", 1)
    assert old.last(1) is not None
    assert new.last(0) is None
    old.close()
    new.close()
