"""Real clients push to a hosted repository and pull back what they pushed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import artifact, image, multi_platform, tar_image
from tests.support.layout import write_layout
from tests.support.serve import Serve
from tests.support.tools import crane, run, skopeo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("pushed") / "root", workers=2) as started:
        yield started


def test_skopeo(server: Serve, tmp_path: Path) -> None:
    made = multi_platform([20_000, 3_000_000], seed="skopeo push")
    layout = write_layout(tmp_path / "layout", {"v1": made})
    name = f"docker://{server.host}/team/skopeo:v1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}:v1", name)
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", name, f"dir:{tmp_path / 'back'}")
    assert (tmp_path / "back" / "manifest.json").read_bytes() == made.manifest
    assert json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{server.host}/team/skopeo"))["Tags"] == [
        "v1"
    ]
    skopeo("delete", "--tls-verify=false", name)


def test_crane(server: Serve, tmp_path: Path) -> None:
    made = multi_platform([20_000, 3_000_000], seed="crane push")
    layout = write_layout(tmp_path / "layout", {"v1": made})
    name = f"{server.host}/team/crane:v1"
    crane("push", str(layout), name)
    assert crane("digest", name).strip() == made.digest
    crane("copy", name, f"{server.host}/team/copied:v2")
    assert crane("digest", f"{server.host}/team/copied:v2").strip() == made.digest
    assert "team/crane" in crane("catalog", server.host).split()
    crane("tag", name, "v3")
    assert crane("ls", f"{server.host}/team/crane").split() == ["v1", "v3"]


def test_oras_artifact_with_referrers(server: Serve, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("data\n")
    name = f"{server.host}/team/oras:v1"
    plain = ["--plain-http", "--no-tty"]
    run("oras", "push", *plain, "--disable-path-validation", name, str(tmp_path / "data.txt"))
    attach = ["--artifact-type", "application/vnd.example.sbom", "--disable-path-validation"]
    run("oras", "attach", *plain, *attach, name, str(tmp_path / "data.txt"))
    (tmp_path / "data.txt").unlink()
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", name))
    referrers = found.get("referrers") or found["manifests"]
    assert [one["artifactType"] for one in referrers] == ["application/vnd.example.sbom"]
    run("oras", "pull", *plain, "--allow-path-traversal", "--output", str(tmp_path / "out"), name)
    # oras keeps the path it was given.
    assert (tmp_path / "data.txt").read_text() == "data\n"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_regctl(algorithm: str, server: Serve, tmp_path: Path) -> None:
    made = image([20_000, 3_000_000], seed="regctl push", algorithm=algorithm)
    layout = write_layout(tmp_path / "layout", {"v1": made})
    name = f"{server.host}/team/regctl-{algorithm}"
    config = str(tmp_path / "config.json")
    run("regctl", "registry", "set", "--tls", "disabled", server.host, REGCTL_CONFIG=config)
    run("regctl", "image", "copy", f"ocidir://{layout}:v1", f"{name}@{made.digest}", REGCTL_CONFIG=config)
    body = run("regctl", "manifest", "get", "--format", "raw-body", f"{name}@{made.digest}", REGCTL_CONFIG=config)
    assert body.encode() == made.manifest
    run("regctl", "image", "copy", f"{name}@{made.digest}", f"ocidir://{tmp_path / 'back'}:v1", REGCTL_CONFIG=config)
    algorithm_folder = tmp_path / "back" / "blobs" / algorithm
    assert (algorithm_folder / made.layers[1].digest.partition(":")[2]).stat().st_size == 3_000_000


def test_podman(server: Serve, tmp_path: Path) -> None:
    made = tar_image({"etc/pushed": b"hello\n"})
    layout = write_layout(tmp_path / "layout", {"v1": made})
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{server.host}/team/podman:v1")
    assert crane("digest", f"{server.host}/team/podman:v1").strip() == made.digest


def test_artifact_keeps_its_type(server: Serve, tmp_path: Path) -> None:
    made = artifact(b"chart", "application/vnd.cncf.helm.config.v1+json")
    layout = write_layout(tmp_path / "layout", {"v1": made})
    crane("push", str(layout), f"{server.host}/team/artifact:v1")
    manifest = json.loads(crane("manifest", f"{server.host}/team/artifact:v1"))
    assert manifest["artifactType"] == "application/vnd.cncf.helm.config.v1+json"
