"""Counts read from callgrind's dumps."""

import pytest

from benches.gate.callgrind import read
from benches.gate.revision import GateError


def dump(part: int, count: int, trigger: str = "--dump-before=getpgid") -> str:
    return f"version: 1\npart: {part}\n\ndesc: Trigger: {trigger}\n\nevents: Ir\nsummary: {count}\n\ntotals: {count}\n"


def test_the_second_dump_of_each_pair_is_the_work() -> None:
    dumps = [dump(4, 800), dump(1, 10**9), dump(2, 400), dump(3, 10**7), dump(5, 99, "Program termination")]
    made = read({"a": 4, "b": "no such thing", "c": 8}, dumps)
    assert made.samples == {"a": {"instructions": [100.0]}, "c": {"instructions": [100.0]}}
    assert made.failed == {"b": "no such thing"}


def test_dumps_that_are_missing_are_an_error() -> None:
    with pytest.raises(GateError, match="counted 1 times where 2"):
        read({"a": 4}, [dump(1, 10)])
