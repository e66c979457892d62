"""The Rust extension: content store, fills, readers and the HTTP client to upstreams.

Digests cross as `algorithm:hex` strings; a malformed one raises ValueError. Failures raise
`pyregistry.errors.Failure`. Every class is frozen. Awaitables belong to the running asyncio loop; cancelling one
never cancels a fill, unless said so.
"""

from collections.abc import Awaitable, Sequence
from typing import final

from pyregistry.errors import Failure

__all__ = [
    "DEBUG_BUILD",
    "MAX_RANGES",
    "Answer",
    "Budget",
    "Client",
    "Fill",
    "FillStatus",
    "Lock",
    "Plan",
    "Reader",
    "Source",
    "Store",
    "Upload",
    "__version__",
    "fills",
    "parse_range",
]

__version__: str
#: True for a build without optimisation; `serve` warns.
DEBUG_BUILD: bool
#: Largest number of ranges one request may ask for.
MAX_RANGES: int

def parse_range(header: str, size: int) -> list[tuple[int, int]] | None:
    """Byte ranges of a Range header for a body of `size` bytes (RFC 9110 section 14.1.2).

    Ranges come as (start, end) with `end` exclusive and clamped to `size`, in the order asked, not merged;
    unsatisfiable ones among several are left out. None: not a byte range, malformed, or over MAX_RANGES, so the
    header is ignored. Empty list: nothing satisfiable, answer 416.
    """

def fills(root: str) -> list[FillStatus]:
    """Fills and partials on the storage root `root`, read without opening the store (safe beside a running server)."""

@final
class Store:
    """One process's view of a storage root. Content only: facts live in the metadata database."""

    def __new__(
        cls,
        root: str,
        *,
        reserve: int = 2 << 30,
        abandon_min_sent: int = 1 << 20,
        abandon_fraction: float = 0.5,
        abandon_remaining: int = 64 << 20,
        fill_on_range: float | None = 0.5,
        connections: int = 8,
        failure_seconds: float = 1.0,
    ) -> Store:
        """Opens `root`, making it if need be. Sizes are bytes.

        `fill_on_range`: the share of a blob after which readers of ranges make its fill bring all of it; None: never.
        `connections`: over how many at most one blob is brought at once.

        Raises Failure(STORAGE) naming the path and the reason: not writable, another format VERSION, NFS/SMB/FUSE.
        """

    def committed(self, digest: str, size: int | None = None) -> Reader | None:
        """A reader of the committed blob, its descriptor open; None if there is none. Inline, microseconds.

        `size` is what the metadata says; a file of another size is moved to quarantine and None is returned.
        """

    def in_flight(self, digest: str) -> bool:
        """Whether some process owns a fill of `digest` now. Inline (one fcntl)."""

    def attach(self, digest: str, first: tuple[int, int] | None = None, *, background: bool = False) -> Reader:
        """A reader of the fill of `digest`, in flight here or elsewhere, or yet to begin.

        `first` is for a request of ranges: the first of them, as (start, end) with `end` exclusive, as far as it can be
        told without the size. Such a reader alone makes a fill bring what it reads and a little more. `background`:
        nobody reads, the whole blob is to be on disk; the fill's bytes count as background work while no client waits.

        It gets bytes only while some task of this process awaits `own_or_follow(digest)` or runs the fill it
        returned.
        """

    def wanted(self, digest: str) -> bool:
        """Whether readers of this process wait for a fill of `digest` that has no outcome yet."""

    def own_or_follow(self, digest: str) -> Awaitable[Fill | None]:
        """A `Fill` as soon as this process owns it (the lock won, nothing committed, no failure on record); None once
        the digest is committed or has failed, here or in another process, and this process's readers know.

        Cancelling it while it follows fails this process's readers with INTERRUPTED. One driver a digest and process:
        a second raises RuntimeError.
        """

    def pass_through(self, source: Source, digest: str) -> Plan:
        """The whole body straight from upstream, hashed, nothing stored; its last block waits for the right digest.

        For use when storage is full: the exception in I2. `Plan.length` is known after `await plan.begin()`.
        """

    def lock(self, key: int) -> Awaitable[Lock]:
        """The lock of `key` (63 bits used) among all processes on this root, waited for."""

    def try_lock(self, key: int) -> Lock | None:
        """The lock of `key`, or None if somebody holds it."""

    def remove(self, digest: str) -> bool:
        """Unlinks a committed blob; readers that have it open go on. False if there was none."""

    def clean(self, older_than: float) -> Awaitable[list[str]]:
        """Removes left-overs nobody owns: temporary files, recorded failures, partials not touched for `older_than`
        seconds.

        Answers the digests whose partials went.
        """

    def begin_upload(self, session: str, algorithm: str = "sha256") -> Upload:
        """Makes the upload `session` (1 to 64 characters of a-z, 0-9 and `-`) and holds it. Raises
        Failure(STORAGE_FULL) below `reserve`.
        """

    def open_upload(self, session: str) -> Upload | None:
        """Holds an upload begun before, by whichever process, at its last checkpoint; None while somebody else holds
        it, and for the moment in which a batch is still written that its last holder began.

        Raises Failure(NOT_FOUND) if there is none.
        """

    def upload_offset(self, session: str) -> int | None:
        """Bytes that an upload has at its last checkpoint, held or not; None if there is none.

        0 after a reboot of the machine: what was never synced is not counted on.
        """

    def remove_upload(self, session: str) -> bool:
        """Removes an upload and its bytes. False while somebody holds it, and if there is none."""

    def uploads(self) -> list[tuple[str, float]]:
        """Every upload on disk with the seconds since its last checkpoint, for cleaning."""

    def blobs(self, after: str = "", limit: int = 1000) -> list[tuple[str, float]]:
        """Committed digests behind `after` in lexical order, with the seconds since their file was last modified; for
        cleaning.

        A page may be shorter than `limit`, for few folders are read at once; the end is an empty one.
        """

    def free_bytes(self) -> int:
        """Bytes an unprivileged process can still write on the root's file system."""

    def owned(self) -> int:
        """Fills this process owns now."""

    def close(self) -> Awaitable[None]:
        """Stops owned fills at a durable checkpoint and ends the background threads' work."""

@final
class Lock:
    """A held lock. Also goes with its process."""

    def release(self) -> None: ...
    def __enter__(self) -> Lock: ...
    def __exit__(self, *exc: object) -> None: ...

@final
class Fill:
    """A fill this process owns. Dropping it without an outcome records INTERRUPTED and keeps the partial."""

    @property
    def digest(self) -> str: ...
    @property
    def had(self) -> int:
        """Bytes present, in order or not."""

    def run(self, source: Source) -> Awaitable[str]:
        """Brings bytes from `source` until an outcome: "committed", "stopped" (nobody waits, by policy; partial
        kept), or "idle" (readers of ranges have what they want; the fill is still owned, and `rest` comes next).

        Raises Failure: DIGEST_MISMATCH and SIZE_MISMATCH of a finished body, and the STORAGE causes, are already
        recorded as the outcome; any other cause is the source's, the fill is still owned, and the caller runs it
        again or calls `fail`. Cancelling it stops the fetch at a checkpoint; the fill is still owned.
        """

    def rest(self) -> Awaitable[bool]:
        """After "idle": waits until there is something to bring. False: nobody waits, and the fill has stopped."""

    def fail(self, failure: Failure) -> None:
        """Records the outcome for every reader in every process and lets go (for `failure_seconds`, or its
        `retry_after`).
        """

@final
class Upload:
    """An upload that this process holds. Dropping it lets go at the last checkpoint."""

    @property
    def session(self) -> str: ...
    @property
    def offset(self) -> int:
        """Bytes taken so far, written or about to be."""

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Takes the next bytes. They are written and hashed in batches of 1 MiB beside the caller, one batch at a
        time: None if the caller may go on at once, else await before the next call. Raises Failure(STORAGE_FULL |
        STORAGE), also for an earlier batch.
        """

    def flush(self) -> Awaitable[int]:
        """Waits until all is written and hashed, keeps a checkpoint for the next request (no fsync), and answers the
        offset. It happens even if the wait is cancelled.
        """

    def commit(self, digest: str) -> Awaitable[int]:
        """Makes the bytes the blob `digest` and answers its size; synced, file and folder. The upload is gone
        afterwards. It happens even if the wait is cancelled.

        Raises Failure(DIGEST_MISMATCH): the upload stays as it was. After any other failure it can be opened again, at
        its last checkpoint, if it is still there.
        """

    def release(self) -> None:
        """Lets go without waiting; bytes since the last checkpoint are lost."""

@final
class FillStatus:
    """One fill or partial as seen on disk."""

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def frontier(self) -> int:
        """Bytes present and hashed from 0."""
    @property
    def had(self) -> int:
        """Bytes present, in order or not."""
    @property
    def owned(self) -> bool:
        """A process works on it now."""
    @property
    def failure(self) -> Failure | None:
        """The recorded failure of its last generation."""

@final
class Reader:
    """What a request holds to get bytes of one digest: committed, in flight, or about to be; the interface is the
    same.
    """

    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int | None:
        """Bytes of the whole blob, once known."""
    @property
    def is_committed(self) -> bool: ...
    def ready(self) -> Awaitable[int | None]:
        """Waits until a body can be begun and answers the size (None: upstream told none; whole body only, in order).

        Raises the fill's Failure.
        """

    def plan(self, ranges: Sequence[tuple[int, int]] | None = None, boundary: str | None = None) -> Plan:
        """The body of a response. No ranges: the whole. One: its bytes. Several: multipart/byteranges, framed with
        `boundary`, each part with `Content-Type: application/octet-stream` and its Content-Range (RFC 9110 section
        14.6).

        A whole body, and one range from 0 to the end, holds its last block back until the digest was verified (I4).
        """

@final
class Plan:
    """A response body, read in order. Not for two tasks at once."""

    @property
    def length(self) -> int | None:
        """Bytes of the whole body, framing included; None where the size is unknown."""

    def begin(self) -> Awaitable[int | None]:
        """Waits until the first byte can be had and answers `length`. Needed for `pass_through` alone."""

    def take(self, limit: int) -> bytes | None:
        """Up to `limit` next bytes without waiting for network or disk; None if there are none yet; b"" at the end.

        Raises the fill's Failure.
        """

    def next(self, limit: int) -> Awaitable[bytes]:
        """Up to `limit` next bytes, waited for; b"" at the end. Cancelling loses no byte. Raises the fill's Failure."""

@final
class Budget:
    """So many requests, or bytes, a second, over all processes that name the same file."""

    def __new__(cls, path: str, per_second: float) -> Budget:
        """Maps the file `path`, which is made if need be; where it cannot be, a process counts for itself.

        Raises ValueError unless `per_second` is above 0.
        """

    def take(self, amount: int) -> float:
        """Takes the next turn, for `amount`, and answers how many seconds it is until then. Inline, microseconds."""

@final
class Client:
    """HTTP to upstreams: pooled connections, proxy variables, redirects that drop credentials across hosts."""

    def __new__(
        cls,
        *,
        user_agent: str,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        verify: bool = True,
        connect_timeout: float = 5.0,
        progress_timeout: float = 30.0,
    ) -> Client:
        """Times are seconds; `progress_timeout` bounds the wait for a status line and between two pieces of a body.

        `ca_file` (PEM) adds to the system's authorities; `client_cert` and `client_key` are PEM files. ValueError
        names a bad file.
        """

    def request(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        *,
        body: bytes | None = None,
        limit: int = 8 << 20,
    ) -> Awaitable[Answer]:
        """One exchange with a small answer, redirects followed. Any status is an answer; no answer raises
        Failure(UNREACHABLE | TIMEOUT | TOO_LARGE | PROTOCOL).
        """

    def source(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        *,
        places: Sequence[int] | None = None,
        requests: Budget | None = None,
        bandwidth: Budget | None = None,
        background_bandwidth: Budget | None = None,
    ) -> Source:
        """A blob's body at `url`, for `Fill.run` or `Store.pass_through`; nothing is sent yet.

        `places`: keys of `Store.lock`; every connection beside a fill's first holds one of them. None: no limit. Each
        request waits for its turn of `requests`, and after each piece the next waits for that of `bandwidth`, and of
        `background_bandwidth` while no client waits for the fill.

        A broken body goes on by Range from where it was (Content-Range checked; a 200 to a Range is skipped forward);
        401 or 403 from a redirect's target resolves `url` again. Statuses of `url` itself end it: 404 NOT_FOUND, 401
        and 403 DENIED (with `challenge`), 429 RATE_LIMITED (with `retry_after`), else UPSTREAM.
        """

@final
class Answer:
    """A small answer, held whole."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in lower case, in the order received."""
    @property
    def body(self) -> bytes: ...
    @property
    def url(self) -> str:
        """Where it came from, after redirects."""
    def header(self, name: str) -> str | None:
        """The first value of `name` (lower case)."""

@final
class Source:
    """One upstream body that can be asked for from any offset."""

    @property
    def received(self) -> int:
        """Body bytes received so far."""
    @property
    def statuses(self) -> list[int]:
        """Status of every answer so far (redirects not counted); 0 for a request without one."""

    def limited(self) -> Awaitable[float]:
        """Waits until upstream wishes to be left alone (429 with Retry-After), on whichever connection, and answers
        for how many seconds.
        """
