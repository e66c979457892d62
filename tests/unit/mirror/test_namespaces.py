"""What a name means: path prefix, `?ns=`, default upstream, hosted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyregistry.config import Config
from pyregistry.mirror.namespaces import Namespaces, UnknownRegistry
from pyregistry.store.target import Target

UPSTREAMS = {
    "docker.io": {},
    "ghcr.io": {"url": "https://ghcr.io"},
    "localhost:5001": {"url": "http://localhost:5001", "aliases": ["local"]},
    "Corp": {"url": "https://Registry.corp.example:8443"},
}


def namespaces(upstreams: dict[str, Any] | None = None, **config: Any) -> Namespaces:
    mirror: dict[str, Any] = {"upstreams": UPSTREAMS if upstreams is None else upstreams}
    if "default" in config:
        mirror["default"] = config.pop("default")
    return Namespaces(Config.model_validate({"mirror": mirror, **config}))


def mirrored(upstream: str, path: str) -> Target:
    return Target(f"{upstream}/{path}", upstream, path, hosted=False)


@pytest.mark.parametrize(
    ("name", "ns", "expected"),
    [
        # a plain Docker mirror
        ("nginx", None, ("docker.io", "library/nginx")),
        ("library/nginx", None, ("docker.io", "library/nginx")),
        ("org/app", None, ("docker.io", "org/app")),
        ("org/team/app", None, ("docker.io", "org/team/app")),
        # one component is no host, whatever it looks like
        ("my.app", None, ("docker.io", "library/my.app")),
        ("localhost", None, ("docker.io", "library/localhost")),
        ("ghcr.io", None, ("docker.io", "library/ghcr.io")),
        # a path prefix
        ("docker.io/nginx", None, ("docker.io", "library/nginx")),
        ("docker.io/library/nginx", None, ("docker.io", "library/nginx")),
        ("ghcr.io/org/app", None, ("ghcr.io", "org/app")),
        ("ghcr.io/app", None, ("ghcr.io", "app")),
        ("GHCR.io/org/app", None, ("ghcr.io", "org/app")),
        ("hub/nginx", None, ("docker.io", "library/nginx")),
        ("index.docker.io/library/nginx", None, ("docker.io", "library/nginx")),
        ("registry-1.docker.io/library/nginx", None, ("docker.io", "library/nginx")),
        ("localhost:5001/app", None, ("localhost:5001", "app")),
        ("local/app", None, ("localhost:5001", "app")),
        ("corp/app", None, ("corp", "app")),
        ("registry.corp.example:8443/app", None, ("corp", "app")),
        # containerd
        ("library/nginx", "docker.io", ("docker.io", "library/nginx")),
        ("nginx", "docker.io", ("docker.io", "library/nginx")),
        ("library/nginx", "registry-1.docker.io", ("docker.io", "library/nginx")),
        ("org/app", "ghcr.io", ("ghcr.io", "org/app")),
        ("org/app", "GHCR.IO", ("ghcr.io", "org/app")),
        ("app", "localhost:5001", ("localhost:5001", "app")),
        ("app", "registry.corp.example:8443", ("corp", "app")),
        ("app", "corp", ("corp", "app")),
        # both: the same registry twice is once, else the name is taken as it is
        ("docker.io/library/nginx", "docker.io", ("docker.io", "library/nginx")),
        ("index.docker.io/library/nginx", "docker.io", ("docker.io", "library/nginx")),
        ("ghcr.io/org/app", "docker.io", ("docker.io", "ghcr.io/org/app")),
        ("hub/app", "docker.io", ("docker.io", "hub/app")),
        # none
        ("org/app", "", ("docker.io", "org/app")),
    ],
)
def test_names(name: str, ns: str | None, expected: tuple[str, str]) -> None:
    assert namespaces().resolve(name, ns) == mirrored(*expected)


@pytest.mark.parametrize(
    ("name", "ns", "registry"),
    [
        ("quay.io/org/app", None, "quay.io"),
        ("localhost/app", None, "localhost"),
        ("localhost:5002/app", None, "localhost:5002"),
        ("169.254.169.254/latest", None, "169.254.169.254"),
        ("org/app", "quay.io", "quay.io"),
        ("org/app", "ghcr.io:444", "ghcr.io:444"),
        ("org/app", "https://ghcr.io", "https://ghcr.io"),
    ],
)
def test_a_registry_that_is_not_configured_is_unknown(name: str, ns: str | None, registry: str) -> None:
    with pytest.raises(UnknownRegistry, match=r"mirror\.upstreams") as caught:
        namespaces(hosted=["*"]).resolve(name, ns)
    assert repr(registry) in str(caught.value)


def test_a_long_ns_does_not_fill_the_message() -> None:
    with pytest.raises(UnknownRegistry) as caught:
        namespaces().resolve("app", "x" * 8000)
    assert len(str(caught.value)) < 300


def test_hosted_names_come_before_the_default_upstream() -> None:
    names = namespaces(hosted=["team/*", "tools"])
    assert names.resolve("team/app", None) == Target("team/app", "", "team/app", hosted=True)
    assert names.resolve("team/a/b", None).hosted
    assert names.resolve("tools", None).hosted
    assert names.resolve("team2/app", None) == mirrored("docker.io", "team2/app")
    assert names.resolve("tools/x", None) == mirrored("docker.io", "tools/x")


def test_ns_and_a_prefix_are_never_answered_from_hosted_names() -> None:
    names = namespaces(hosted=["*"])
    assert names.resolve("team/app", "docker.io") == mirrored("docker.io", "team/app")
    assert names.resolve("ghcr.io/team/app", None) == mirrored("ghcr.io", "team/app")


def test_without_upstreams_everything_is_hosted() -> None:
    names = namespaces({})
    assert names.default is None
    for name in ("app", "org/app", "my.team/app", "localhost/app"):
        assert names.resolve(name, None) == Target(name, "", name, hosted=True)
    with pytest.raises(UnknownRegistry):
        names.resolve("app", "docker.io")


def test_without_upstreams_patterns_still_bound_what_is_hosted() -> None:
    names = namespaces({}, hosted=["team/*"])
    assert names.resolve("team/app", None).hosted
    with pytest.raises(UnknownRegistry, match="hosted"):
        names.resolve("other/app", None)


def test_a_pattern_that_spells_a_dotted_component_out_claims_it() -> None:
    names = namespaces(hosted=["my.team/*"])
    assert names.resolve("my.team/app", None).hosted
    with pytest.raises(UnknownRegistry):
        names.resolve("your.team/app", None)


def test_the_first_upstream_is_the_default_unless_said() -> None:
    upstreams = {"b.example": {"url": "http://b.example"}, "a.example": {"url": "http://a.example", "aliases": ["a"]}}
    assert namespaces(upstreams).resolve("x/y", None) == mirrored("b.example", "x/y")
    assert namespaces(upstreams, default="A").resolve("nginx", None) == mirrored("a.example", "nginx")


def test_a_default_that_is_no_upstream_is_refused() -> None:
    with pytest.raises(ValueError, match="no configured upstream"):
        namespaces(default="quay.io")


def test_zero_configuration_mirrors_the_well_known() -> None:
    names = Namespaces(Config())
    assert names.resolve("nginx", None) == mirrored("docker.io", "library/nginx")
    for host in ("ghcr.io", "quay.io", "registry.k8s.io", "gcr.io", "public.ecr.aws", "mcr.microsoft.com", "nvcr.io"):
        assert names.resolve(f"{host}/a/b", None) == mirrored(host, "a/b")
        assert names.resolve("a/b", host) == mirrored(host, "a/b")


_COMPONENT = st.text(st.sampled_from("ab.:-_09"), min_size=1, max_size=6)
_NAMES = st.lists(
    st.one_of(_COMPONENT, st.sampled_from(["docker.io", "ghcr.io", "hub", "localhost", "team", "localhost:5001"])),
    min_size=1,
    max_size=4,
).map("/".join)
_NS = st.none() | st.sampled_from(["docker.io", "ghcr.io", "quay.io", "hub", ""]) | st.text(max_size=10)


@given(_NAMES, _NS)
def test_a_target_is_of_a_configured_upstream_or_hosted_or_unknown(name: str, ns: str | None) -> None:
    names = namespaces(hosted=["team/*"])
    try:
        target = names.resolve(name, ns)
    except UnknownRegistry:
        return
    if target.hosted:
        assert not ns
        assert target.repository == target.path == name
    else:
        assert target.upstream in names.upstreams
        assert target.repository == f"{target.upstream}/{target.path}"
        # Its canonical name leads back to it.
        assert names.resolve(target.repository, None) == target
