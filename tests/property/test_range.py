"""`parse_range` against a model that counts bytes one by one (RFC 9110 section 14.1.2)."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from pyregistry._native import MAX_RANGES, parse_range

SPEC = re.compile(r"(?:(?P<first>[0-9]+)-(?P<last>[0-9]*)|-(?P<suffix>[0-9]+))", re.ASCII)


def model(header: str, size: int) -> list[tuple[int, int]] | None:
    """What the RFC says, by the set of positions that each spec asks for (none, if it ends before it begins)."""
    unit, equals, rest = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs = [spec for part in rest.split(",") if (spec := part.strip(" \t"))]
    if not 1 <= len(specs) <= MAX_RANGES:
        return None
    ranges = []
    for spec in specs:
        match = SPEC.fullmatch(spec)
        if match is None:
            return None
        if match["suffix"] is not None:
            asked = [at for at in range(size) if at >= size - int(match["suffix"])]
        else:
            first = int(match["first"])
            last = int(match["last"]) if match["last"] else size
            asked = [at for at in range(size) if first <= at <= last]
        if asked:
            ranges.append((asked[0], asked[-1] + 1))
    return ranges


NUMBERS = st.one_of(st.integers(0, 30), st.sampled_from([2**63, 2**64 - 1, 2**64, 10**30]), st.just(""))
SPECS = st.one_of(
    st.builds("{}-{}".format, NUMBERS, NUMBERS),
    st.sampled_from(["", "-", "--1", "1--2", "+1-2", "1-+2", "a-b", "0x1-2", "1 - 2", "٣-٤", "-0", "00-007"]),
)
HEADERS = st.builds(
    "{}={}".format,
    st.sampled_from(["bytes", "Bytes", "BYTES", "bytes ", "items", "", "byte"]),
    st.lists(SPECS, max_size=6).flatmap(
        lambda specs: st.lists(st.sampled_from(["", " ", "\t"]), min_size=len(specs) * 2, max_size=len(specs) * 2).map(
            lambda blanks: ",".join(blanks[at * 2] + spec + blanks[at * 2 + 1] for at, spec in enumerate(specs))
        )
    ),
)


@given(HEADERS, st.integers(0, 20))
@example("bytes=0-0", 1)
@example("bytes=-1", 0)
@example("bytes=0-", 0)
@example("bytes=5-4", 10)
def test_agrees_with_the_model(header: str, size: int) -> None:
    assert parse_range(header, size) == model(header, size)


@given(st.text(max_size=30), st.integers(0, 2**64 - 1))
def test_takes_any_text(header: str, size: int) -> None:
    for start, end in parse_range(header, size) or []:
        assert 0 <= start < end <= size


def test_at_most_max_ranges() -> None:
    asked = ["0-0"] * MAX_RANGES
    assert parse_range("bytes=" + ",".join(asked), 10) == [(0, 1)] * MAX_RANGES
    assert parse_range("bytes=" + ",".join([*asked, "0-0"]), 10) is None
