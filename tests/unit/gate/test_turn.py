"""Figures read from what pytest writes."""

import json

from benches.gate.turn import read

OUTCOMES = """<testsuites><testsuite>
<testcase classname="benches.test_warm" name="test_whole_blob[4]"/>
<testcase classname="benches.test_warm" name="test_slow"><failure message="assert 1 == 2&#10;more"/></testcase>
<testcase classname="benches.test_push" name="test_push"><skipped message="wrk is not here"/></testcase>
<testcase classname="" name="benches.test_new"><error message="collection failure">trace</error></testcase>
</testsuite></testsuites>"""


def records(**benches: dict[str, object]) -> str:
    named = [{"fullname": f"benches/test_warm.py::{name}", "extra_info": info} for name, info in benches.items()]
    return json.dumps({"benchmarks": named})


def test_numbers_become_samples() -> None:
    made = read(records(**{"test_whole_blob[4]": {"cpu_per_gb": 0.4, "gb_per_s": 3, "system": "cubic"}}), OUTCOMES)
    assert made.samples == {"benches/test_warm.py::test_whole_blob[4]": {"cpu_per_gb": [0.4], "gb_per_s": [3.0]}}


def test_a_bench_that_failed_gives_its_reason_and_no_sample() -> None:
    made = read(records(test_slow={"cpu_per_gb": 0.4}), OUTCOMES)
    assert made.samples == {}
    assert made.failed["benches/test_warm.py::test_slow"] == "assert 1 == 2"
    assert made.skipped == {"benches/test_push.py::test_push": "wrk is not here"}


def test_a_file_that_cannot_be_imported_is_a_failure() -> None:
    assert read("", OUTCOMES).failed["benches/test_new.py"] == "collection failure"
