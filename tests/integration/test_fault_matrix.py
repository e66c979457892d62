"""Every fault of the scripted upstream x moment x state of the store, as `fault_matrix/table.py` expects it.

No cell may lose data, hand out wrong bytes as a complete body, or hang; and once its fault is gone, everything can be
had again.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.fault_matrix.expectation import expected, fits
from tests.integration.fault_matrix.run import run_rows
from tests.integration.fault_matrix.table import ROWS
from tests.support.serve import Serve


@pytest.mark.timeout(240)
@pytest.mark.parametrize("group", ROWS)
def test_faults(group: str, serve: Callable[..., Serve], tmp_path: Path) -> None:
    rows = {row.name: row for row in ROWS[group]}
    wrong = []
    for (name, moment, state), seen in run_rows(list(rows.values()), serve, tmp_path).items():
        cell = expected(rows[name], moment, state)
        if not fits(cell, seen):
            wrong.append(f"{name}, {moment.name}, {state.name}: {cell!r} was {seen!r}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("cell", "seen", "good"),
    [
        ("200: Ht", "200: Ht", True),
        ("200: Ht", "200:", False),
        ("200:", "200: Ht", False),
        ("206", "206: Gb Gr*2", True),
        ("206", "206 cut: Gb", False),
        ("fails 502 UPSTREAM: Gb*3", "502 UPSTREAM: Gb*3", True),
        ("fails 502 UPSTREAM: Gb*3", "200 cut: Gb*2", False),
        ("206 or fails 502 UPSTREAM", "206 cut: Gb", True),
        ("502 UPSTREAM: Gb", "200 cut: Gb", False),
        ("200: Hb? Gb", "200: Gb", True),
        ("200: Hb? Gb", "200: Hb*2 Gb", False),
        ("200: Gb Gr*1..3", "200: Gb Gr*3", True),
        ("200: Gb Gr*1..3", "200: Gb Gr*4", False),
        ("200: GrGr@*2", "200: Gr Gr@ Gr Gr@", True),
        ("200: GrGr@*2", "200: Gr*2 Gr@*2", False),
        ("fails 502 DIGEST_MISMATCH", "200 cut wrong", True),
        ("fails 502 UPSTREAM", "200 cut wrong", False),
        ("200, fill fails 504 TIMEOUT: Gr@", "200, fill 200 cut: Gr@", True),
        ("200, fill fails 504 TIMEOUT: Gr@", "200 cut, fill 200 cut: Gr@", False),
        ("200", "WRONG: Gb", False),
        ("fails 502 UPSTREAM", "HANGS: Gb", False),
    ],
)
def test_what_a_cell_allows(cell: str, seen: str, good: bool) -> None:
    assert fits(cell, seen) is good
