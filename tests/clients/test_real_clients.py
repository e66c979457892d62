"""Real clients pull from a real registry through pyregistry: digests are equal, by every way of addressing.

The client configurations are the ones of `docs/guide/`, with this test's addresses.
"""

import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.containerd import Containerd
from tests.support.images import Flavor, Image, multi_platform, tar_image
from tests.support.peers import Distribution
from tests.support.serve import Serve
from tests.support.tools import crane, run, skopeo
from tests.support.upstream import LocalUpstream, Tokens

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
#: Nobody listens there: a pull that goes to this upstream fails.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def images() -> dict[str, Image]:
    """One of each family of media types, several platforms each; and one that can be unpacked."""
    return {
        "team/oci": multi_platform([20_000, 300_000], seed="real oci"),
        "team/docker": multi_platform([20_000, 300_000], seed="real docker", flavor=Flavor.DOCKER),
        "team/files": tar_image({"etc/hello": b"hello\n"}, {"usr/share/data": b"x" * 100_000}),
    }


@pytest.fixture(scope="module")
def registry(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    """A running distribution registry that has them, tagged v1."""
    with Distribution(tmp_path_factory.mktemp("distribution")) as server:
        for repository, made in images.items():
            server.push(repository, "v1", made)
        yield server


@pytest.fixture(scope="module")
def mirror(registry: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """pyregistry in front of it, under two upstream names; the first is the default."""
    root = tmp_path_factory.mktemp("mirror") / "root"
    with Serve(root, {"docker.io": registry.url, "ghcr.io": registry.url}) as server:
        yield server


def snippet(page: str, marker: str, host: str) -> str:
    """The last fenced block with `marker` in a page of the guide, for a mirror at `host`."""
    blocks = [
        block for block in re.findall(r"```\w+\n(.*?)```", (GUIDE / page).read_text(), re.DOTALL) if marker in block
    ]
    assert blocks, f"{page} has no block with {marker}"
    return str(blocks[-1]).replace("mirror.example:5000", host)


@pytest.mark.parametrize("repository", ["team/oci", "team/docker"])
@pytest.mark.parametrize("prefix", ["", "ghcr.io/"])
def test_skopeo_copies_every_platform(
    repository: str, prefix: str, mirror: Serve, images: dict[str, Image], tmp_path: Path
) -> None:
    source = f"docker://{mirror.host}/{prefix}{repository}:v1"
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", source, f"dir:{tmp_path / 'copy'}")
    made = images[repository]
    assert (tmp_path / "copy" / "manifest.json").read_bytes() == made.manifest
    copied = {path.name for path in (tmp_path / "copy").iterdir()}
    assert {blob.digest.partition(":")[2] for part in made.walk() for blob in part.blobs} <= copied


@pytest.mark.parametrize("repository", ["team/oci", "team/docker"])
@pytest.mark.parametrize("prefix", ["", "ghcr.io/"])
def test_crane_sees_the_same_digests(
    repository: str, prefix: str, mirror: Serve, images: dict[str, Image], tmp_path: Path
) -> None:
    made = images[repository]
    name = f"{mirror.host}/{prefix}{repository}:v1"
    assert crane("digest", name).strip() == made.digest
    # Verifies every digest and size of every platform.
    crane("pull", "--format=oci", name, str(tmp_path / "layout"))
    pulled = {path.name for path in (tmp_path / "layout" / "blobs" / "sha256").iterdir()}
    wanted = {part.digest for part in made.walk()} | {blob.digest for part in made.walk() for blob in part.blobs}
    assert {digest.partition(":")[2] for digest in wanted} <= pulled
    assert crane("ls", f"{mirror.host}/{prefix}{repository}").split() == ["v1"]


def test_containerd_asks_by_namespace(registry: Distribution, images: dict[str, Image], tmp_path: Path) -> None:
    """Its names carry no prefix: only `?ns=ghcr.io` leads to the right upstream."""
    (tmp_path / "containerd").mkdir()
    with Serve(tmp_path / "root", {"docker.io": NOWHERE, "ghcr.io": registry.url}) as server:
        text = snippet("containerd.md", "[host.", server.host)
        assert server.url in text
        with Containerd(tmp_path / "containerd", {"ghcr.io": text}) as containerd:
            for repository, made in images.items():
                containerd.fetch(f"ghcr.io/{repository}:v1")
                wanted = {part.digest for part in made.walk()}
                wanted |= {blob.digest for part in made.walk() for blob in part.blobs}
                assert wanted <= containerd.digests()


def test_podman_pulls_by_prefix(mirror: Serve, images: dict[str, Image], tmp_path: Path) -> None:
    text = snippet("podman.md", "[[registry.mirror]]", mirror.host)
    assert mirror.host in text
    conf = tmp_path / "registries.conf"
    conf.write_text(text)
    # podman takes no run root of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman-") as short:
        own = ["--root", str(tmp_path / "root"), "--runroot", short, "--storage-driver", "vfs"]
        run("podman", *own, "pull", "ghcr.io/team/files:v1", CONTAINERS_REGISTRIES_CONF=str(conf))
        shown = run("podman", *own, "image", "inspect", "ghcr.io/team/files:v1", CONTAINERS_REGISTRIES_CONF=str(conf))
    assert json.loads(shown)[0]["Digest"] == images["team/files"].digest
    assert any("containers/" in (line.get("user_agent") or "") for line in mirror.log_lines)


def test_skopeo_from_an_upstream_that_wants_tokens(
    images: dict[str, Image], serve: Callable[..., Serve], tmp_path: Path
) -> None:
    made = images["team/oci"]
    with LocalUpstream(auth=Tokens(users={"robot": "secret"}, anonymous=False)) as upstream:
        upstream.add("team/oci", made, "v1")
        account = {"url": upstream.url, "username": "robot", "password": "secret"}
        server = serve(upstreams={"docker.io": account})
        source = f"docker://{server.host}/team/oci:v1"
        skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", source, f"dir:{tmp_path / 'copy'}")
        assert (tmp_path / "copy" / "manifest.json").read_bytes() == made.manifest
        assert upstream.tokens() == 1
        assert "secret" not in server.log


@pytest.mark.timeout(400)
def test_debian_root_file_system(
    debian: Image, distribution: Distribution, serve: Callable[..., Serve], tmp_path: Path
) -> None:
    """A real Debian in four layers: what crane exports through the mirror is a file system one could boot."""
    distribution.push("library/debian", "bookworm", debian)
    server = serve(upstreams={"docker.io": {"url": distribution.url, "library": True}})
    name = f"{server.host}/debian:bookworm"
    assert crane("digest", name).strip() == debian.digest
    crane("validate", "--remote", name)
    crane("export", name, str(tmp_path / "root.tar"))
    with tarfile.open(tmp_path / "root.tar") as archive:
        names = set(archive.getnames())
    assert {"etc/debian_version", "usr/bin/dpkg", "var/lib/dpkg/status"} <= names
