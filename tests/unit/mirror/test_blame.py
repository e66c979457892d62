"""Whose failure a fill's record is."""

from pyregistry.errors import Cause, Failure
from pyregistry.mirror.blame import concerns, marked, unmarked

LIMITED = Failure(Cause.RATE_LIMITED, "slow down", status=429, retry_after=7, challenge="Basic")


def test_a_record_concerns_those_who_were_asked() -> None:
    recorded = marked(LIMITED, ["docker.io/team/app", "ghcr.io/team/app"])
    assert concerns(recorded, "docker.io/team/app")
    assert concerns(recorded, "ghcr.io/team/app")
    assert not concerns(recorded, "quay.io/team/app")
    assert concerns(LIMITED, "quay.io/team/app"), "nobody's in particular"


def test_a_record_tells_no_name_and_is_whole_without_its_marks() -> None:
    recorded = marked(LIMITED, ["secret.example/project"])
    assert "secret" not in recorded.message
    assert vars(unmarked(recorded)) == vars(LIMITED)
    assert unmarked(LIMITED) is LIMITED


def test_marks_leave_room_for_the_message() -> None:
    assert len(marked(LIMITED, map(str, range(1000))).message) < 100
