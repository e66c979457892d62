"""Every setting as an environment variable."""

from datetime import timedelta

import pytest

from pyregistry.config import Config, ConfigError, load
from pyregistry.config.environment import variable
from pyregistry.config.settings import keys
from pyregistry.mirror.well_known import WELL_KNOWN

HUB = "PYREGISTRY_MIRROR__UPSTREAMS__DOCKER_IO__"


def loaded(**environment: str) -> Config:
    return load(environment=environment)


def test_every_setting_has_a_variable_that_is_understood() -> None:
    for key in keys():
        if "[]" in key:  # in a list: given as a whole
            continue
        name = variable(key.replace("NAME", "ghcr_io"))
        try:
            loaded(**{name: "1"})
        except ConfigError as error:
            # `1` is not right for every setting, but each must be found.
            assert "no such setting" not in str(error), name  # noqa: PT017


def test_values_are_read_as_in_the_file() -> None:
    config = loaded(
        PYREGISTRY_HTTP__LISTEN="0.0.0.0:80",
        PYREGISTRY_HTTP__WORKERS="3",
        PYREGISTRY_HTTP__DRAIN="1m30s",
        PYREGISTRY_STORAGE__RESERVE="1GiB",
        PYREGISTRY_METRICS__LISTEN="off",
        PYREGISTRY_HTTP__TLS="{cert: a.pem, key: b.pem}",
        PYREGISTRY_HOSTED="team/*, tools/*",
    )
    assert config.http.listen == "0.0.0.0:80"
    assert config.http.workers == 3
    assert config.http.drain == timedelta(seconds=90)
    assert config.storage.reserve == 1 << 30
    assert config.metrics.listen is None
    assert config.http.tls is not None
    assert str(config.http.tls.key) == "b.pem"
    assert config.hosted == ("team/*", "tools/*")


def test_an_empty_variable_is_unset() -> None:
    assert loaded(PYREGISTRY_HTTP__LISTEN="", PYREGISTRY_HOSTED="") == Config()


def test_a_narrower_variable_wins() -> None:
    config = loaded(PYREGISTRY_HTTP="{listen: ':1', workers: 2}", PYREGISTRY_HTTP__LISTEN=":3")
    assert (config.http.listen, config.http.workers) == (":3", 2)


def test_what_kubernetes_sets_beside_a_service_is_left_alone() -> None:
    assert loaded(PYREGISTRY_PORT="tcp://10.0.0.1:5000", PYREGISTRY_SERVICE_HOST="10.0.0.1") == Config()


def test_an_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"PYREGISTRY_HTTP__LISTE: .* `PYREGISTRY_HTTP__LISTEN`"):
        loaded(PYREGISTRY_HTTP__LISTE=":1")
    with pytest.raises(ConfigError, match=r"^PYREGISTRY_FOO__BAR: no such setting$"):
        loaded(PYREGISTRY_FOO__BAR=":1")


def test_credentials_for_a_well_known_registry_leave_the_others() -> None:
    config = loaded(**{f"{HUB}USERNAME": "me", f"{HUB}PASSWORD": "0123"})
    assert config.mirror.upstreams is not None
    assert list(config.mirror.upstreams) == list(WELL_KNOWN)
    password = config.mirror.upstreams["docker.io"].password
    assert password is not None
    assert password.get_secret_value() == "0123"


def test_a_variable_finds_the_upstream_that_reads_so() -> None:
    config = loaded(
        PYREGISTRY_MIRROR__UPSTREAMS='{"my-registry.example:5000": {"url": "https://my-registry.example:5000"}}',
        PYREGISTRY_MIRROR__UPSTREAMS__MY_REGISTRY_EXAMPLE_5000__VERIFY="false",
        PYREGISTRY_MIRROR__UPSTREAMS__NEW_EXAMPLE__URL="https://new.example",
    )
    assert config.mirror.upstreams is not None
    assert config.mirror.upstreams["my-registry.example:5000"].verify is False
    assert config.mirror.upstreams["new.example"].url == "https://new.example"


def test_a_variable_holds_for_an_upstream_given_by_flag() -> None:
    config = load(
        upstreams=["docker.io=http://127.0.0.1:1"], environment={f"{HUB}USERNAME": "me", f"{HUB}PASSWORD": "p"}
    )
    assert config.mirror.upstreams is not None
    assert list(config.mirror.upstreams) == ["docker.io"]
    assert config.mirror.upstreams["docker.io"].username == "me"


def test_what_is_no_yaml_is_named_without_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(PYREGISTRY_MIRROR__UPSTREAMS="{hunter2")
    assert caught.value.problems == ("PYREGISTRY_MIRROR__UPSTREAMS: not YAML",)
