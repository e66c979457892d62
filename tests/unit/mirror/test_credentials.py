"""Where credentials come from, and that they do not come out."""

import asyncio
import base64
import json
import os
import select
from pathlib import Path
from typing import Any

import pytest

from pyregistry.config import UpstreamConfig
from pyregistry.errors import Cause, Failure
from pyregistry.mirror.credential import Credential
from pyregistry.mirror.credential_helper import CredentialHelper
from pyregistry.mirror.credentials import Credentials
from pyregistry.mirror.docker_config import DOCKER_HUB_KEY, DockerConfig

SECRET = "s3cr3t-word"


def credentials(**config: Any) -> Credentials:
    return Credentials(UpstreamConfig.model_validate({"url": "https://r.example", **config}))


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of helper programs, first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def write_helper(folder: Path, name: str, script: str) -> Path:
    """A helper that notes what it was asked in the file it answers, and then runs `script`."""
    program, asked = folder / f"docker-credential-{name}", folder / f"{name}.asked"
    program.write_text(f'#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> {asked}\n{script}\n')
    program.chmod(0o755)
    asked.touch()
    return asked


def answer(username: str, secret: str) -> str:
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': username, 'Secret': secret})}'"


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    return tmp_path


def write_docker(folder: Path, **content: Any) -> DockerConfig:
    (folder / "config.json").write_text(json.dumps(content))
    return DockerConfig(lifetime=60, folder=folder)


def auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


# The value


def test_a_credential_does_not_show_its_secret() -> None:
    credential = Credential("me", SECRET)
    assert SECRET not in repr(credential)
    assert SECRET not in str([credential])
    assert credential.basic() == "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


def test_fingerprints_tell_credentials_apart() -> None:
    assert Credential("me", "a").fingerprint == Credential("me", "a").fingerprint
    prints = {Credential(*pair).fingerprint for pair in (("me", "a"), ("me", "b"), ("you", "a"))}
    assert len(prints) == 3


def test_an_identity_token_is_known_by_its_user_name() -> None:
    assert Credential("<token>", "x").is_identity_token
    assert not Credential("token", "x").is_identity_token


# The configuration and its file


async def test_without_configuration_we_are_anonymous() -> None:
    assert credentials().anonymous
    assert await credentials().get("r.example") is None


async def test_name_and_password() -> None:
    known = credentials(username="me", password=SECRET)
    assert not known.anonymous
    assert await known.get("r.example") == Credential("me", SECRET)


async def test_a_password_file_is_read_again_when_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old\n")
    known = credentials(username="me", password_file=file)
    assert await known.get("r.example") == Credential("me", "old")
    file.write_text("new\r\n")
    assert await known.get("r.example") == Credential("me", "old")
    assert await known.get("r.example", fresh=True) == Credential("me", "new")
    assert await known.get("r.example") == Credential("me", "new")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
async def test_a_useless_password_file_is_a_denial_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    known = credentials(username="me", password_file=file)
    with pytest.raises(Failure, match=str(file)) as caught:
        await known.get("r.example")
    assert caught.value.cause is Cause.DENIED
    assert not known.anonymous


# Helper programs


async def test_a_helper_is_asked_for_the_host(helpers: Path) -> None:
    asked = write_helper(helpers, "test", answer("AWS", SECRET))
    known = credentials(credential_helper="test")
    assert not known.anonymous
    assert await known.get("r.example:5000") == Credential("AWS", SECRET)
    assert await known.get("r.example:5000") == Credential("AWS", SECRET)
    assert asked.read_text() == "get r.example:5000\n"


async def test_docker_hub_has_a_key_of_its_own(helpers: Path) -> None:
    asked = write_helper(helpers, "test", answer("me", SECRET))
    await credentials(credential_helper="test").get("registry-1.docker.io")
    assert asked.read_text() == f"get {DOCKER_HUB_KEY}\n"


async def test_many_who_ask_at_once_run_a_helper_once(helpers: Path) -> None:
    asked = write_helper(helpers, "test", answer("me", SECRET))
    known = credentials(credential_helper="test")
    found = await asyncio.gather(*(known.get("r.example") for _ in range(20)))
    assert set(found) == {Credential("me", SECRET)}
    assert asked.read_text().count("get") == 1


async def test_an_answer_holds_for_its_lifetime(helpers: Path) -> None:
    now = 1000.0
    asked = write_helper(helpers, "test", answer("me", "1"))
    helper = CredentialHelper("test", lifetime=60, clock=lambda: now)
    await helper.get("r.example")
    write_helper(helpers, "test", answer("me", "2"))
    now += 59
    assert await helper.get("r.example") == Credential("me", "1")
    now += 2
    assert await helper.get("r.example") == Credential("me", "2")
    assert asked.read_text().count("get") == 2


async def test_a_refused_answer_is_asked_for_again_but_not_at_every_refusal(helpers: Path) -> None:
    now = 1000.0
    asked = write_helper(helpers, "test", answer("me", SECRET))
    helper = CredentialHelper("test", lifetime=3600, clock=lambda: now)
    for _ in range(5):
        await helper.get("r.example", fresh=True)
    assert asked.read_text().count("get") == 1
    now += 11
    await helper.get("r.example", fresh=True)
    assert asked.read_text().count("get") == 2


async def test_a_helper_that_knows_nothing_leaves_us_anonymous(helpers: Path) -> None:
    write_helper(helpers, "test", "echo 'credentials not found in native keychain'; exit 1")
    known = credentials(credential_helper="test")
    assert await known.get("r.example") is None
    assert known.anonymous


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo 'oops {SECRET}'; echo {SECRET} >&2; exit 3", "code 3"),
        (f"echo '{SECRET}'", "understood"),
        (f"""echo '{{"Username": "{SECRET}"}}'""", "understood"),
        ("echo '[]'", "understood"),
        ("""echo '{"Username": 1, "Secret": 2}'""", "understood"),
    ],
)
async def test_a_helper_that_fails_is_a_denial_without_its_words(helpers: Path, script: str, message: str) -> None:
    write_helper(helpers, "test", script)
    with pytest.raises(Failure, match=message) as caught:
        await credentials(credential_helper="test").get("r.example")
    assert caught.value.cause is Cause.DENIED
    assert "docker-credential-test" in caught.value.message
    assert SECRET not in caught.value.message


async def test_a_helper_that_is_not_there_is_a_denial_that_names_it() -> None:
    with pytest.raises(Failure, match="docker-credential-nowhere cannot be run") as caught:
        await credentials(credential_helper="nowhere").get("r.example")
    assert caught.value.cause is Cause.DENIED


async def test_a_failing_helper_is_not_run_for_every_request(helpers: Path) -> None:
    asked = write_helper(helpers, "test", "exit 1")
    known = credentials(credential_helper="test")
    found = await asyncio.gather(*(known.get("r.example") for _ in range(20)), return_exceptions=True)
    assert all(isinstance(one, Failure) for one in found)
    assert asked.read_text().count("get") == 1


async def test_what_a_helper_said_serves_while_it_fails(helpers: Path) -> None:
    now = 1000.0
    asked = write_helper(helpers, "test", answer("me", SECRET))
    helper = CredentialHelper("test", lifetime=60, clock=lambda: now)
    await helper.get("r.example")
    write_helper(helpers, "test", "exit 1")
    now += 61
    for _ in range(3):
        assert await helper.get("r.example") == Credential("me", SECRET)
    assert asked.read_text().count("get") == 2
    now += 11
    with pytest.raises(Failure):
        # Upstream refuses it: it is of no use any more.
        await helper.get("r.example", fresh=True)


async def test_a_helper_that_hangs_is_a_denial(helpers: Path) -> None:
    write_helper(helpers, "test", "sleep 1000")
    with pytest.raises(Failure, match="took longer"):
        await CredentialHelper("test", lifetime=60, timeout=0.05).get("r.example")


async def test_a_helper_nobody_waits_for_is_killed_with_what_it_started(helpers: Path) -> None:
    started = helpers / "started"
    os.mkfifo(started)
    write_helper(helpers, "test", f"sleep 1000 & echo $! > {started}; wait")
    asking = asyncio.create_task(credentials(credential_helper="test").get("r.example"))
    child = os.pidfd_open(int(await asyncio.to_thread(started.read_text)))
    try:
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        ended, _, _ = await asyncio.to_thread(select.select, [child], [], [], 30)
        assert ended == [child]
    finally:
        os.close(child)


async def test_a_helper_runs_without_our_descriptors(helpers: Path, tmp_path: Path) -> None:
    """What is open O_CLOEXEC here, the lock file above all, is not open there."""
    seen = tmp_path / "seen"
    write_helper(helpers, "test", f"ls -l /proc/$$/fd > {seen}; {answer('me', SECRET)}")
    with (tmp_path / "locks").open("w"):
        await credentials(credential_helper="test").get("r.example")
    assert str(tmp_path / "locks") not in seen.read_text()


# Docker's configuration


@pytest.mark.parametrize(
    ("auths", "host"),
    [
        ({"r.example": auth("me:" + SECRET)}, "r.example"),
        ({"https://r.example/v2/": auth("me:" + SECRET)}, "r.example"),
        ({"https://r.example": {"username": "me", "password": SECRET}}, "r.example"),
        ({"r.example:5000": auth("me:" + SECRET), "r.example": auth("x:y")}, "r.example:5000"),
        ({DOCKER_HUB_KEY: auth("me:" + SECRET)}, "registry-1.docker.io"),
        ({"docker.io": auth("me:" + SECRET)}, "registry-1.docker.io"),
        ({"docker.io": auth("x:y"), DOCKER_HUB_KEY: auth("me:" + SECRET)}, "registry-1.docker.io"),
        ({"r.example": {"auth": auth("me:" + SECRET)["auth"].rstrip("=")}}, "r.example"),
    ],
)
async def test_auths_of_docker_login(docker: Path, auths: dict[str, Any], host: str) -> None:
    assert await write_docker(docker, auths=auths).get(host) == Credential("me", SECRET)


async def test_an_identity_token_of_docker_login(docker: Path) -> None:
    config = write_docker(docker, auths={"r.example": {**auth("00000000:"), "identitytoken": SECRET}})
    assert await config.get("r.example") == Credential("<token>", SECRET)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"auths": {"other.example": auth("me:x")}},
        {"auths": {"r.example": {}}},
        {"auths": {"r.example": {"auth": "%%%"}}},
        {"auths": {"r.example": {"auth": 7}}},
        {"auths": {"r.example": None}},
        {"auths": []},
        {"credHelpers": {"r.example": "../../bin/x"}},
    ],
)
async def test_nothing_of_use_is_no_credential(docker: Path, content: dict[str, Any]) -> None:
    assert await write_docker(docker, **content).get("r.example") is None


async def test_no_file_is_no_credential(tmp_path: Path) -> None:
    assert await DockerConfig(lifetime=60, folder=tmp_path / "none").get("r.example") is None


async def test_a_file_that_is_not_json_is_a_denial(docker: Path) -> None:
    (docker / "config.json").write_text("{")
    with pytest.raises(Failure, match="not JSON"):
        await DockerConfig(lifetime=60, folder=docker).get("r.example")


async def test_the_helper_of_a_host_comes_before_the_store(docker: Path, helpers: Path) -> None:
    write_helper(helpers, "one", answer("one", "1"))
    write_helper(helpers, "all", answer("all", "2"))
    config = write_docker(docker, credsStore="all", credHelpers={"r.example": "one"})
    assert await config.get("r.example") == Credential("one", "1")
    assert await config.get("other.example") == Credential("all", "2")


async def test_what_the_store_does_not_know_is_looked_up_in_the_file(docker: Path, helpers: Path) -> None:
    write_helper(helpers, "all", "echo 'credentials not found in native keychain'; exit 1")
    config = write_docker(docker, credsStore="all", auths={"r.example": auth("me:" + SECRET)})
    assert await config.get("r.example") == Credential("me", SECRET)


async def test_a_new_login_is_seen_when_the_old_one_is_refused(docker: Path) -> None:
    config = write_docker(docker, auths={"r.example": auth("me:old")})
    assert await config.get("r.example") == Credential("me", "old")
    write_docker(docker, auths={"r.example": auth("me:new")})
    assert await config.get("r.example") == Credential("me", "old")
    assert await config.get("r.example", fresh=True) == Credential("me", "new")


async def test_docker_config_is_where_the_environment_says(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_docker(docker, auths={"r.example": auth("me:" + SECRET)})
    monkeypatch.setenv("DOCKER_CONFIG", str(docker))
    known = credentials(docker_config=True)
    assert await known.get("r.example") == Credential("me", SECRET)
    # By host: one registry's login is not for another URL of the list.
    assert await known.get("mirror.example") is None
    assert not known.anonymous
