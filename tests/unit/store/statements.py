"""Every statement that the metadata database executes, found where they stand."""

from __future__ import annotations

import importlib
import pkgutil

from pyregistry.store import metadata
from pyregistry.store.metadata.sqlite import Statement

STATEMENTS = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(metadata.__path__)
    for name, value in vars(importlib.import_module(f"{metadata.__name__}.{module.name}")).items()
    if isinstance(value, Statement)
}
