"""Built-in upstreams and how a user's own entries join with them."""

from typing import Any

import pytest
from pydantic import ValidationError

from pyregistry.config import Config, UpstreamConfig
from pyregistry.mirror.namespaces import configured_upstreams
from pyregistry.mirror.well_known import WELL_KNOWN


def configured(upstreams: dict[str, Any] | None) -> dict[str, UpstreamConfig]:
    return configured_upstreams(Config.model_validate({"mirror": {"upstreams": upstreams}}).mirror)


def test_every_built_in_entry_is_a_configuration() -> None:
    assert set(configured(None)) == set(WELL_KNOWN)
    for upstream in configured(None).values():
        assert upstream.bases[0].startswith("https://")
        assert upstream.username is None


def test_configuring_any_replaces_the_set() -> None:
    assert set(configured({"quay.io": {}})) == {"quay.io"}
    assert configured({}) == {}


def test_an_entry_without_a_url_gets_what_it_leaves_out() -> None:
    hub = configured({"docker.io": {"username": "me", "password": "secret"}})["docker.io"]
    assert hub.bases == ("https://registry-1.docker.io",)
    assert hub.library
    assert hub.realms == ("auth.docker.io",)
    assert "hub" in hub.aliases
    assert hub.username == "me"


def test_what_is_given_wins() -> None:
    hub = configured({"Docker.IO": {"url": "https://registry-1.docker.io", "library": False, "aliases": ["d"]}})
    assert not hub["docker.io"].library
    assert hub["docker.io"].aliases == ("d",)
    assert hub["docker.io"].realms == ("auth.docker.io",)


@pytest.mark.parametrize(
    "urls", [{"url": "http://127.0.0.1:5001"}, {"urls": ["https://registry-1.docker.io", "https://m"]}]
)
def test_an_entry_with_urls_elsewhere_is_taken_as_written(urls: dict[str, Any]) -> None:
    hub = configured({"docker.io": urls})["docker.io"]
    assert not hub.library
    assert hub.realms == ()
    assert hub.aliases == ()


def test_a_built_in_alias_gives_way_to_the_users_names() -> None:
    both = configured({"docker.io": {}, "hub": {"url": "http://hub.example"}})
    assert "hub" not in both["docker.io"].aliases
    assert "index.docker.io" in both["docker.io"].aliases


@pytest.mark.parametrize(
    ("upstreams", "message"),
    [
        ({"corp": {}}, "needs a `url`"),
        ({"a": {"url": "http://a"}, "b": {"url": "http://b", "aliases": ["A"]}}, "names both"),
        ({"a/b": {"url": "http://a"}}, "not a registry's name"),
        ({"a": {"url": "ftp://a"}}, "not a URL"),
        ({"a": {"url": "a.example"}}, "not a URL"),
        ({"a": {"url": "http://user:word@a"}}, "credentials"),
        ({"a": {"url": "http://a", "username": "u"}}, "goes with"),
        ({"a": {"url": "http://a", "password": "p"}}, "goes with"),
    ],
)
def test_entries_that_lead_nowhere_are_refused(upstreams: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        configured(upstreams)
