"""The native content store as the configuration wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry._native import MAX_RANGES, FillStatus, Plan, Reader, Store, Upload, fills, parse_range

if TYPE_CHECKING:
    from pyregistry.config import Config

__all__ = ["MAX_RANGES", "FillStatus", "Plan", "Reader", "Store", "Upload", "fills", "open_store", "parse_range"]


def open_store(config: Config) -> Store:
    """The store on `storage.root`. Raises Failure(STORAGE)."""
    abandon = config.mirror.abandon
    return Store(
        str(config.storage.root),
        reserve=config.storage.reserve,
        abandon_min_sent=abandon.min_sent,
        abandon_fraction=abandon.fraction,
        abandon_remaining=abandon.remaining,
    )
