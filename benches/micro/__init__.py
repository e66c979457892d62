"""Small pieces of work on the way of a request: `benches/test_micro.py` times them, the gate counts their instructions.

A module a noun; each has `WORKS`, name to what makes the work ready in an empty folder. They import neither pytest nor
`tests`: under valgrind every import takes seconds. Hashing is kept out as far as it can be, since valgrind does not
know the processor's instructions for it and would count those of a slow stand-in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

#: Done again and again; what it answers is thrown away.
Work = Callable[[], object]
Make = Callable[[Path], AbstractContextManager[Work]]

#: How often the gate does a work, unless its module says otherwise: what other threads do meanwhile hardly counts.
TIMES = 400
MODULES = ("access", "manifests", "metadata", "ranges", "requests", "routes", "store")
