"""The systems that are compared, in the table's order; each has its configuration beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.peers.systems.distribution import Distribution
from benches.peers.systems.nginx import NginxCache, NginxStatic
from benches.peers.systems.ours import Pyregistry
from benches.peers.systems.zot import Zot

if TYPE_CHECKING:
    from benches.peers.system import System

SYSTEMS: tuple[type[System], ...] = (Pyregistry, Distribution, Zot, NginxCache, NginxStatic)
