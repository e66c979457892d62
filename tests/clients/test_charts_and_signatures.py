"""helm and cosign bring charts and signatures to a hosted repository, and get them back."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from tests.support.clients import get
from tests.support.images import Image, image
from tests.support.layout import write_layout
from tests.support.serve import Serve
from tests.support.tools import crane, run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with Serve(tmp_path_factory.mktemp("pushed") / "root", workers=2) as started:
        yield started


def helm(home: Path, *arguments: str) -> None:
    cache, config, data = (str(home / kind) for kind in ("cache", "config", "data"))
    run("helm", *arguments, HELM_CACHE_HOME=cache, HELM_CONFIG_HOME=config, HELM_DATA_HOME=data)


def test_helm(server: Serve, tmp_path: Path) -> None:
    chart = tmp_path / "tiny"
    chart.mkdir()
    # helm makes a tag `0.1.0_build.7` of this version: a tag has no plus sign.
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0+build.7\n")
    helm(tmp_path, "package", str(chart), "--destination", str(tmp_path))
    packed = tmp_path / "tiny-0.1.0+build.7.tgz"
    helm(tmp_path, "push", "--plain-http", str(packed), f"oci://{server.host}/team/charts")
    name = f"{server.host}/team/charts/tiny"
    assert crane("ls", name).split() == ["0.1.0_build.7"]
    digest = crane("digest", f"{name}:0.1.0_build.7").strip()
    pulls = {"tag": [f"oci://{name}", "--version", "0.1.0+build.7"], "digest": [f"oci://{name}@{digest}"]}
    for way, what in pulls.items():
        back = tmp_path / way
        back.mkdir()
        helm(tmp_path, "pull", "--plain-http", "--destination", str(back), *what)
        (found,) = back.iterdir()
        assert found.read_bytes() == packed.read_bytes()


class Signer:
    """cosign with a key pair of its own. It would ask the network for Sigstore's keys and services: here are none."""

    def __init__(self, folder: Path) -> None:
        self._home = str(folder)
        self.key, self.public = str(folder / "own.key"), str(folder / "own.pub")
        self("generate-key-pair", "--output-key-prefix", str(folder / "own"))
        self.no_roots, self.no_services = folder / "roots.json", folder / "services.json"
        self.no_roots.write_text(self("trusted-root", "create"))
        self.no_services.write_text(self("signing-config", "create"))

    def __call__(self, *arguments: str) -> str:
        return run("cosign", *arguments, HOME=self._home, COSIGN_PASSWORD="")

    def sign(self, name: str, *how: str) -> None:
        common = ["--yes", "--allow-http-registry", "--key", self.key, "--trusted-root", str(self.no_roots)]
        self("sign", *common, *how, name)

    def verified(self, name: str, *how: str) -> str:
        """The digest that is signed; CalledProcessError where no signature by this key is."""
        common = ["--allow-http-registry", "--key", self.public, "--insecure-ignore-tlog"]
        (signed,) = json.loads(self("verify", *common, *how, name))
        return str(signed["critical"]["image"]["docker-manifest-digest"])


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path)


def pushed(server: Serve, repository: str, tmp_path: Path) -> Image:
    made = image([20_000], seed=repository)
    crane("push", str(write_layout(tmp_path / "layout", {"v1": made})), f"{server.host}/{repository}:v1")
    return made


def test_cosign_signature_that_refers_to_its_image(server: Serve, signer: Signer, tmp_path: Path) -> None:
    made = pushed(server, "team/signed", tmp_path)
    name = f"{server.host}/team/signed@{made.digest}"
    signer.sign(name, "--signing-config", str(signer.no_services))
    assert signer.verified(name) == made.digest
    (found,) = json.loads(get(f"{server.url}/v2/team/signed/referrers/{made.digest}").body)["manifests"]
    assert found["artifactType"].startswith("application/vnd.dev.sigstore.bundle.")
    assert crane("ls", f"{server.host}/team/signed").split() == ["v1"]


def test_cosign_signature_by_tag(server: Serve, signer: Signer, tmp_path: Path) -> None:
    made = pushed(server, "team/signed-by-tag", tmp_path)
    name = f"{server.host}/team/signed-by-tag@{made.digest}"
    older = ["--new-bundle-format=false"]
    signer.sign(name, *older, "--use-signing-config=false", "--tlog-upload=false")
    assert signer.verified(name, *older) == made.digest
    assert crane("ls", f"{server.host}/team/signed-by-tag").split() == [f"{made.digest.replace(':', '-')}.sig", "v1"]


def test_cosign_finds_no_signature_by_another_key(server: Serve, signer: Signer, tmp_path: Path) -> None:
    made = pushed(server, "team/signed-by-another", tmp_path)
    name = f"{server.host}/team/signed-by-another@{made.digest}"
    signer.sign(name, "--signing-config", str(signer.no_services))
    (tmp_path / "other").mkdir()
    with pytest.raises(CalledProcessError):
        Signer(tmp_path / "other").verified(name)
