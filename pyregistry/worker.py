"""`python -m pyregistry.worker`: one worker of `pyregistry serve`, spawned by its main process and by nobody else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyregistry.server.worker import run

if TYPE_CHECKING:
    from pyregistry.server.worker import AppFactory


def _load() -> AppFactory:
    from pyregistry.app import create_app  # noqa: PLC0415  after metrics have their place

    return create_app


if __name__ == "__main__":
    run(sys.argv[1:], _load)
