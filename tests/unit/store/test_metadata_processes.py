"""Several processes and threads on one root: nothing lost, nothing half seen, and a kill does no harm."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pyregistry.oci.manifests import Manifest, parse_manifest
from pyregistry.oci.media_types import OCI_MANIFEST
from pyregistry.store.metadata import Metadata
from pyregistry.store.metadata.sqlite import DATABASE

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

WRITERS = 8
REPOSITORY = "docker.io/library/nginx"
PROCESSES = multiprocessing.get_context("spawn")


def image(writer: int, number: int) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "annotations": {"n": f"{writer}-{number}"}, "layers": []}
    return parse_manifest(json.dumps(document).encode(), None)


async def write(metadata: Metadata, writer: int, number: int) -> None:
    manifest = image(writer, number)
    await metadata.store_manifest(
        REPOSITORY, manifest, upstream="docker.io", tag=f"{writer}-{number}", checked_at=1.0, durable=number % 5 == 0
    )
    await metadata.vouch_manifest(
        REPOSITORY, manifest.digest, upstream="docker.io", tag="latest", checked_at=float(number)
    )


async def consistent(metadata: Metadata, tag: str) -> None:
    """What any reader must find at any time."""
    fact = await metadata.tag(REPOSITORY, tag)
    assert fact is not None
    assert fact.digest is not None
    assert fact.stored
    assert await metadata.manifest(REPOSITORY, fact.digest) is not None


def write_many(root: Path, writer: int, count: int) -> None:
    """A process that opens the root itself, at the same time as all others."""

    async def main() -> None:
        metadata = Metadata.open(root)
        for number in range(count):
            await write(metadata, writer, number)
            await consistent(metadata, f"{writer}-{number}")
            await consistent(metadata, "latest")
        metadata.close()

    asyncio.run(main())


def write_until_killed(root: Path, told: Connection) -> None:
    """A process that tells which writes it was answered."""

    async def main() -> None:
        metadata = Metadata.open(root)
        for number in range(1_000_000):
            await write(metadata, 0, number)
            told.send(number)

    asyncio.run(main())


async def check_all(root: Path, counts: dict[int, int]) -> None:
    metadata = Metadata.open(root)
    for writer, count in counts.items():
        for number in range(count):
            fact = await metadata.tag(REPOSITORY, f"{writer}-{number}")
            assert fact is not None
            assert fact.digest == image(writer, number).digest
            await consistent(metadata, f"{writer}-{number}")
    for tag in await metadata.tags(REPOSITORY):
        await consistent(metadata, tag)
    metadata.close()
    with closing(sqlite3.connect(root / DATABASE)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_eight_processes_write_and_nothing_is_lost(tmp_path: Path) -> None:
    processes = [PROCESSES.Process(target=write_many, args=(tmp_path, writer, 60)) for writer in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * WRITERS
    asyncio.run(check_all(tmp_path, dict.fromkeys(range(WRITERS), 60)))


def test_eight_threads_write_and_nothing_is_lost(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def run(writer: int) -> None:
        try:
            write_many(tmp_path, writer, 60)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    asyncio.run(check_all(tmp_path, dict.fromkeys(range(WRITERS), 60)))


@pytest.mark.parametrize("kills", [5])
def test_a_killed_writer_loses_nothing_it_was_answered(tmp_path: Path, kills: int) -> None:
    answered = 0
    survivor = Metadata.open(tmp_path)
    for kill in range(kills):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=write_until_killed, args=(tmp_path, theirs))
        process.start()
        theirs.close()
        while ours.recv() < 40 * (kill + 1) + kill:
            pass
        process.kill()
        process.join()
        last = -1
        try:
            while True:
                last = ours.recv()
        except EOFError:
            ours.close()
        answered = max(answered, last + 1, 40 * (kill + 1))
        # Who lives on writes at once: the lock went with the process.
        asyncio.run(write(survivor, 1, kill))
    survivor.close()
    asyncio.run(check_all(tmp_path, {0: answered, 1: kills}))
