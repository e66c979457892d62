"""Workers come and go, the server stays: real processes, real signals."""

import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.apps.server import PATIENCE, Exchange, Server, wait_gone
from tests.integration.apps.worker import PIECE, PIECES
from tests.support.surroundings import quiet_environment

WHOLE = PIECES * len(PIECE)

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of the test application; arguments as `Server` has them."""
    servers: list[Server] = []

    def started(*, ready: bool = True, **arguments: object) -> Server:
        server = Server(tmp_path / "root", **arguments)  # type: ignore[arg-type]
        servers.append(server)
        return server.start(ready=ready)

    yield started
    for server in servers:
        server.close()
        print(server.log)


def probe(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{server.probes}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


class TestDeaths:
    def test_what_a_dead_worker_had_not_accepted_is_served_by_its_successor(self, start: Start) -> None:
        server = start(workers=1)
        victim = server.worker(0)
        os.kill(victim, signal.SIGSTOP)
        _wait_stopped(victim)
        with server.request("/who") as waiting:  # in the queue of a worker that cannot take it
            os.kill(victim, signal.SIGKILL)
            _, pid = waiting.worker()
        assert pid != victim
        assert pid == server.worker(0)

    def test_clients_of_other_workers_notice_nothing(self, start: Start) -> None:
        server = start(workers=2)
        with server.gate() as gate, server.request(f"/held?gate={gate.path}") as held:
            gate.reached()
            slot, _ = held.worker()
            os.kill(server.worker(1 - slot), signal.SIGKILL)
            server.line(rf"worker {1 - slot} died .*SIGKILL")
            server.line(rf"worker {1 - slot} ready")
            gate.open()
            assert len(held.body()) == WHOLE
        assert {server.who()[0] for _ in range(64)} == {0, 1}

    def test_two_in_a_second_do_not_end_the_server(self, start: Start) -> None:
        server = start(workers=1)
        for _ in range(3):  # its successor dies too, before it is ready
            os.kill(server.worker(0), signal.SIGKILL)
            server.line(r"worker 0 died .*SIGKILL")
            server.line(r"worker 0 started")
        assert server.who() == (0, server.worker(0))
        assert 'pyregistry_worker_restarts_total{slot="0"} 3.0' in probe(server, "/metrics")[1]

    def test_a_root_that_takes_no_changes_any_more_ends_nobody_else(self, start: Start) -> None:
        server = start(workers=2)
        gauges = server.root / "run" / "gauge_livesum_0.db"
        gauges.unlink()
        gauges.mkdir()  # neither removed nor opened, as on a read-only file system
        os.kill(server.worker(0), signal.SIGKILL)
        server.line(r"worker 0 died .*SIGKILL")
        server.line(r"worker 0 ready")
        assert {server.who()[0] for _ in range(64)} == {0, 1}

    def test_a_worker_that_ends_by_itself_is_followed(self, start: Start) -> None:
        server = start(workers=1)
        os.kill(server.worker(0), signal.SIGTERM)
        server.line(r"worker 0 died .*exit code 0")
        server.line(r"worker 0 ready")

    def test_a_silent_heartbeat_is_a_death(self, start: Start) -> None:
        server = start(workers=2, heartbeat=4.0, tick=0.1)
        victim = server.worker(0)
        os.kill(victim, signal.SIGSTOP)
        server.line(r"worker 0 is killed: no heartbeat")
        server.line(rf"worker 0 died .*process {victim}, signal SIGKILL")
        server.line(r"worker 0 ready")

    def test_a_slot_in_backoff_leaves_new_connections_to_the_others(self, start: Start) -> None:
        server = start(workers=2, behaviour="crash-1", ready=False, backoff=[600.0])
        server.line(r"worker 1 died .*exit code 7")
        server.line(r"worker 1 is started again in 600 s, its share of new connections goes to the others")
        assert {server.who()[0] for _ in range(64)} == {0}
        states = [worker["state"] for worker in json.loads(probe(server, "/readyz")[1])["workers"]]
        assert states == ["ready", "waiting"]
        server.signal(signal.SIGTERM)
        assert server.wait() == 0

    def test_the_socket_comes_back_with_the_worker(self, start: Start) -> None:
        server = start(workers=2, patience=0.0, backoff=[0.1])
        os.kill(server.worker(1), signal.SIGKILL)
        server.line(r"worker 1 is started again in 0.1 s, its share")
        server.line(r"worker 1 ready")
        assert {server.who()[0] for _ in range(64)} == {0, 1}

    def test_the_last_socket_stays(self, start: Start) -> None:
        server = start(workers=1, patience=0.0, backoff=[0.1])
        os.kill(server.worker(0), signal.SIGKILL)
        server.line(r"worker 0 died")
        assert server.who() == (0, server.worker(0))

    def test_main_takes_its_workers_with_it(self, start: Start) -> None:
        server = start(workers=2)
        workers = [server.worker(0), server.worker(1)]
        server.signal(signal.SIGKILL)
        wait_gone(workers)

    def test_main_takes_a_worker_with_it_that_has_just_begun(self, start: Start) -> None:
        server = start(workers=2, ready=False)
        server.line(r"worker 1 started")
        workers = [server.worker(0), server.worker(1)]
        server.signal(signal.SIGKILL)
        wait_gone(workers)


class TestStart:
    def test_all_workers_answer(self, start: Start) -> None:
        server = start(workers=3)
        for _ in range(3):
            server.line(r"worker \d ready after")
        assert {server.who()[0] for _ in range(128)} == {0, 1, 2}
        status, body = probe(server, "/readyz")
        assert status == 200
        assert [worker["state"] for worker in json.loads(body)["workers"]] == ["ready"] * 3

    def test_an_application_that_refuses_is_exit_code_2(self, start: Start) -> None:
        server = start(workers=2, behaviour="refuse", ready=False)
        assert server.wait() == 2
        assert server.log.count("of the wrong kind") == 1
        assert server.log.splitlines()[-1] == "pyregistry: storage.root: of the wrong kind"
        assert "Traceback" not in server.log

    def test_an_application_that_fails_is_tried_again(self, start: Start) -> None:
        server = start(workers=1, behaviour="raise", ready=False, backoff=[0.0, 0.1])
        for _ in range(3):
            server.line(r"worker 0: ValueError: no luck")
            server.line(r"worker 0 died .*exit code 1")
        status, body = probe(server, "/readyz")
        assert status == 503
        assert json.loads(body)["ready"] is False
        assert probe(server, "/livez")[0] == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.log

    def test_descriptors_up_to_the_hard_limit(self, start: Start) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        try:
            server = start(workers=1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert resource.prlimit(server.worker(0), resource.RLIMIT_NOFILE)[0] == hard

    def test_workers_get_settings_by_no_public_way(self, start: Start) -> None:
        server = start(workers=1, environment={"PYREGISTRY_MIRROR__X": "s3cret"})
        worker = Path(f"/proc/{server.worker(0)}")
        assert b"s3cret" not in (worker / "environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in (worker / "environ").read_bytes()
        assert b"listen" not in (worker / "cmdline").read_bytes()

    def test_metrics_can_be_scraped(self, start: Start) -> None:
        server = start(workers=2)
        status, text = probe(server, "/metrics")
        assert status == 200
        assert "pyregistry_workers_ready 2.0" in text
        assert probe(server, "/else")[0] == 404

    def test_long_headers_pass(self, start: Start) -> None:
        server = start(workers=1)
        ranges = ",".join(f"{offset}-{offset + 65535}" for offset in range(10**10, 10**10 + 1024 * 65536, 65536))
        with server.request("/headers", f"Range: bytes={ranges}\r\n") as exchange:
            assert int(exchange.body()) > len(ranges) > 20_000

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_tls(self, start: Start, tmp_path: Path, version: ssl.TLSVersion) -> None:
        cert, key = self_signed(tmp_path)
        server = start(workers=2, http={"tls": {"cert": str(cert), "key": str(key)}})
        context = ssl.create_default_context(cafile=str(cert))
        context.minimum_version = context.maximum_version = version
        for protocol in ("h2", "http/1.1"):
            context.set_alpn_protocols([protocol])
            with context.wrap_socket(server.connect(), server_hostname="localhost") as secured:
                assert secured.selected_alpn_protocol() == protocol
                if protocol == "http/1.1":
                    exchange = Exchange(secured)
                    exchange.send("/who")
                    assert exchange.worker()[0] in (0, 1)


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


class TestEnd:
    def test_running_responses_finish(self, start: Start) -> None:
        server = start(workers=2)
        with (
            server.gate() as gate,
            server.request("/who") as idle,
            server.request(f"/held?gate={gate.path}") as held,
        ):
            assert idle.body() == b""
            gate.reached()
            server.signal(signal.SIGTERM)
            assert server.notified.recv(4096) == b"STOPPING=1"
            assert idle.ended(), "idle connections close at once"
            with pytest.raises(ConnectionRefusedError):
                connect_until_refused(server)
            assert json.loads(probe(server, "/readyz")[1])["ready"] is False
            gate.open()
            assert len(held.body()) == WHOLE
        assert server.wait() == 0
        assert sorted(path.name for path in server.root.glob("ended-*")) == ["ended-0", "ended-1"]

    def test_the_drain_time_ends_them(self, start: Start) -> None:
        server = start(workers=1, drain=0.5)
        with server.gate() as gate, server.request(f"/held?gate={gate.path}") as held:
            gate.reached()
            held.worker()  # its head is here
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert len(held.body()) < WHOLE
        assert "cutting the responses" in server.log
        assert (server.root / "ended-0").exists(), "the application's shutdown ran"

    def test_a_client_that_reads_nothing_does_not_delay_it(self, start: Start) -> None:
        server = start(workers=1, drain=0.5)
        with server.gate() as gate, server.request(f"/endless?gate={gate.path}") as stalled:
            gate.reached()
            stalled.header("worker")
            server.signal(signal.SIGTERM)
            assert server.wait() == 0

    def test_the_second_signal_ends_at_once(self, start: Start) -> None:
        server = start(workers=2, drain=3600.0)
        with server.gate() as gate, server.request(f"/held?gate={gate.path}") as held:
            gate.reached()
            held.worker()  # its head is here
            server.signal(signal.SIGTERM)
            server.line(r"SIGTERM: responses may run on")
            server.signal(signal.SIGINT)
            assert server.wait() == 0
            assert len(held.body()) < WHOLE

    def test_ctrl_c_drains_too(self, start: Start) -> None:
        server = start(workers=2)
        with server.gate() as gate, server.request(f"/held?gate={gate.path}") as held:
            gate.reached()
            os.killpg(server.process.pid, signal.SIGINT)  # a terminal signals the whole group
            server.line(r"SIGINT: responses may run on")
            gate.open()
            assert len(held.body()) == WHOLE
        assert server.wait() == 0

    def test_while_starting(self, start: Start) -> None:
        server = start(workers=2, ready=False)
        server.line(r"worker 1 started")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "signal" not in server.log.partition("SIGTERM: ")[2], "a worker died of the signal"


def connect_until_refused(server: Server) -> None:
    """Main has closed its sockets; a worker closes its own when its thread gets to it."""
    while True:
        server.connect().close()


class TestRefusals:
    """Before anything is started: one line, exit code 2."""

    def refused(self, root: Path, listen: str = "127.0.0.1:0", metrics: str = "127.0.0.1:0") -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "pyregistry", "serve", "--root", root, "--listen", listen, "--metrics", metrics],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=quiet_environment(),
            check=False,
        )
        assert ended.returncode == 2, ended.stderr
        (line,) = ended.stderr.splitlines()
        return line

    @pytest.mark.parametrize("option", ["listen", "metrics"])
    def test_a_taken_port(self, tmp_path: Path, option: str) -> None:
        # Ours sets SO_REUSEPORT, as another pyregistry of the same user would.
        with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            line = self.refused(tmp_path / "root", **{option: address})
        assert line.startswith("pyregistry: ")
        assert f"cannot listen on {address}: another program listens there" in line
        assert option in line

    def test_an_address_of_another_machine(self, tmp_path: Path) -> None:
        assert "this machine has no such address" in self.refused(tmp_path, listen="192.0.2.1:5000")

    def test_a_root_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "storage.root: cannot write to" in self.refused(tmp_path / "file" / "root")

    def test_a_root_that_is_served(self, tmp_path: Path, start: Start) -> None:
        server = start(workers=1)
        assert f"is served by process {server.process.pid} already" in self.refused(tmp_path / "root")


def _wait_stopped(pid: int) -> None:
    """The signal is under way when kill returns: a thread that still runs would accept."""

    def running() -> bool:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return any((thread / "stat").read_text().rpartition(")")[2].split()[0] not in "Tt" for thread in threads)

    while running():
        os.sched_yield()
