"""Whether a cell came out as the table says."""

import re

from tests.integration.fault_matrix.cells import Moment, State
from tests.integration.fault_matrix.table import Row

_ONE = re.compile(r"[GH][tdbrp]@?")
_TOKEN = re.compile(r"(?P<letters>([GH][tdbrp]@?)+)(?:(?P<maybe>\?)|\*(?P<least>\d+)(?:\.\.(?P<most>\d+))?)?")


def expected(row: Row, moment: Moment, state: State) -> str:
    """The cell of the table."""
    cells = row.expected[moment.name.lower()].split("|")
    assert len(cells) == len(State), (row.name, moment)
    return cells[list(State).index(state)].strip()


def fits(cell: str, seen: str) -> bool:
    """Whether `seen` (`outcome: requests`) is what the table's `cell` allows."""
    wanted, named, requests = cell.partition(":")
    got, _, asked = seen.partition(":")
    parts, came = wanted.split(", fill "), got.split(", fill ")
    if len(parts) != len(came) or not all(map(_outcome_fits, parts, came)):
        return False
    return not named or re.fullmatch(_pattern(requests), _spelled_out(asked)) is not None


def _outcome_fits(wanted: str, got: str) -> bool:
    allowed = set[str]()
    for one in wanted.split(" or "):
        error = one.removeprefix("fails ")
        allowed |= {one} if error == one else {error, "200 cut", "206 cut"}
        if error.endswith("DIGEST_MISMATCH") and error != one:
            # Only the last bytes wait for the digest (I4).
            allowed |= {"200 cut wrong", "206 cut wrong"}
    return got in allowed


def _pattern(requests: str) -> str:
    """The regular expression of what `_spelled_out` gives."""
    pattern = ""
    for token in requests.split():
        found = _TOKEN.fullmatch(token)
        assert found is not None, token
        least = 0 if found["maybe"] else int(found["least"] or 1)
        group = "".join(f"{one} " for one in _ONE.findall(found["letters"]))
        pattern += f"({group}){{{least},{found['most'] or max(least, 1)}}}"
    return pattern


def _spelled_out(requests: str) -> str:
    """`Gb Gr*2` as `Gb Gr Gr `."""
    return "".join(
        f"{letters} " * int(count or 1) for letters, _, count in (t.partition("*") for t in requests.split())
    )
