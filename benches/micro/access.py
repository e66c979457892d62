"""What is asked before anything is served: whose a name is, whether its tag may change."""

from __future__ import annotations

from benches.micro.ready import at_once
from pyregistry.config import Config
from pyregistry.mirror.namespaces import Namespaces
from pyregistry.policy.immutability import ImmutableTags

_NAMES = Namespaces(Config.model_validate({"hosted": ["team/*", "infra/*/images"]}))
_TAGS = ImmutableTags(["team/*:v*", "infra/*:release-*"])

WORKS = {
    "name of a mirrored repository": at_once(lambda: _NAMES.resolve("ghcr.io/org/app", None)),
    "name of a hosted repository": at_once(lambda: _NAMES.resolve("team/app", None)),
    "name by ns": at_once(lambda: _NAMES.resolve("library/nginx", "docker.io")),
    "immutable tag": at_once(lambda: _TAGS.binds("team/app", "v1.2.3")),
}
