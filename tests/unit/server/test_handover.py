import json
import os
from pathlib import Path

from pyregistry.config import Config
from pyregistry.server.handover import Handover, read_config, write_config


def test_the_configuration_arrives_with_its_secrets() -> None:
    config = Config.model_validate(
        {
            "http": {"workers": 3, "drain": "1h30m", "tls": {"cert": "a.pem", "key": "b.pem"}},
            "mirror": {
                "upstreams": {
                    "one.example": {
                        "url": "https://one.example",
                        "username": "me",
                        "password": "s3cret",
                        "freshness": {"ttl": "250ms"},
                        "tags": [{"pattern": "*:v*", "immutable": True}],
                    },
                    "two.example": {"urls": ["https://a.example", "https://b.example"], "ca_file": "ca.pem"},
                }
            },
            "hosted": ["team/*"],
            "metrics": {"listen": None},
        }
    )
    descriptor = write_config(config)
    try:
        # Every worker reads the same open file, one after another.
        for _ in range(2):
            arrived = read_config(descriptor)
            assert arrived == config
            assert arrived.mirror.upstreams is not None
            password = arrived.mirror.upstreams["one.example"].password
            assert password is not None
            assert password.get_secret_value() == "s3cret"
    finally:
        os.close(descriptor)


def test_every_default_arrives() -> None:
    descriptor = write_config(Config())
    try:
        assert read_config(descriptor) == Config()
    finally:
        os.close(descriptor)


def test_the_memory_file_has_no_name_in_the_file_system() -> None:
    descriptor = write_config(Config())
    try:
        assert "memfd:" in str(Path(f"/proc/self/fd/{descriptor}").readlink())
        assert json.loads(os.pread(descriptor, 1 << 20, 0))
    finally:
        os.close(descriptor)


def test_arguments_are_read_back() -> None:
    handover = Handover(slot=1, parent=2, config=3, listener=4, status=5)
    assert Handover.parse(handover.arguments) == handover


def test_words_are_lines() -> None:
    ours, theirs = os.pipe()
    handover = Handover(slot=0, parent=0, config=-1, listener=-1, status=theirs)
    handover.say("ready")
    handover.say("failed", "two\nlines " + "x" * 10000)
    os.close(theirs)
    with os.fdopen(ours) as reader:
        ready, failed = reader.read().splitlines()
    assert ready == "ready"
    assert failed.startswith("failed two lines x")
    assert len(failed) <= 4000
    handover.say("ready")  # nobody listens: nothing happens
