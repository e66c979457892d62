"""One client's connection: requests read, answers sent byte for byte as scripted."""

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import time

from tests.support.upstream.answers import Answer, Ending, Framing, Stop
from tests.support.upstream.gates import Gates
from tests.support.upstream.journal import Journal, Record
from tests.support.upstream.pace import LARGEST, Bucket
from tests.support.upstream.registry import Registry
from tests.support.upstream.requests import Headers, Place, Request, parse
from tests.support.upstream.settings import Tls

HEAD_LIMIT = 256 << 10
TLS_RECORD = b"\x16\x03"
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class GoneError(Exception):
    """The client left, or the upstream closes."""


class CutError(Exception):
    """The script ends the connection here."""


class Connection:
    def __init__(
        self,
        sock: socket.socket,
        *,
        place: Place,
        number: int,
        registry: Registry,
        journal: Journal,
        gates: Gates,
        total: Bucket,
    ) -> None:
        self._sock = sock
        self._place = place
        self._number = number
        self._registry = registry
        self._journal = journal
        self._gates = gates
        self._total = total
        self._own = Bucket()
        self._answer = Bucket()
        self._received = b""
        self._writable = select.poll()
        self._writable.register(sock, select.POLLOUT)

    def serve(self) -> None:
        """Answers requests until either side has enough. Closes the socket."""
        try:
            with contextlib.suppress(OSError, GoneError):
                tls = self._registry.settings.tls
                if tls is not None:
                    self._secure(tls)
                while (request := self._read()) is not None and self._exchange(request):
                    pass
        finally:
            self._sock.close()

    def _secure(self, tls: Tls) -> None:
        if tls.delay != 0:
            self._pause(tls.delay)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
        context.load_cert_chain(tls.cert, tls.key)
        if tls.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        self._sock = context.wrap_socket(self._sock, server_side=True)

    def abort(self) -> None:
        """Wakes whoever serves this connection; from any thread."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> Request | None:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if not self._receive() or len(self._received) > HEAD_LIMIT:
                return None
            if self._received.startswith(TLS_RECORD):
                # Clients that try TLS first must learn at once that this is not it.
                self._sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                return None
        head, self._received = self._received[:end].decode("latin-1"), self._received[end + 4 :]
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers: Headers = tuple((n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in lines))
        length = int(next((v for n, v in headers if n.lower() == "content-length"), "0"))
        while len(self._received) < length:
            if not self._receive():
                return None
        body, self._received = self._received[:length], self._received[length:]
        return parse(method, target, headers, body, place=self._place, connection=self._number)

    def _receive(self) -> bool:
        data = self._sock.recv(65536)
        self._received += data
        return bool(data)

    def _exchange(self, request: Request) -> bool:
        """True if another request may follow."""
        record = self._journal.begin(request)
        finished = False
        try:
            answer = self._registry.answer(request)
            if answer.silent:
                self._pause(None)
            if answer.delay:
                self._pause(answer.delay)
            if answer.gate is not None:
                self._wait(answer.gate, record)
            self._send(request, answer, record)
            finished = True
        except GoneError:
            return False
        except CutError as cut:
            self._end(cut.args[0])
            return False
        finally:
            self._journal.ended(record, finished=finished)
        closing = (request.header("connection") or "").lower() == "close"
        return answer.keeps_alive and not closing

    def _send(self, request: Request, answer: Answer, record: Record) -> None:
        self._journal.answered(record, answer)
        self._sock.sendall(answer.render())
        self._journal.headed(record)
        if request.method == "HEAD":
            return
        chunked = answer.framing is Framing.CHUNKED
        stops = sorted((s for s in answer.stops if s.at <= record.length), key=lambda stop: stop.at)
        body = memoryview(answer.content)[answer.begin : answer.end]
        position = 0
        buckets = (self._total, self._own, self._answer)
        for bucket in buckets:
            bucket.join()
        try:
            while True:
                while stops and stops[0].at <= position:
                    self._stop(stops.pop(0), record)
                if position == record.length:
                    break
                limit = (stops[0].at if stops else record.length) - position
                part = body[position : position + min(limit, self._may_send(limit, answer.rate))]
                if answer.flips:
                    part = _flipped(part, answer.begin + position, answer.flips)
                self._journal.sending(record, len(part), last=not stops and position + len(part) == record.length)
                count = 0
                try:
                    count = self._hand_over(part, chunked=chunked)
                finally:
                    self._journal.sent(record, count, len(part))
                position += count
                if not count:
                    self._writable.poll()
        finally:
            for bucket in buckets:
                bucket.leave()
        if chunked:
            self._sock.sendall(b"0\r\n\r\n")

    def _hand_over(self, part: memoryview, *, chunked: bool) -> int:
        """How many bytes the kernel took; 0 if it has no room. Chunks go whole."""
        if chunked:
            self._sock.sendall(b"%x\r\n" % len(part))
            self._sock.sendall(part)
            self._sock.sendall(b"\r\n")
            return len(part)
        if isinstance(self._sock, ssl.SSLSocket):
            return self._sock.send(part)
        try:
            return self._sock.send(part, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _may_send(self, limit: int, answer_rate: float | None) -> int:
        """How many of `limit` bytes may go now, after waiting for them."""
        settings = self._registry.settings
        count = min(limit, LARGEST)
        limits = (
            (self._total, settings.rate),
            (self._own, settings.connection_rate),
            (self._answer, answer_rate),
        )
        active = [(bucket, rate) for bucket, rate in limits if rate is not None]
        for bucket, rate in active:
            count = min(count, bucket.piece(rate))
        when = max((bucket.turn(count, rate) for bucket, rate in active), default=0.0)
        wait = when - time.monotonic()
        if wait > 0.05:
            self._pause(wait)
        elif wait > 0:
            time.sleep(wait)
        return count

    def _stop(self, stop: Stop, record: Record) -> None:
        if stop.ending is not None:
            raise CutError(stop.ending)
        assert stop.gate is not None
        self._wait(stop.gate, record)

    def _wait(self, gate: str, record: Record) -> None:
        descriptor = self._gates.descriptor(gate)
        if descriptor is None:
            return
        self._journal.held(record, gate)
        self._pause(None, descriptor)
        self._journal.held(record, None)

    def _pause(self, seconds: float | None, gate: int | None = None) -> None:
        """Waits so long, or until the gate opens; notices when the client leaves."""
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        if gate is not None:
            poll.register(gate, select.POLLIN)
        for descriptor, event in poll.poll(None if seconds is None else seconds * 1000):
            if descriptor == self._sock.fileno() and event & _GONE:
                raise GoneError

    def _end(self, ending: Ending) -> None:
        if ending is Ending.FIN:
            return
        # What a reset finds in the send queue is lost; the script says the client gets it.
        deadline = time.monotonic() + 2
        while _unacknowledged(self._sock) and time.monotonic() < deadline:
            time.sleep(0.001)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _unacknowledged(sock: socket.socket) -> int:
    reply = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int.from_bytes(reply, "little")


def _flipped(part: memoryview, begin: int, flips: dict[int, int]) -> memoryview:
    changed = bytearray(part)
    for offset, mask in flips.items():
        if begin <= offset < begin + len(part):
            changed[offset - begin] ^= mask
    return memoryview(changed)
