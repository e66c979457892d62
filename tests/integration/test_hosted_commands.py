"""`ls` and `rm`, and what policy says to an import."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import layout
from tests.support.cli import Cli
from tests.support.images import OCI_LAYER, image, multi_platform
from tests.support.layout import files_in, files_of, write_layout

HOSTED: dict[str, Any] = {"hosted": ["team/*", "fixed/*"], "policy": {"immutable_tags": ["fixed/*:v*"]}}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, tmp_path / "root", **HOSTED)


def test_immutable_tags_are_kept(cli: Cli, tmp_path: Path) -> None:
    first, second = image([10], seed="first"), image([20], seed="second")
    cli.out("import", write_layout(tmp_path / "first", {"v1": first}), "fixed/app")
    said = cli.refused("import", write_layout(tmp_path / "second", {"v1": second}), "fixed/app")
    assert said.startswith(f"fixed/app:v1 is immutable (policy.immutable_tags) and names {first.digest}")
    assert cli.out("import", tmp_path / "first", "fixed/app").endswith("nothing new: all of it was here already\n")
    cli.out("import", tmp_path / "second", "fixed/app:latest")
    for name in ("fixed/app:v1", f"fixed/app@{first.digest}"):
        assert "fixed/app:v1 is immutable" in cli.refused("rm", name)
    assert "fixed/app:v1 is immutable" in cli.refused("rm", "fixed/app", "--all")
    assert [row["tag"] for row in json.loads(cli.out("ls", "fixed/app", "--json"))] == ["latest", "v1"]


def test_sparse_indexes_are_for_policy_to_allow(tmp_path: Path) -> None:
    made = multi_platform(seed="sparse")
    source = write_layout(tmp_path / "source", {"v1": made})
    strict = Cli(tmp_path, tmp_path / "strict", hosted=["*"], policy={"sparse_indexes": False})
    said = strict.refused("import", source, "app", "--platform", "linux/arm64")
    assert "(policy.sparse_indexes)" in said
    assert made.children[0].digest in said
    lax = Cli(tmp_path, tmp_path / "lax", hosted=["*"])
    done = lax("import", source, "app", "--platform", "linux/arm64")
    assert done.returncode == 0
    assert f"left out: linux/amd64 {made.children[0].digest}" in done.stderr
    # It was pushed so: there is nothing else to export.
    lax.out("export", "app:v1", tmp_path / "out")
    assert files_in(tmp_path / "out") == files_of(made.children[1]) | {
        str(layout.blob_path(Path(), made.digest)): made.manifest
    }


def test_sparse_images_are_for_policy_to_allow(tmp_path: Path) -> None:
    made = image([1000, 2000], seed="sparse image")
    source = write_layout(tmp_path / "source", {"v1": made})
    missing = made.layers[1].digest
    layout.blob_path(source, missing).unlink()
    strict = Cli(tmp_path, tmp_path / "strict", hosted=["*"])
    said = strict.refused("import", source, "app")
    assert said.startswith(f"{source} does not have blob {missing}, and app takes no image without its blobs")
    assert "(policy.sparse_images)" in said
    assert strict.out("ls") == ""
    lax = Cli(tmp_path, tmp_path / "lax", hosted=["*"], policy={"sparse_images": True})
    done = lax("import", source, "app")
    assert done.returncode == 0, done.stderr
    assert f"left out: {OCI_LAYER} {missing}" in done.stderr
    assert json.loads(lax.out("ls", "app", "--json"))[0]["digest"] == made.digest
    # What is missing comes with the next import that has it.
    lax.out("import", write_layout(source, {"v1": made}), "app")
    lax.out("export", "app:v1", tmp_path / "out")
    assert files_in(tmp_path / "out") == files_of(made)


def test_removing(cli: Cli, tmp_path: Path) -> None:
    one, two = image([10], seed="one"), image([20], seed="two")
    cli.out("import", write_layout(tmp_path / "source", {"a": one, "b": one, "c": two}), "team/app")
    assert cli.refused("rm", "team/app") == "team/app: name a tag, a digest, or with --all a whole repository"
    assert cli.refused("rm", "team/app:a", "--all").startswith("team/app:a: name a tag")
    assert cli.out("rm", "team/app:a") == "team/app:a removed\n"
    assert cli.refused("rm", "team/app:a") == "team/app has no a"
    cli.out("rm", f"team/app@{one.digest}")
    assert [row["tag"] for row in json.loads(cli.out("ls", "team/app", "--json"))] == ["c"]
    assert cli.out("rm", "team/app", "--all").startswith("team/app removed: 1 manifests")
    assert cli.out("ls") == ""
    assert cli.refused("rm", "team/app", "--all") == "nothing was pushed to team/app"


def test_lists_are_for_people_and_programs(cli: Cli, tmp_path: Path) -> None:
    made = multi_platform(seed="lists")
    cli.out("import", write_layout(tmp_path / "source", {"v1": made, "latest": made}), "team/app")
    rows = json.loads(cli.out("ls", "team/app", "--json"))
    assert [(row["tag"], row["digest"], row["size"]) for row in rows] == [
        ("latest", made.digest, made.size),
        ("v1", made.digest, made.size),
    ]
    lines = cli.out("ls", "team/app").splitlines()
    assert [line.split()[0] for line in lines] == ["latest", "v1"]
    assert all(line.endswith(made.digest) for line in lines)
    (line,) = cli.out("ls").splitlines()
    assert line.startswith("team/app  hosted  2 tags  20")
