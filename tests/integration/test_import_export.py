"""Image layouts in and out of the store: byte for byte, beside a running server, whole or not at all."""

import hashlib
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import layout
from tests.support.blobs import file_blob, random_blob
from tests.support.cli import Cli
from tests.support.clients import get
from tests.support.images import Flavor, Image, artifact, image, index, multi_platform
from tests.support.layout import files_in, files_of, tags_in, write_layout
from tests.support.serve import Serve
from tests.support.tools import crane, skopeo
from tests.support.upstream import Upstream

HOSTED: dict[str, Any] = {"hosted": ["team/*", "fixed/*"], "policy": {"immutable_tags": ["fixed/*:v*"]}}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, tmp_path / "root", **HOSTED)


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder


def every_kind() -> dict[str, Image]:
    multi = multi_platform(seed="every kind")
    return {
        "oci": multi,
        "docker": multi_platform(seed="every kind of docker", flavor=Flavor.DOCKER),
        "sha512": image([5000, 0], seed="sha512", algorithm="sha512"),
        "nested": index([index([multi, image([10], seed="nested")]), image([20], seed="beside")]),
        "signature": artifact(b"signed", "application/vnd.example", subject=multi),
        "empty": index([]),
    }


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_what_goes_in_comes_out(form: str, cli: Cli, tmp_path: Path) -> None:
    images = every_kind()
    source = write_layout(tmp_path / "source", images)
    if form == "archive":
        with tarfile.open(tmp_path / "source.tar", "w") as file:
            file.add(source, arcname=".")
        source = tmp_path / "source.tar"
    told = cli.out("import", source, "team/app").splitlines()
    assert told[:-1] == [f"team/app:{tag} is {made.digest}" for tag, made in images.items()]

    target = tmp_path / ("target" if form == "folder" else "target.tar")
    cli.out("export", "team/app", target)
    target = target if form == "folder" else unpacked(target, tmp_path / "unpacked")
    assert files_in(target) == files_of(*images.values())
    assert tags_in(target) == {tag: made.digest for tag, made in images.items()}
    assert (target / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'


def test_a_second_run_does_nothing(cli: Cli, tmp_path: Path) -> None:
    source = write_layout(tmp_path / "source", every_kind())
    first = cli("import", source, "team/app")
    assert "copied" in first.stderr
    listed = cli.out("ls", "team/app", "--json")
    second = cli("import", source, "team/app")
    assert second.stdout.splitlines()[-1] == "nothing new: all of it was here already"
    assert second.stderr == ""
    assert cli.out("ls", "team/app", "--json") == listed
    # Another repository gets the same bytes without a copy; the layout need not even have them.
    for path in source.glob("blobs/*/*"):
        if b"schemaVersion" not in path.read_bytes():
            path.unlink()
    assert "0 bytes copied" in cli.out("import", source, "team/other")


def test_beside_a_running_server(serve: Callable[..., Serve], tmp_path: Path) -> None:
    server = serve(workers=2, upstreams={"docker.io": "http://127.0.0.1:9"}, **HOSTED)
    cli = Cli(tmp_path, server.root, **HOSTED)
    made, signature = multi_platform((3 << 20, 1000), seed="beside"), None
    signature = artifact(b"signed", "application/vnd.example", subject=made)
    source = write_layout(tmp_path / "source", {"v1": made, "signature": signature})
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 404
    # Two at once do not get into each other's way.
    running = [cli.begun("import", source, "team/app:v1") for _ in range(2)]
    for one in running:
        _, errors = one.communicate(timeout=60)
        assert one.returncode == 0, errors
    assert get(f"{server.url}/v2/team/app/manifests/v1").body == made.manifest
    listed = json.loads(get(f"{server.url}/v2/team/app/referrers/{made.digest}").body)["manifests"]
    assert [entry["digest"] for entry in listed] == [signature.digest]
    assert json.loads(get(f"{server.url}/v2/_catalog").body)["repositories"] == ["team/app"]
    name = f"{server.host}/team/app:v1"
    assert crane("digest", name).strip() == made.digest
    copied = tmp_path / "copied"
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}", f"oci:{copied}:v1")
    assert files_in(copied) == files_of(made)
    assert cli.out("export", "team/app:v1", tmp_path / "exported") == ""
    assert files_in(tmp_path / "exported") == files_of(made)
    cli.out("rm", "team/app:v1")
    assert get(f"{server.url}/v2/team/app/manifests/v1").status == 404


def test_what_other_tools_write_and_read(cli: Cli, tmp_path: Path) -> None:
    made = multi_platform(seed="tools")
    source = write_layout(tmp_path / "source", {"v1": made})
    both = ("copy", "--all", "--preserve-digests")
    skopeo(*both, f"oci:{source}:v1", f"oci-archive:{tmp_path / 'skopeo.tar'}:v2")
    assert f"team/app:v2 is {made.digest}" in cli.out("import", tmp_path / "skopeo.tar", "team/app")
    cli.out("export", "team/app:v2", tmp_path / "ours.tar")
    skopeo(*both, f"oci-archive:{tmp_path / 'ours.tar'}:v2", f"oci:{tmp_path / 'back'}:v3")
    assert files_in(tmp_path / "back") == files_of(made)


def test_names_come_from_the_layout(cli: Cli, tmp_path: Path) -> None:
    one, two = image([100], seed="one"), image([200], seed="two")
    cli.out("import", write_layout(tmp_path / "one", {"v1": one}), "team/one")
    cli.out("import", write_layout(tmp_path / "two", {"v1": two}), "team/two")
    archive = tmp_path / "both.tar"
    cli.out("export", "team/one:v1", f"team/two@{two.digest}", archive)
    other = Cli(tmp_path, tmp_path / "other", **HOSTED)
    other.out("import", archive)
    listed = {row["name"]: row["tags"] for row in json.loads(other.out("ls", "--json"))}
    assert listed == {"team/one": 1, "team/two": 0}
    assert other.refused("import", write_layout(tmp_path / "x", {"v1": one})).endswith(
        "index.json does not say which repository v1 is of; name one"
    )


def test_standard_output_is_an_archive(cli: Cli, tmp_path: Path) -> None:
    made = image([1 << 20], seed="standard output")
    cli.out("import", write_layout(tmp_path / "source", {"v1": made}), "team/app")
    with cli.begun("export", "team/app:v1", "-") as running:
        data, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    cli.out("export", "team/app:v1", tmp_path / "file.tar")
    assert data == (tmp_path / "file.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert "index.json" in archive.getnames()
    with cli.begun("export", "team/app:v1", "-") as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait(60) == 2


def test_referrers_come_along_when_asked(cli: Cli, tmp_path: Path) -> None:
    made = multi_platform(seed="referrers")
    signature = artifact(b"signature", "application/x", subject=made)
    of_child = artifact(b"sbom", "application/y", subject=made.children[0])
    of_signature = artifact(b"of signature", "application/x", subject=signature)
    cosign = artifact(b"cosign", "application/z")
    every = {"v1": made, "s": signature, "c": of_child, "t": of_signature}
    every[f"{made.digest.replace(':', '-')}.sig"] = cosign
    cli.out("import", write_layout(tmp_path / "source", every), "team/app")
    cli.out("export", "team/app:v1", tmp_path / "without")
    assert files_in(tmp_path / "without") == files_of(made)
    cli.out("export", "team/app:v1", tmp_path / "with", "--referrers")
    assert files_in(tmp_path / "with") == files_of(*every.values())
    other = Cli(tmp_path, tmp_path / "other", **HOSTED)
    other.out("import", tmp_path / "with", "team/copy")
    other.out("export", "team/copy:v1", tmp_path / "again", "--referrers")
    assert files_in(tmp_path / "again") == files_of(*every.values())


def test_damage_is_refused_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    good, bad = image([1000], seed="good"), image([3 << 20], seed="bad")
    source = write_layout(tmp_path / "source", {"good": good, "bad": bad})
    layer = layout.blob_path(source, bad.layers[0].digest)
    data = bytearray(layer.read_bytes())
    data[2 << 20] ^= 1
    layer.write_bytes(data)
    said = cli.refused("import", source, "team/app")
    assert said == f"{source}: {layer.relative_to(source)} does not hash to its name: it is damaged"
    assert cli.out("ls") == ""
    assert not any((cli.root / "uploads").iterdir())
    layer.unlink()
    assert cli.refused("import", source, "team/app").startswith(f"{source} does not have blob {bad.layers[0].digest}")
    assert cli.out("ls") == ""


def test_killed_import_shows_nothing_and_the_next_completes(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_layout(source, {})
    zeros = tmp_path / "zeros"
    with zeros.open("wb") as file:
        os.truncate(file.fileno(), 384 << 20)
    large = layout.adopt(source, zeros)
    made = image(layers=[random_blob(10, "killed"), large])
    for path, data in files_of(image(layers=[random_blob(10, "killed")])).items():
        layout._write(source / path, data)
    assert made.config is not None
    layout._write(layout.blob_path(source, made.config.digest), made.config.data)
    layout._write(layout.blob_path(source, made.digest), made.manifest)
    (source / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [made.descriptor()]}))
    with cli.begun("import", source, "team/app:v1") as running:
        assert running.stderr is not None
        # The small blobs are there, the large one is under way.
        assert b"copied" in running.stderr.readline()
        running.send_signal(signal.SIGKILL)
        assert running.wait(60) == -signal.SIGKILL
    assert cli.out("ls") == ""
    assert cli.refused("ls", "team/app") == "nothing was pushed to team/app"
    assert cli.refused("export", "team/app:v1", tmp_path / "out").startswith("team/app:v1: no such tag")
    assert not (cli.root / layout.blob_path(Path(), large.digest)).exists()
    assert any((cli.root / "uploads").iterdir())
    assert cli.out("import", source, "team/app:v1").startswith(f"team/app:v1 is {made.digest}\n")
    (row,) = json.loads(cli.out("ls", "team/app", "--json"))
    assert row["size"] == made.size
    cli.out("export", "team/app:v1", tmp_path / "out")
    assert file_blob(layout.blob_path(tmp_path / "out", large.digest)).digest == large.digest


def test_mirrored_images_are_exported_as_far_as_they_are_here(
    upstream: Upstream, serve: Callable[..., Serve], tmp_path: Path
) -> None:
    made = multi_platform(seed="mirrored")
    upstream.add("team/app", made, "v1")
    upstream.add("team/other", image([10], seed="other"), "v1")
    server = serve(upstreams={"docker.io": upstream.url})
    cli = Cli(tmp_path, server.root, mirror={"upstreams": {"docker.io": {"url": upstream.url}}})

    def pull(path: str) -> None:
        assert get(f"{server.url}/v2/team/app/{path}").status == 200

    assert "pull it through the server first" in cli.refused("export", "team/app:v1", tmp_path / "out")
    pull("manifests/v1")
    assert "nothing of what it lists" in cli.refused("export", "team/app:v1", tmp_path / "out", "--sparse")
    child = made.children[0]
    pull(f"manifests/{child.digest}")
    for blob in child.blobs:
        pull(f"blobs/{blob.digest}")
    said = cli.refused("export", "docker.io/team/app:v1", tmp_path / "out")
    assert "2 of the manifests it lists are not on disk (linux/arm64, windows/amd64); --sparse leaves" in said
    there = files_of(child) | {str(layout.blob_path(Path(), made.digest)): made.manifest}
    for option in (["--sparse"], ["--platform", "linux/amd64"]):
        out = tmp_path / option[0]
        done = cli("export", "team/app", *option, "--", out)
        assert done.returncode == 0, done.stderr
        assert f"left out: linux/arm64 {made.children[1].digest}" in done.stderr
        assert files_in(out) == there
    assert "(linux/arm64)" in cli.refused("export", "team/app:v1", tmp_path / "out", "--platform", "linux/arm64")
    assert not (tmp_path / "out").exists()
    (row,) = json.loads(cli.out("ls", "team/app", "--json"))
    assert (row["tag"], row["digest"]) == ("v1", made.digest)
    assert json.loads(cli.out("ls", "--json"))[0]["upstream"] == "docker.io"
    for refused in (["import", tmp_path / "--sparse", "team/app"], ["rm", "team/app:v1"]):
        assert "docker.io/team/app is mirrored" in cli.refused(*refused)


def test_a_damaged_store_is_no_export(cli: Cli, tmp_path: Path) -> None:
    made = image([100_000], seed="damaged store")
    cli.out("import", write_layout(tmp_path / "source", {"v1": made}), "team/app")
    digest = made.layers[0].digest
    (file,) = [path for path in cli.root.glob("blobs/**/*") if path.name == digest[7:]]
    file.chmod(0o644)
    file.write_bytes(bytes(100_000))
    for name in ("out", "out.tar"):
        assert cli.refused("export", "team/app:v1", tmp_path / name) == (f"{digest}: its file in the store is damaged")
    file.unlink()
    assert cli.refused("export", "team/app:v1", tmp_path / "out") == f"team/app:v1: blob {digest} is not on disk"
    assert {path.name for path in tmp_path.iterdir()} == {"source", "root", "root.yaml"}
    # What a layout has can mend it.
    cli.out("import", tmp_path / "source", "team/app")
    cli.out("export", "team/app:v1", tmp_path / "out")
    assert hashlib.sha256(layout.blob_path(tmp_path / "out", digest).read_bytes()).hexdigest() == digest[7:]
