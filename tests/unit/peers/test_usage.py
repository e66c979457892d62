"""Memory of a server's processes."""

import subprocess
import sys

from benches.usage import remembered

GROWTH = 64 << 20
_SERVER = f"""
import sys
for _ in sys.stdin:
    held = bytearray({GROWTH})
    print("held", flush=True)
"""


class Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def processes(self) -> list[int]:
        return [self._process.pid]

    def grow(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "held\n"


def test_memory_is_what_came_on_top() -> None:
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        server = Server(process)
        with remembered(server) as memory:
            server.grow()
        assert memory.idle > 0
        assert GROWTH <= memory.grown < 2 * GROWTH
        with remembered(server) as memory:
            pass
        assert memory.grown < GROWTH / 8
        with remembered(server, memory.idle - GROWTH) as since:
            pass
        assert GROWTH <= since.grown < 2 * GROWTH
