"""How `status` shows what it saw."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pyregistry.cli import status
from pyregistry.cli.survey import Survey
from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata import Totals
from pyregistry.telemetry.exposition import UpstreamTotals


@dataclass
class Fill:
    """What the store tells of a fill."""

    digest: str
    size: int | None
    had: int
    owned: bool
    failure: Failure | None = None

    @property
    def frontier(self) -> int:
        return self.had


def shown(survey: Survey, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(status._shown(survey))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def survey(**changes: Any) -> Survey:
    seen: dict[str, Any] = {
        "root": Path("data"),
        "server": 4242,
        "fills": [],
        "facts": None,
        "trouble": None,
        "upstreams": {},
    }
    return Survey(**{**seen, **changes})


def test_fills_with_their_progress() -> None:
    fills = [
        Fill("sha256:" + "a" * 64, 100_000_000, 25_000_000, owned=True),
        Fill("sha256:" + "b" * 64, None, 7_000_000, owned=True),
        Fill("sha256:" + "c" * 64, 10_000_000, 5_000_000, owned=False),
        Fill("sha256:" + "d" * 64, 10, 0, owned=False, failure=Failure(Cause.TIMEOUT, "slow")),
    ]
    lines = shown(survey(fills=fills)).splitlines()
    assert lines[0] == "data: served by process 4242"
    first, second, third, fourth = lines[-4:]
    assert first.startswith("sha256:aaaaaaaaaaaa ")
    assert "25% 100.0 MB" in " ".join(first.split())
    assert "?" in second
    assert "50%" in third
    assert "stopped" in third
    assert "timeout" in fourth
    assert "…" not in "".join(lines)


def test_an_empty_fill_of_size_zero() -> None:
    assert "sha256:e" in shown(survey(fills=[Fill("sha256:" + "e" * 64, 0, 0, owned=True)]))


def test_upstreams_and_content_fit_a_terminal() -> None:
    totals = UpstreamTotals(requests=1234, received=10**12, served=123 * 10**12, quota_remaining=100)
    totals.results.update(hit=999_999, miss=1)
    facts = Totals(12, 34_000_000, 5, 6000, 7, {"registry.gitlab.com": 3, None: 2})
    text = shown(survey(facts=facts, upstreams={"registry.gitlab.com": totals}))
    assert "34.0 MB in 12 blobs, 5 manifests, 7 tags, 5 repositories" in text.replace("\n", " ")
    assert "registry.gitlab.com" in text
    assert "100.0%" in text
    assert "hosted here" in text


def test_trouble_with_the_database_is_told() -> None:
    assert "disk I/O error" in shown(survey(trouble="data/metadata.sqlite: disk I/O error"))


@pytest.mark.parametrize("server", [None, 1])
def test_json_is_plain(server: int | None) -> None:
    fills = [Fill("sha256:" + "d" * 64, 10, 0, owned=False, failure=Failure(Cause.TIMEOUT, "slow"))]
    facts = Totals(1, 2, 3, 4, 5, {None: 1, "docker.io": 2})
    seen = survey(server=server, fills=fills, facts=facts).as_json()
    assert seen["fills"][0]["failure"] == "slow"
    assert seen["content"]["repositories"] == {"": 1, "docker.io": 2}
    assert seen["server"] == server
