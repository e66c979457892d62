"""File, environment and flags to one configuration; problems say where they are and what to write."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pyregistry.config import Config, ConfigError, load

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration file."""

    def write(text: str) -> Path:
        file = tmp_path / "pyregistry.yaml"
        file.write_text(text)
        return file

    return write


def problems(file: Path | None = None, **environment: str) -> list[str]:
    """What `load` says is wrong, without the file's folder."""
    with pytest.raises(ConfigError) as caught:
        load(file, environment=environment)
    folder = f"{file.parent}/" if file else ""
    return [problem.replace(folder, "") for problem in caught.value.problems]


def test_nothing_need_be_configured() -> None:
    config = load(environment={})
    assert config == Config()
    assert config.mirror.upstreams is None
    assert config.http.listen == "127.0.0.1:5000"


def test_flags_win_over_variables_and_those_over_the_file(write: Write) -> None:
    file = write("http: {listen: '127.0.0.1:1', workers: 1, drain: 1s}")
    environment = {"PYREGISTRY_HTTP__LISTEN": "127.0.0.1:2", "PYREGISTRY_HTTP__WORKERS": "2"}
    config = load(file, {"http.listen": "127.0.0.1:3", "storage.root": None}, environment=environment)
    assert (config.http.listen, config.http.workers, config.http.drain) == ("127.0.0.1:3", 2, timedelta(seconds=1))
    assert config.storage.root == Path("data")


def test_an_empty_file_and_empty_sections_say_nothing(write: Write) -> None:
    assert load(write(""), environment={}) == Config()
    assert load(write("# nothing\nhttp:\nstorage:\n"), environment={}) == Config()


def test_an_unknown_key_names_the_nearest_one_and_its_line(write: Write) -> None:
    assert problems(write("http:\n  listen: ':1'\n  worker: 3\n")) == [
        "pyregistry.yaml:3: http.worker: no such key; did you mean `http.workers`?"
    ]


def test_a_key_in_the_wrong_section_names_the_right_one(write: Write) -> None:
    assert problems(write("listen: ':1'\n")) == ["pyregistry.yaml:1: listen: no such key; did you mean `http.listen`?"]


def test_every_problem_is_told_in_the_order_of_the_file(write: Write) -> None:
    file = write(
        "log: {level: loud}\nhttp:\n  drain: soon\nstorage: 7\nmirror:\n  upstreams:\n    a.example: {url: x}\n"
    )
    assert problems(file) == [
        "pyregistry.yaml:1: log.level: should be 'debug', 'info', 'warning' or 'error'",
        "pyregistry.yaml:3: http.drain: not a duration; write it as 30s, 5m, 1h30m or 30d",
        "pyregistry.yaml:4: storage: should be a section: `key: value` lines, indented",
        'pyregistry.yaml:7: mirror.upstreams["a.example"].url: not a URL; write it as https://registry.example.com',
    ]


def test_a_key_given_twice_is_an_error(write: Write) -> None:
    assert problems(write("http:\n  listen: ':1'\n  listen: ':2'\n")) == [
        "pyregistry.yaml:3: http.listen: is given twice"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: [", "pyregistry.yaml:1:8: expected the node content"),
        ("- a", "pyregistry.yaml: not a mapping of settings"),
        ("http: !!python/object:os.system {}", "pyregistry.yaml:1:7: could not determine a constructor"),
        ("\x00", "pyregistry.yaml: not YAML"),
    ],
)
def test_what_is_no_yaml(write: Write, text: str, said: str) -> None:
    (problem,) = problems(write(text))
    assert problem.startswith(said)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.yaml") == ["none.yaml: No such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path.name}: Is a directory"]


def test_numbers_as_passwords_stand_in_quotes(write: Write) -> None:
    assert problems(write("mirror: {upstreams: {ghcr.io: {username: u, password: 0123}}}")) == [
        'pyregistry.yaml:1: mirror.upstreams["ghcr.io"].password: should be text; a number stands in quotes'
    ]


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("{default: nowhere}", "`default` is `nowhere`"),
        ("{upstreams: {a.example: {}}}", "upstream `a.example` needs a `url`"),
        ("{upstreams: {a.example: {url: 'http://a', urls: ['http://b']}}}", "give either `url` or `urls`"),
        ("{upstreams: {a.example: {url: 'http://a', username: u}}}", "`username` goes with `password`"),
        ("{upstreams: {a.example: {url: 'http://a', client_cert: c}}}", "`client_cert` and `client_key` go together"),
        ("{upstreams: {a: {url: 'http://a'}, b: {url: 'http://b', aliases: [a]}}}", "`a` names both"),
        ("{upstreams: {a: {url: 'http://a'}, A: {url: 'http://b'}}}", "`A` is given twice"),
    ],
)
def test_upstreams_that_contradict_themselves(write: Write, mirror: str, said: str) -> None:
    (problem,) = problems(write(f"mirror: {mirror}"))
    assert said in problem


def test_no_message_shows_a_secret(write: Write) -> None:
    file = write(
        "mirror: {upstreams: {a.example: {url: 'https://u:hunter2@a', password: [hunter2], passwort: hunter2}}}"
    )
    assert "hunter2" not in "\n".join(problems(file))


def test_upstream_flags_replace_the_list_and_keep_what_is_said_of_a_name(write: Write) -> None:
    file = write(
        "mirror:\n  default: ghcr.io\n  upstreams:\n    ghcr.io: {url: 'https://ghcr.io', tags: [{pattern: '*'}]}\n"
        "    quay.io: {}\n"
    )
    config = load(file, upstreams=["quay.io=http://127.0.0.1:1", "GHCR.io=http://127.0.0.1:2"], environment={})
    upstreams = config.mirror.upstreams
    assert upstreams is not None
    assert list(upstreams) == ["quay.io", "ghcr.io"]
    assert config.mirror.default == "quay.io"
    assert upstreams["ghcr.io"].bases == ("http://127.0.0.1:2",)
    assert upstreams["ghcr.io"].tags[0].pattern == "*"


def test_a_bare_name_is_a_well_known_registry(write: Write) -> None:
    config = load(write("mirror: {upstreams: {ghcr.io: , quay.io: }}"), environment={})
    assert config.mirror.upstreams is not None
    assert list(config.mirror.upstreams) == ["ghcr.io", "quay.io"]


def test_docker_hub_by_flag_has_its_library() -> None:
    config = load(upstreams=["docker.io=http://127.0.0.1:1", "other.example=http://127.0.0.1:2"], environment={})
    assert config.mirror.upstreams is not None
    assert [upstream.library for upstream in config.mirror.upstreams.values()] == [True, False]


@pytest.mark.parametrize("flag", ["docker.io", "=http://a", "docker.io=", "a b=http://a", "a=ftp://a"])
def test_no_upstream_flag(flag: str) -> None:
    with pytest.raises(ConfigError, match="--upstream"):
        load(upstreams=[flag], environment={})


def test_an_upstream_flag_given_twice() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        load(upstreams=["a=http://a", "a=http://b"], environment={})


def test_a_flag_with_a_wrong_value_is_named_as_typed() -> None:
    with pytest.raises(ConfigError, match=r"^--metrics: metrics\.listen: not an address"):
        load(None, {"metrics.listen": "here"}, environment={})
