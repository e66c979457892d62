"""The commits that are compared, and the one working tree in which each is checked out in turn.

One tree for both: cargo takes what it built for one revision for the other, where their Rust sources are the same.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

BASE_FILE: Final = "benches/BASE"
#: What makes a difference to the figures.
PRODUCT: Final = ("pyregistry", "rust", "Cargo.toml", "Cargo.lock", "pyproject.toml", "requirements-dev.lock")


class GateError(Exception):
    """The gate cannot be run; the message says what, where and what to try."""


@dataclass(frozen=True)
class Revision:
    """A commit, by its full hash, and what it is called here."""

    side: str
    commit: str

    @property
    def short(self) -> str:
        return self.commit[:9]


def base_of(repository: Path) -> Revision:
    """The revision named in `benches/BASE`, fetched if this clone lacks it. Raises GateError."""
    commit = (repository / BASE_FILE).read_text().strip()
    if len(commit) != 40 or not all(character in "0123456789abcdef" for character in commit):
        raise GateError(f"{BASE_FILE} names no commit: put the full hash of a commit of main into it")
    if not _has(repository, commit):
        # A shallow clone, as CI often makes: one commit more is enough.
        git(repository, "fetch", "--quiet", "--depth=1", "origin", commit, check=False)
    if not _has(repository, commit):
        raise GateError(
            f"commit {commit} of {BASE_FILE} is not in this clone and could not be fetched from origin; "
            "try `git fetch --unshallow`, or name a commit that is in main"
        )
    return Revision("base", commit)


def head_of(repository: Path) -> Revision:
    """What is checked out, without changes that are not committed."""
    return Revision("head", git(repository, "rev-parse", "HEAD"))


def is_dirty(repository: Path) -> bool:
    """Whether there are changes to the product or the benches that are not committed, which the gate does not see."""
    return bool(git(repository, "status", "--porcelain", "--", *PRODUCT, "benches", "tests/support"))


def same_product(repository: Path, base: Revision, head: Revision) -> bool:
    """Whether nothing that is measured differs."""
    return not git(repository, "diff", "--name-only", base.commit, head.commit, "--", *PRODUCT)


def check_out(repository: Path, tree: Path, revision: Revision) -> None:
    """Makes `tree` a working tree of the revision; files that do not differ keep their times."""
    if (tree / ".git").exists():
        git(tree, "checkout", "--quiet", "--force", "--detach", revision.commit)
        return
    git(repository, "worktree", "prune")
    git(repository, "worktree", "add", "--quiet", "--force", "--detach", str(tree), revision.commit)


def extract(repository: Path, revision: Revision, folder: Path, *paths: str) -> None:
    """Writes these paths of a revision below `folder`."""
    folder.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", revision.commit, "--", *paths], check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)


def git(repository: Path, *arguments: str, check: bool = True) -> str:
    """What git printed. Raises GateError with its words."""
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise GateError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _has(repository: Path, commit: str) -> bool:
    command = ["git", "-C", str(repository), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
