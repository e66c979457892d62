"""Many small requests by wrk (apt), which costs some microseconds a request; how many is part of what it tells."""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from dataclasses import dataclass

from tests.support.tools import find


@dataclass(frozen=True)
class Load:
    """One run: requests, seconds, wrk's own CPU seconds, and latencies in seconds."""

    requests: int
    seconds: float
    client_cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def run(url: str, *, connections: int = 16, seconds: int = 3, script: str | None = None) -> Load:
    """Loads `url` over keep-alive connections for so long; any answer that is not 2xx fails."""
    path = find("wrk")
    command = [path, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        if script is not None:
            file.write(script)
            file.flush()
            command += ["-s", file.name]
        before = _children_cpu()
        out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
        cpu = _children_cpu() - before
    assert "Non-2xx" not in out, out
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", out)
    assert total is not None, out
    return Load(int(total[1]), float(total[2]) * _UNITS[total[3]], cpu, _latency(out, 50), _latency(out, 99))


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _latency(out: str, percent: int) -> float:
    match = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)", out, re.MULTILINE)
    assert match is not None, out
    return float(match[1]) * _UNITS[match[2]]


def random_ranges(path: str, size: int, length: int) -> str:
    """A wrk script that asks for random ranges of so many bytes."""
    return f"""
math.randomseed(7)
request = function()
  local first = math.random(0, {size - length})
  return wrk.format("GET", "{path}", {{ Range = string.format("bytes=%d-%d", first, first + {length - 1}) }})
end
"""
