"""The OCI conformance suite against `pyregistry serve` with two workers, and read-only through the mirror."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.images import Image, artifact, image, multi_platform
from tests.support.peers import Distribution
from tests.support.serve import Serve
from tests.support.surroundings import quiet_environment
from tests.support.tools import find

#: A line of the report's tree: name, verdict.
_VERDICT = re.compile(r"^\s*(?P<name>.+?): (?P<verdict>Pass|FAIL|Error|Skip|Disabled)\b", re.MULTILINE | re.IGNORECASE)
#: What the suite itself skips, whatever the server does.
FORCED: frozenset[str] = frozenset()


def run_suite(server: Serve, results: Path, **settings: str) -> tuple[int, str]:
    """Exit code and everything printed."""
    results.mkdir()
    environment = {
        **quiet_environment(),
        "OCI_REGISTRY": server.host,
        "OCI_TLS": "disabled",
        "OCI_REPO1": "conformance/repo1",
        "OCI_REPO2": "conformance/repo2",
        "OCI_RESULTS_DIR": str(results),
        **settings,
    }
    done = subprocess.run(
        [find("conformance")], env=environment, cwd=results, capture_output=True, text=True, timeout=600, check=False
    )
    return done.returncode, done.stdout + done.stderr


def verdicts(printed: str) -> dict[str, list[str]]:
    """Names of the report's tests by verdict."""
    by_verdict: dict[str, list[str]] = {}
    for match in _VERDICT.finditer(printed):
        by_verdict.setdefault(match["verdict"].capitalize(), []).append(match["name"].strip())
    return by_verdict


@pytest.mark.timeout(700)
@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_everything_passes(version: str, serve: Callable[..., Serve], tmp_path: Path) -> None:
    server = serve(workers=2, hosted=["conformance/*"], policy={"sparse_images": True})
    code, printed = run_suite(server, tmp_path / "results", OCI_VERSION=version, OCI_DATA_SPARSE="true")
    found = verdicts(printed)
    assert found.get("Fail", []) == [], printed[-20000:]
    assert found.get("Error", []) == []
    assert set(found.get("Skip", [])) <= FORCED
    assert len(found["Pass"]) > 100
    assert code == 0, printed[-5000:]


@pytest.mark.timeout(700)
def test_reading_through_the_mirror_passes(
    distribution: Distribution, serve: Callable[..., Serve], tmp_path: Path
) -> None:
    """Content of another running registry, cold: the mirror is as conformant as a registry that has it."""
    images: dict[str, Image] = {"image": image([4096, 70_000], seed="ro"), "index": multi_platform(seed="ro index")}
    images["artifact"] = artifact(b"signed", "application/vnd.example.signature", subject=images["image"])
    for tag, made in images.items():
        distribution.push("conformance/repo1", tag, made)
    server = serve(workers=2, upstreams={"docker.io": distribution.url})
    parts = [part for made in images.values() for part in made.walk()]
    blobs = {blob.digest for part in parts for blob in part.blobs}
    _, printed = run_suite(
        server,
        tmp_path / "results",
        OCI_VERSION="1.1",
        OCI_API_PUSH="false",
        OCI_API_BLOBS_DELETE="false",
        OCI_API_MANIFESTS_DELETE="false",
        OCI_API_TAGS_DELETE="false",
        OCI_RO_DATA_TAGS=" ".join(images),
        OCI_RO_DATA_MANIFESTS=" ".join(part.digest for part in parts),
        OCI_RO_DATA_BLOBS=" ".join(sorted(blobs)),
        OCI_RO_DATA_REFERRERS=images["image"].digest,
    )
    # This version of the suite crashes in this mode once it has printed its report: what it printed counts.
    found = verdicts(printed)
    assert found.get("Fail", []) == [], printed[-20000:]
    assert found.get("Error", []) == []
    assert len(found["Pass"]) > 10
