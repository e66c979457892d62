"""Freshness: what a tag's age allows. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyregistry.config import FreshnessConfig, TagFreshness, UpstreamConfig
    from pyregistry.store.target import Target


class Age(Enum):
    """What may be done with a known answer."""

    FRESH = "fresh"  #: serve it
    REVALIDATE = "revalidate"  #: serve it and ask upstream in the background
    STALE = "stale"  #: ask upstream first; serve it if upstream fails
    EXPIRED = "expired"  #: ask upstream; too old to serve without


@dataclass(frozen=True, slots=True)
class Freshness:
    """The rules for one tag (or one tag list), times in seconds."""

    ttl: float
    negative_ttl: float
    stale_if_error: float
    stale_while_revalidate: float
    answer_within: float
    #: A tag that upstream has no more is served all the same.
    keep_missing: bool = False
    immutable: bool = False

    @classmethod
    def of(cls, config: FreshnessConfig, tags: Sequence[TagFreshness] = (), name: str = "") -> Freshness:
        """The rules for `name` (`path:tag` as upstream has it): the first matching pattern's, else the general ones."""
        ttl, immutable = config.ttl, False
        for rule in tags:
            if fnmatchcase(name, rule.pattern):
                ttl, immutable = rule.ttl if rule.ttl is not None else ttl, rule.immutable
                break
        return cls(
            ttl.total_seconds(),
            config.negative_ttl.total_seconds(),
            config.stale_if_error.total_seconds(),
            config.stale_while_revalidate.total_seconds(),
            config.answer_within.total_seconds(),
            config.on_missing == "keep",
            immutable,
        )

    def of_found(self, age: float) -> Age:
        """For an answer that upstream confirmed `age` seconds ago."""
        if self.immutable or 0 <= age < self.ttl:
            return Age.FRESH
        if 0 <= age < self.ttl + self.stale_while_revalidate:
            return Age.REVALIDATE
        # A clock set back makes ages negative: ask, but keep the answer usable.
        return self.of_stale(age)

    def of_stale(self, age: float) -> Age:
        """For an answer that must be asked for again."""
        return Age.STALE if age < self.ttl + self.stale_if_error else Age.EXPIRED

    def of_missing(self, age: float) -> Age:
        """For a `not found` of `age` seconds."""
        return Age.FRESH if 0 <= age < self.negative_ttl else Age.EXPIRED


class FreshnessRules:
    """The rules of every upstream."""

    def __init__(
        self,
        general: FreshnessConfig,
        upstreams: Mapping[str, UpstreamConfig],
        bound: Callable[[str, str], bool] = lambda repository, tag: False,
    ) -> None:
        """`bound`: whether policy makes a tag of a repository immutable, whatever the upstream's own patterns say."""
        self._bound = bound
        self._tags = {name: config.tags for name, config in upstreams.items()}
        self._configs = {name: config.freshness or general for name, config in upstreams.items()}
        self._lists = {name: Freshness.of(config) for name, config in self._configs.items()}

    def of_tag(self, target: Target, tag: str) -> Freshness:
        """For one tag."""
        tags = self._tags[target.upstream]
        rules = self._lists[target.upstream]
        if tags:
            rules = Freshness.of(self._configs[target.upstream], tags, f"{target.path}:{tag}")
        if self._bound(target.repository, tag):
            rules = replace(rules, immutable=True)
        return rules

    def of_list(self, target: Target) -> Freshness:
        """For tag lists, referrers, and digests that were not found."""
        return self._lists[target.upstream]
