"""Freshness: what an answer's age allows."""

from datetime import timedelta

import pytest

from pyregistry.config import FreshnessConfig, TagFreshness, UpstreamConfig
from pyregistry.mirror.freshness import Age, Freshness, FreshnessRules
from pyregistry.policy.immutability import ImmutableTags
from pyregistry.store.target import Target

CONFIG = FreshnessConfig(
    ttl=timedelta(seconds=60),
    negative_ttl=timedelta(seconds=10),
    stale_while_revalidate=timedelta(seconds=30),
    stale_if_error=timedelta(hours=1),
)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, Age.FRESH),
        (59, Age.FRESH),
        (60, Age.REVALIDATE),
        (89, Age.REVALIDATE),
        (90, Age.STALE),
        (3659, Age.STALE),
        (3660, Age.EXPIRED),
        (-5, Age.STALE),
    ],
)
def test_found(age: float, expected: Age) -> None:
    assert Freshness.of(CONFIG).of_found(age) is expected


@pytest.mark.parametrize(("age", "expected"), [(0, Age.FRESH), (9, Age.FRESH), (10, Age.EXPIRED), (-1, Age.EXPIRED)])
def test_missing(age: float, expected: Age) -> None:
    assert Freshness.of(CONFIG).of_missing(age) is expected


def test_first_matching_pattern_wins() -> None:
    upstream = UpstreamConfig(
        url="https://example.test",
        tags=(
            TagFreshness(pattern="library/*:v*", immutable=True),
            TagFreshness(pattern="*:latest", ttl=timedelta(seconds=5)),
            TagFreshness(pattern="*", ttl=timedelta(seconds=7)),
        ),
    )
    rules = FreshnessRules(CONFIG, {"hub": upstream, "plain": UpstreamConfig(url="https://plain.test")})

    def ttl(path: str, tag: str, name: str = "hub") -> tuple[float, bool]:
        found = rules.of_tag(Target(f"{name}/{path}", name, path, hosted=False), tag)
        return found.ttl, found.immutable

    assert ttl("library/nginx", "v1") == (60, True)
    assert ttl("team/app", "latest") == (5, False)
    assert ttl("team/app", "v1") == (7, False)
    assert ttl("team/app", "v1", "plain") == (60, False)


def test_an_immutable_tag_is_fresh_for_ever() -> None:
    upstream = UpstreamConfig(url="https://example.test", tags=(TagFreshness(pattern="*", immutable=True),))
    rules = FreshnessRules(CONFIG, {"hub": upstream})
    assert rules.of_tag(Target("hub/a", "hub", "a", hosted=False), "v1").of_found(1e9) is Age.FRESH


def test_the_policy_binds_every_upstream() -> None:
    rules = FreshnessRules(
        CONFIG, {"hub": UpstreamConfig(url="https://example.test")}, ImmutableTags(["hub/library/*:v*"]).binds
    )
    target = Target("hub/library/a", "hub", "library/a", hosted=False)
    assert rules.of_tag(target, "v1").immutable
    assert not rules.of_tag(target, "latest").immutable
