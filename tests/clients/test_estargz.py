"""A lazy start by the library of the stargz snapshotter: a few files of a cold eStargz layer."""

import hashlib
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.support.blobs import blob
from tests.support.serve import Serve
from tests.support.tools import run
from tests.support.upstream import Upstream


def test_files_of_a_cold_layer(upstream: Upstream, serve: Callable[..., Serve], tmp_path: Path) -> None:
    """Right bytes, nothing twice, and upstream sends at most 1.3 times what the client received."""
    numbers = random.Random(51)
    contents = {f"usr/lib/file-{number}": numbers.randbytes(numbers.choice([300_000, 900_000])) for number in range(40)}
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    run("estargz", "build", str(tmp_path / "layer.tar"), str(tmp_path / "layer"))
    layer = blob((tmp_path / "layer").read_bytes())
    upstream.configure(latency=0.005)
    upstream.add_blob("team/app", layer)
    server = serve(upstreams={"docker.io": upstream.url}, workers=2)

    wanted = numbers.sample(list(contents), 6)
    *hashes, received = run("estargz", "read", f"{server.url}/v2/team/app/blobs/{layer.digest}", *wanted).split()
    assert hashes == [hashlib.sha256(contents[name]).hexdigest() for name in wanted]
    assert int(received) < layer.size / 2
    assert upstream.body_bytes(layer.digest) <= 1.3 * int(received)
    assert upstream.overlap(layer.digest) == 0
