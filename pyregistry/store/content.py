"""The native content store as the configuration wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyregistry._native import MAX_RANGES, FillStatus, Plan, Reader, Store, Upload, fills, parse_range

if TYPE_CHECKING:
    from pyregistry.config import Config

__all__ = ["MAX_RANGES", "FillStatus", "Plan", "Reader", "Store", "Upload", "fills", "open_store", "parse_range"]


def open_store(config: Config) -> Store:
    """The store on `storage.root`. Raises Failure(STORAGE)."""
    mirror = config.mirror
    abandon = mirror.abandon
    begins = {"always": 0.0, "after_fraction": mirror.fill_fraction, "never": None}
    return Store(
        str(config.storage.root),
        reserve=config.storage.reserve,
        abandon_min_sent=abandon.min_sent,
        abandon_fraction=abandon.fraction,
        abandon_remaining=abandon.remaining,
        fill_on_range=begins[mirror.fill_on_range],
        connections=mirror.connections,
    )
