"""What the docs say is there, and what is there is in the docs."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pyregistry.api.errors import CAUSE_TABLE
from pyregistry.cli import app
from pyregistry.config import load
from pyregistry.config.reference import page
from pyregistry.config.settings import settings
from pyregistry.errors import Cause
from pyregistry.oci.error_codes import ErrorCode
from pyregistry.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/guide/*.md"), *ROOT.glob("docs/reference/*.md")])
REFERENCE = ROOT / "docs" / "reference"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(language: str) -> list[tuple[str, str]]:
    """Code blocks of a language, with their page."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(named(path), found) for path in PAGES for found in pattern.findall(path.read_text())]


def table(page: str, heading: str) -> dict[str, str]:
    """First and second column of the table under a heading."""
    text = (REFERENCE / page).read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (\S+) \|", text, re.MULTILINE))


def test_the_configuration_page_is_what_the_model_says() -> None:
    assert (REFERENCE / "configuration.md").read_text() == page(), "run `make docs`"


def test_every_setting_says_what_it_is() -> None:
    assert [setting.key for setting in settings() if not setting.description.endswith(".")] == []


def test_every_metric_is_on_its_page() -> None:
    text = (REFERENCE / "metrics.md").read_text()
    for metric in Metrics().registry.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        (labels,) = re.findall(rf"^\| `{name}` \| {metric.type} \| (.*?) ?\| ", text, re.MULTILINE)
        collector = Metrics().registry._names_to_collectors[name]
        expected = ", ".join(f"`{label}`" for label in collector._labelnames)  # type: ignore[attr-defined]
        assert labels.strip("| ") == expected, name


def test_no_metric_is_made_up() -> None:
    known = Metrics().registry._names_to_collectors
    for path in PAGES:
        for name in re.findall(r"\bpyregistry_(?:http|mirror|worker|workers|build)_\w+", path.read_text()):
            assert name in known, f"{named(path)} names {name}"


def test_every_error_code_and_cause_is_on_its_page() -> None:
    assert table("errors.md", "Codes") == {code.name: str(code.status) for code in ErrorCode}
    assert table("errors.md", "Causes") == {cause.name: str(CAUSE_TABLE[cause][0]) for cause in Cause}


def commands(command: Any, words: str) -> Iterator[tuple[str, list[str]]]:
    """Every command with its options; typer's classes have no public names."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{words}{name} ")
    else:
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
        yield words.strip(), options


def test_every_command_and_option_is_on_its_page() -> None:
    text = (REFERENCE / "cli.md").read_text()
    sections = re.split(r"^## `pyregistry ", text, flags=re.MULTILINE)
    for words, options in commands(typer.main.get_command(app), ""):
        (section,) = [found for found in sections if re.match(rf"{words.split()[0]}\b", found)]
        assert words in section
        for option in options:
            assert f"`{option}`" in section, f"{words} {option}"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_of_make_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = re.findall(r"`make ([a-z-]+)|^\$ make ([a-z-]+)", path.read_text(), re.MULTILINE)
    assert {first or second for first, second in code} <= targets


def test_every_command_of_make_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert declared is not None
    assert set(declared[1].split()) == set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))


def test_nobody_is_sent_to_another_package() -> None:
    # `pyregistry` on PyPI is a Windows library of somebody else.
    for path in [*PAGES, *ROOT.glob("docs/design/*.md"), ROOT / ".ci" / "run", ROOT / "Makefile"]:
        assert re.search(r"install pyregistry\b(?!-oci)", path.read_text()) is None, path


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_snippets_can_be_read() -> None:
    for _, text in blocks("toml"):
        tomllib.loads(text)
    for _, text in blocks("json"):
        json.loads(text)
    for _, text in blocks("yaml"):
        yaml.safe_load(text)


def test_configurations_in_the_docs_can_be_loaded(tmp_path: Path) -> None:
    ours = [(name, text) for name, text in blocks("yaml") if "k3s" not in name]
    assert ours
    for name, text in ours:
        file = tmp_path / "snippet.yaml"
        file.write_text(text)
        assert load(file, environment={}), name
