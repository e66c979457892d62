"""Imports point one way (CONTRIBUTING.md, section Layout): `api -> access, policy, mirror -> store -> oci`.

Read from the source, so that imports for type checking and inside functions count too: they are dependencies as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pyregistry"

#: What each part may import of the package, besides itself. A part that is not here fails: decide on its place.
ALLOWED: dict[str, set[str]] = {
    "oci": set(),
    "policy": {"oci"},
    "store": {"_native", "config", "errors", "oci", "telemetry"},
    "mirror": {"_native", "config", "errors", "oci", "store", "telemetry"},
    "access": {"config", "errors", "oci", "store", "telemetry"},
    "api": {"access", "config", "errors", "mirror", "oci", "policy", "store", "telemetry"},
    "telemetry": {"config", "errors"},
    "config": set(),
    "errors": set(),
}
#: The outermost parts put the others together and may import all of them, but not the extension.
OUTERMOST = {"__init__", "__main__", "app", "background", "cli", "server", "ui", "worker"}

#: Plain data that parts below its own may import, since it imports nothing of the package itself.
DATA = {"pyregistry.mirror.well_known": {"config"}}

#: Parts that decide and do no I/O of their own, and all that they may import from elsewhere.
PURE = {"oci", "policy"}
PURE_IMPORTS = {
    "__future__",
    "base64",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "itertools",
    "math",
    "operator",
    "orjson",
    "re",
    "string",
    "types",
    "typing",
    "urllib.parse",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module, with the part of the package it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imports(path: Path) -> Iterator[str]:
    """The dotted names of everything that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            if node.module in {"pyregistry", "urllib"}:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


MODULES = [pytest.param(part, path, id=str(path.relative_to(PACKAGE))) for part, path in modules()]


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_imports_point_one_way(part: str, path: Path) -> None:
    assert part in ALLOWED or part in OUTERMOST, f"{part} has no place in the order of imports; see CONTRIBUTING.md"
    names = {name for name in imports(path) if part not in DATA.get(name, ())}
    inner = {name.split(".")[1] for name in names if name.startswith("pyregistry.")}
    inner -= {part, "__version__"}
    if part in OUTERMOST:
        assert "_native" not in inner
    else:
        assert inner <= ALLOWED[part]


@pytest.mark.parametrize("name", sorted(DATA))
def test_data_imports_nothing_of_the_package(name: str) -> None:
    path = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
    assert not [inner for inner in imports(path) if inner.startswith("pyregistry")]


@pytest.mark.parametrize(("part", "path"), [param for param in MODULES if param.values[0] in PURE])
def test_pure_parts_import_nothing_that_does_io(part: str, path: Path) -> None:
    outer = {name for name in imports(path) if not name.startswith("pyregistry.")}
    assert {name for name in outer if name not in PURE_IMPORTS and name.partition(".")[0] not in PURE_IMPORTS} == set()


def test_the_extension_is_imported_by_store_and_mirror_alone() -> None:
    importers = {part for part, path in modules() for name in imports(path) if name.startswith("pyregistry._native")}
    assert importers <= {"store", "mirror"}
