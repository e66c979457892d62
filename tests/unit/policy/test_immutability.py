"""Immutable tags: globs over `repository:tag`."""

from __future__ import annotations

import pytest

from pyregistry.policy.immutability import ImmutableTags


@pytest.mark.parametrize(
    ("pattern", "repository", "tag"),
    [
        ("team/app:v*", "team/app", "v1"),
        ("team/*:v1.0", "team/deep/er/app", "v1.0"),
        ("*:release-?", "anything/at/all", "release-7"),
        ("docker.io/library/nginx:1.*", "docker.io/library/nginx", "1.27"),
        ("docker.io/*:[0-9]*", "docker.io/library/nginx", "1.27"),
        ("*:*", "a", "b"),
        ("*", "team/app", "latest"),
        ("team/app", "team/app", "latest"),
        ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app", "latest"),
        ("127.0.0.1:5000/team/app:v*", "127.0.0.1:5000/team/app", "v1"),
        ("app:1.0+b", "app", "1.0+b"),  # no tag, but letters that a regular expression would read otherwise
    ],
)
def test_a_pattern_binds_what_it_matches(pattern: str, repository: str, tag: str) -> None:
    assert ImmutableTags([pattern]).binds(repository, tag)


@pytest.mark.parametrize(
    ("pattern", "repository", "tag"),
    [
        ("team/app:v*", "team/app", "latest"),
        ("team/app:v*", "team/app2", "v1"),
        ("team/app:v*", "other/team/app", "v1"),
        ("team/app:v1", "team/app", "v10"),
        ("team/app:v1", "team/app", "V1"),
        ("nginx:1.*", "docker.io/library/nginx", "1.27"),
        ("team/app:1.2", "team/app", "1x2"),
        ("team/app", "team/app2", "latest"),
        ("team/app:v1", "team/app", "v1\n"),
        ("", "team/app", "v1"),
    ],
)
def test_a_pattern_binds_nothing_else(pattern: str, repository: str, tag: str) -> None:
    assert not ImmutableTags([pattern]).binds(repository, tag)


def test_any_pattern_of_several_binds() -> None:
    rules = ImmutableTags(["team/a:v*", "team/b:*-final", "team/c"])
    assert rules.binds("team/a", "v1")
    assert rules.binds("team/b", "x-final")
    assert rules.binds("team/c", "anything")
    assert not rules.binds("team/a", "x-final")
    assert not rules.binds("team/b", "v1")


def test_without_patterns_nothing_is_bound() -> None:
    assert not ImmutableTags().binds("team/app", "v1")
