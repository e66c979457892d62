"""The revisions that are compared, in repositories made for it."""

import subprocess
from pathlib import Path

import pytest

from benches.gate.revision import GateError, base_of, check_out, extract, head_of, is_dirty, same_product


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    first = commit(made, pyregistry__app="1", rust__lib="1")
    commit(made, benches__BASE=first + "\n")
    return made


def test_the_base_is_what_the_file_names(repository: Path) -> None:
    assert base_of(repository).commit == git(repository, "rev-parse", "HEAD~1")


@pytest.mark.parametrize("text", ["", "main", "abc123", "g" * 40])
def test_only_a_full_hash_is_a_base(repository: Path, text: str) -> None:
    (repository / "benches/BASE").write_text(text)
    with pytest.raises(GateError, match="full hash"):
        base_of(repository)


def test_a_base_that_is_nowhere_says_what_to_try(repository: Path) -> None:
    (repository / "benches/BASE").write_text("0" * 40)
    with pytest.raises(GateError, match=r"git fetch --unshallow"):
        base_of(repository)


def test_a_shallow_clone_fetches_its_base(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), str(clone))
    base = base_of(clone)
    check_out(clone, tmp_path / "tree", base)
    assert (tmp_path / "tree/pyregistry/app").read_text() == "1"


def test_only_what_is_measured_makes_a_difference(repository: Path) -> None:
    base = base_of(repository)
    assert same_product(repository, base, head_of(repository))
    commit(repository, pyregistry__app="2")
    assert not same_product(repository, base, head_of(repository))


def test_changes_that_are_not_committed_are_seen(repository: Path) -> None:
    assert not is_dirty(repository)
    (repository / "pyregistry/app").write_text("3")
    assert is_dirty(repository)


def test_one_tree_has_each_revision_in_turn_and_leaves_equal_files_alone(repository: Path, tmp_path: Path) -> None:
    commit(repository, pyregistry__app="2")
    base, head, tree = base_of(repository), head_of(repository), tmp_path / "tree"
    check_out(repository, tree, base)
    made = (tree / "rust/lib").stat().st_mtime_ns
    check_out(repository, tree, head)
    assert (tree / "pyregistry/app").read_text() == "2"
    assert (tree / "rust/lib").stat().st_mtime_ns == made


def test_paths_of_a_revision_are_extracted(repository: Path, tmp_path: Path) -> None:
    extract(repository, head_of(repository), tmp_path / "out", "benches")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["benches"]
