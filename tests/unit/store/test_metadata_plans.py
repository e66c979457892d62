"""Every statement finds its rows by an index, whatever the tables hold: no scan, no sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyregistry.store.metadata import Metadata
from pyregistry.store.metadata.sqlite import DATABASE, Connection
from tests.unit.store.statements import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The one row of parameters that a query begins with.
CONSTANT = {"SCAN CONSTANT ROW", "SCAN asked"}
#: Sums, and the question whether there is a table at all.
WALKING = {name for name in STATEMENTS if name.startswith("totals.")}
ANYTHING = "database._ANYTHING"
#: Pages: where each begins to read, so that nothing before it is passed over.
PAGES = {
    "repositories.CATALOG": "SEARCH repository USING INDEX ix_repository_listed (name>?)",
    "tags.HOSTED_TAGS": "SEARCH tag USING PRIMARY KEY (repository_id=? AND name>?)",
    "referrers.REFERRERS": "SEARCH repository_manifest USING COVERING INDEX ix_repository_manifest_subject "
    "(repository_id=? AND subject_digest=? AND digest>?)",
    "referrers.REFERRERS_OF_TYPE": "SEARCH repository_manifest USING COVERING INDEX "
    "ix_repository_manifest_artifact_type (repository_id=? AND subject_digest=? AND artifact_type=? AND digest>?)",
    "uploads.IDLE_UPLOADS": "SEARCH upload USING INDEX ix_upload_touched_at (touched_at<?)",
    "blobs.PUSHED_TO": "SEARCH repository_blob USING COVERING INDEX ix_repository_blob_digest_origin "
    "(digest=? AND origin=?)",
    "checks.MISSING_BEFORE": "SEARCH freshness USING INDEX ix_freshness_missing (checked_at<?)",
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    root: Path = tmp_path_factory.mktemp("root")
    Metadata.open(root).close()
    opened = Connection(root / DATABASE, read_only=False)
    yield opened
    opened.close()


def slow(plan: list[str]) -> list[str]:
    return [step for step in plan if ("SCAN" in step and step not in CONSTANT) or "TEMP B-TREE" in step]


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - WALKING - {ANYTHING}))
def test_no_statement_of_the_request_path_walks_or_sorts(connection: Connection, name: str) -> None:
    assert slow(connection.plan(STATEMENTS[name])) == []


@pytest.mark.parametrize("name", sorted(WALKING))
def test_totals_do_walk_and_this_test_would_see_it(connection: Connection, name: str) -> None:
    assert slow(connection.plan(STATEMENTS[name])) != []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_one_range_of_an_index(connection: Connection, name: str) -> None:
    assert PAGES[name] in connection.plan(STATEMENTS[name])
