"""The writer: batches in which one may fail, long writes that let others through, and nothing left behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from pyregistry.errors import Cause, Failure
from pyregistry.store.metadata import BlobFact, Metadata
from pyregistry.store.metadata.sqlite import DATABASE, Connection, Statement
from pyregistry.store.metadata.writer import Writer
from tests.support.metadata import image, never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pyregistry.store.metadata import Write
    from pyregistry.store.metadata.writer import Steps

SYNCHRONOUS = Statement(text("PRAGMA synchronous"))
CHANGES = Statement(text("SELECT total_changes()"))
FULL, NORMAL = 2, 1
ONE_DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    opened = Metadata.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    Metadata.open(tmp_path).close()
    opened = Writer(tmp_path)
    yield opened
    opened.close()


class Held:
    """Holds the writer's thread, so that what is queued meanwhile is one batch."""

    def __init__(self, writer: Writer) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self.write = writer.submit(self._work)
        self._begun.wait()

    def _work(self, _: Connection) -> None:
        self._begun.set()
        self._go.wait()

    async def release(self) -> None:
        self._go.set()
        await self.write


async def test_reads_never_suspend(metadata: Metadata) -> None:
    read = metadata.blob("docker.io/library/nginx", ONE_DIGEST)
    with pytest.raises(StopIteration) as end:
        read.send(None)
    assert end.value.value == BlobFact(False, None)


async def test_one_write_of_a_batch_fails_alone(writer: Writer) -> None:
    def broken(connection: Connection) -> None:
        connection.run(Statement(text("INSERT INTO blob VALUES ('half', 1, 1)")), {})
        connection.run(Statement(text("INSERT INTO tag VALUES (1, 'latest', 'nothing', 1)")), {})

    def wrong(connection: Connection) -> None:
        connection.run(Statement(text("INSERT INTO blob VALUES ('wrong', 1, 1)")), {})
        raise ZeroDivisionError

    def good(connection: Connection) -> None:
        connection.run(Statement(text("INSERT INTO blob VALUES (:digest, 1, 1)")), {"digest": "good"})

    held = Held(writer)
    writes: list[Write[None]] = [writer.submit(work) for work in (broken, wrong, good)]
    await held.release()
    with pytest.raises(Failure, match="FOREIGN KEY") as error:
        await writes[0]
    assert error.value.cause is Cause.STORAGE
    with pytest.raises(ZeroDivisionError):
        await writes[1]
    await writes[2]
    rows = await writer.submit(lambda connection: connection.all(Statement(text("SELECT digest FROM blob")), {}))
    assert rows == [("good",)]
    assert writer.failures == 2


async def test_long_writes_let_others_through(writer: Writer) -> None:
    order: list[str] = []

    def long(_: Connection) -> Generator[None, None, str]:
        for step in ("first", "second", "third"):
            order.append(step)
            yield
        return "end"

    held = Held(writer)
    steps = writer.submit_steps(long)
    short = writer.submit(lambda _: order.append("short"))
    await held.release()
    await short
    assert await steps == "end"
    assert order == ["first", "short", "second", "third"]


async def test_a_long_write_that_fails_keeps_what_its_steps_committed(writer: Writer) -> None:
    def long(connection: Connection) -> Steps[None]:
        connection.run(Statement(text("INSERT INTO blob VALUES ('kept', 1, 1)")), {})
        yield
        connection.run(Statement(text("INSERT INTO blob VALUES ('kept', 1, 1)")), {})

    with pytest.raises(Failure, match="UNIQUE"):
        await writer.submit_steps(long)
    rows = await writer.submit(lambda connection: connection.all(Statement(text("SELECT digest FROM blob")), {}))
    assert rows == [("kept",)]


async def test_i10_a_batch_with_a_durable_write_waits_for_the_disk(writer: Writer) -> None:
    def level(connection: Connection) -> int:
        row = connection.one(SYNCHRONOUS, {})
        assert row is not None
        return int(row[0])

    assert await writer.submit(level) == NORMAL
    held = Held(writer)
    batch = [writer.submit(level), writer.submit(level, durable=True), writer.submit(level)]
    await held.release()
    assert [await write for write in batch] == [FULL, FULL, FULL]
    assert await writer.submit(level) == NORMAL


async def test_i10_what_a_pusher_is_told_waits_for_the_disk(metadata: Metadata) -> None:
    manifest = image()
    writes: list[Write[Any]] = [
        metadata.add_blob("team/app", ONE_DIGEST, 1, 1.0),
        metadata.mount_blob("team/tool", ONE_DIGEST, "team/app", 1.0),
        metadata.put_manifest("team/app", manifest, ["v1"], at=1.0, immutable=never, sparse=True),
        metadata.delete_tag("team/app", "v1"),
        metadata.delete_manifest("team/app", manifest.digest, immutable=never),
        metadata.delete_blob("team/app", ONE_DIGEST),
    ]
    for write in writes:
        await write
    assert [write.durable for write in writes] == [True] * len(writes)


async def test_confirming_a_tag_changes_one_row(metadata: Metadata, writer: Writer) -> None:
    await metadata.tag_missing("docker.io/library/nginx", "latest", 1.0, drop=True)
    await metadata.confirm_tag("docker.io/library/nginx", "latest", 2.0)

    def changes(connection: Connection) -> int:
        row = connection.one(CHANGES, {})
        assert row is not None
        return int(row[0])

    before = await metadata._writer.submit(changes)
    await metadata.confirm_tag("docker.io/library/nginx", "latest", 3.0)
    assert await metadata._writer.submit(changes) - before == 1


async def test_a_full_disk_is_told_apart_and_passes(writer: Writer) -> None:
    def limit(pages: int) -> Write[list[tuple[Any, ...]]]:
        pragma = Statement(text(f"PRAGMA max_page_count = {pages}"))
        return writer.submit(lambda connection: connection.all(pragma, {}))

    def grow(connection: Connection) -> None:
        connection.run(Statement(text("INSERT INTO blob VALUES (hex(zeroblob(1000000)), 1, 1)")), {})

    await limit(1)  # as many as there are
    with pytest.raises(Failure, match="full") as error:
        await writer.submit(grow)
    assert error.value.cause is Cause.STORAGE_FULL
    await limit(1_000_000)
    await writer.submit(grow)


async def test_a_failure_nobody_waits_for_is_logged_and_counted(
    metadata: Metadata, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            metadata.later(
                metadata.vouch_manifest(f"docker.io/{name}", ONE_DIGEST, upstream="docker.io", checked_at=1.0)
            )
        await metadata.record_blob(ONE_DIGEST, 1, 1.0)
    assert metadata.write_failures == 2
    assert len(caplog.records) == 1
    assert "not stored" in caplog.text


async def test_later_sees_a_coroutine_through(metadata: Metadata, caplog: pytest.LogCaptureFixture) -> None:
    done = asyncio.Event()

    async def chore(fails: bool) -> None:
        await metadata.record_blob(ONE_DIGEST, 1, 1.0)
        done.set()
        if fails:
            raise Failure(Cause.STORAGE, "said so")

    metadata.later(chore(False))
    await done.wait()
    done.clear()
    with caplog.at_level(logging.WARNING):
        metadata.later(chore(True))
        await done.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "said so" in caplog.text


async def test_who_stops_waiting_does_not_stop_the_write(metadata: Metadata) -> None:
    held = Held(metadata._writer)
    write = metadata.record_blob(ONE_DIGEST, 7, 1.0)
    waiting = asyncio.ensure_future(write)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await held.release()
    await write
    assert (await metadata.blob("docker.io/x", ONE_DIGEST)).size == 7


async def test_several_may_wait_for_one_write(metadata: Metadata) -> None:
    write = metadata.record_blob(ONE_DIGEST, 7, 1.0)

    async def wait() -> None:
        await write

    await asyncio.gather(*(wait() for _ in range(5)))
    await write


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    metadata = Metadata.open(tmp_path)
    for number in range(3000):
        metadata.record_blob(f"sha256:{number:064x}", 1, 1.0)
    metadata.replace_upstream_tags(
        "docker.io/x", [str(number) for number in range(2000)], upstream="docker.io", checked_at=1.0
    )
    metadata.close()

    async def count() -> None:
        again = Metadata.open(tmp_path)
        assert (await again.totals()).blobs == 3000
        assert len(await again.upstream_tags("docker.io/x")) == 2000
        again.close()

    asyncio.run(count())


async def test_after_closing_writes_fail_and_check_says_so(tmp_path: Path) -> None:
    metadata = Metadata.open(tmp_path)
    metadata._writer.close()
    with pytest.raises(Failure, match="closed"):
        await metadata.record_blob(ONE_DIGEST, 1, 1.0)
    with pytest.raises(Failure, match="writer has stopped"):
        await metadata.check()
    metadata._reader.close()


async def test_the_log_is_copied_into_the_database(writer: Writer, tmp_path: Path) -> None:
    before = (tmp_path / DATABASE).stat().st_size

    def grow(connection: Connection) -> None:
        connection.run(Statement(text("INSERT INTO blob VALUES (hex(randomblob(1000000)), 1, 1)")), {})

    await writer.submit(grow, pages=1)
    await writer.submit(lambda _: None, pages=1_000_000)
    await writer.submit(lambda _: None)  # begins behind the checkpoint
    assert (tmp_path / DATABASE).stat().st_size > before + 1_900_000


def test_opening_and_closing_leaves_nothing_open(tmp_path: Path) -> None:
    for _ in range(50):
        Metadata.open(tmp_path).close()
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.startswith(str(tmp_path))] == []
    assert "metadata-writer" not in {thread.name for thread in threading.enumerate()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metadata.lock", DATABASE]
