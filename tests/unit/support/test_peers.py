"""Real tools work with what the support makes."""

import json
from pathlib import Path

import pytest

from tests.support.debian import debian_image, debian_layout, pack
from tests.support.images import Flavor, Image, image, index, multi_platform, tar_image
from tests.support.layout import read_layout, write_layout
from tests.support.peers import Distribution
from tests.support.storms import run_storm
from tests.support.tools import crane, find, skopeo
from tests.support.upstream import LocalUpstream, Tokens


def test_a_layout_reads_as_it_was_written(tmp_path: Path) -> None:
    written = index([multi_platform((10,)), image((100_000,))])
    write_layout(tmp_path / "layout", {"v1": written})
    read = read_layout(tmp_path / "layout", "v1")
    assert [part.digest for part in read.walk()] == [part.digest for part in written.walk()]
    assert [b.digest for part in read.walk() for b in part.blobs] == [b.digest for p in written.walk() for b in p.blobs]


def test_distribution_takes_and_serves_images(tmp_path: Path) -> None:
    oci, docker = multi_platform(seed="peer"), tar_image({"a": b"1"}, {"b": b"2"}, flavor=Flavor.DOCKER)
    with Distribution(tmp_path) as registry:
        registry.push("team/app", "v1", oci)
        registry.push("team/docker", "v1", docker)
        assert crane("digest", f"{registry.host}/team/app:v1").strip() == oci.digest
        assert crane("digest", f"{registry.host}/team/docker:v1").strip() == docker.digest
        pulls = run_storm(registry.url, [("team/docker", "v1")], docker, clients=2)
        assert [pull.wrong() for pull in pulls] == [[], []]
        registry.push_layout("team/layout", "v1", write_layout(tmp_path / "layout", {"here": oci}), "here")
        assert crane("digest", f"{registry.host}/team/layout:v1").strip() == oci.digest


@pytest.mark.parametrize("flavor", list(Flavor))
def test_real_clients_pull_from_the_scripted_upstream(tmp_path: Path, flavor: Flavor) -> None:
    made = multi_platform(seed="clients", flavor=flavor)
    with LocalUpstream(auth=Tokens()) as upstream:
        upstream.add("team/app", made, "v1")
        source = f"docker://{upstream.host}/team/app:v1"
        skopeo("copy", "--src-tls-verify=false", "--all", source, f"dir:{tmp_path}/copied")
        assert crane("digest", f"{upstream.host}/team/app:v1").strip() == made.digest
        assert json.loads(crane("manifest", f"{upstream.host}/team/app:v1")) == json.loads(made.manifest)
        assert upstream.counters().unknown() == []
        assert upstream.tokens() > 0


def test_a_root_file_system_packs_the_same_each_time(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("usr/share/doc/a", "usr/lib/b", "etc/c", "usr/bin/d", "var/log/left-out"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "bin").symlink_to("usr/bin")
    digests = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        digests.append(pack(root, tmp_path / run / "layout").digest)
    assert digests[0] == digests[1]


@pytest.mark.timeout(300)
def test_debian_is_an_image_of_several_layers(tmp_path: Path) -> None:
    made: Image = debian_image()
    assert len(made.layers) == 4
    assert made.size > 50 << 20
    with LocalUpstream() as upstream:
        upstream.add("library/debian", made, "bookworm")
        crane("export", f"{upstream.host}/library/debian:bookworm", str(tmp_path / "files.tar"))
    assert (tmp_path / "files.tar").stat().st_size > 100 << 20
    assert debian_layout().is_dir()


def test_a_missing_tool_says_where_to_get_it() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-tool"):
        find("no-such-tool")
