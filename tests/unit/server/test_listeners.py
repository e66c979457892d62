import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from pyregistry.config import ConfigError
from pyregistry.server.listeners import Address, Listeners, bind


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    with closing(Listeners(Address.parse("http.listen", "127.0.0.1:0"), 3)) as made:
        yield made


def port_of(descriptor: int) -> int:
    with socket.socket(fileno=socket.dup(descriptor)) as view:
        return int(view.getsockname()[1])


def test_all_slots_listen_on_one_port(listeners: Listeners) -> None:
    ports = {port_of(listeners.open(slot)) for slot in range(3)}
    assert ports == {int(listeners.location.rpartition(":")[2])}
    assert len({listeners.open(slot) for slot in range(3)}) == 3


def test_connections_go_to_the_others_until_it_is_bound_again(listeners: Listeners) -> None:
    host, _, port = listeners.location.rpartition(":")
    assert listeners.give_up(0)
    assert not listeners.give_up(0)
    assert listeners.give_up(2)
    with socket.create_connection((host, int(port))), socket.socket(fileno=socket.dup(listeners.open(1))) as view:
        accepted, _ = view.accept()
        accepted.close()
    assert port_of(listeners.open(0)) == int(port)


def test_a_vanished_clients_connection_ends(listeners: Listeners) -> None:
    assert listeners.give_up(0)
    assert listeners.give_up(2)
    host, _, port = listeners.location.rpartition(":")
    with socket.create_connection((host, int(port))), socket.socket(fileno=socket.dup(listeners.open(1))) as view:
        accepted, _ = view.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle, interval, count = (
                accepted.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + interval * count == 120


def test_the_last_is_kept(listeners: Listeners) -> None:
    assert [listeners.give_up(slot) for slot in range(3)] == [True, True, False]


@pytest.mark.parametrize("options", [{}, {"reuse_port": True}])
@pytest.mark.parametrize("slots", [1, 2])
def test_a_taken_port_is_refused_whatever_its_owner_allows(options: dict[str, bool], slots: int) -> None:
    with socket.create_server(("127.0.0.1", 0), **options) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError, match=r"http\.listen: cannot listen on .*another program"):
            Listeners(Address.parse("http.listen", address), slots)


def test_ours_is_taken_for_a_second_server(listeners: Listeners) -> None:
    with pytest.raises(ConfigError, match="another program"):
        Listeners(Address.parse("http.listen", listeners.location), 2)


def test_ipv6() -> None:
    with closing(Listeners(Address.parse("http.listen", "[::1]:0"), 2)) as made:
        host, _, port = made.location.rpartition(":")
        assert host == "[::1]"
        socket.create_connection(("::1", int(port))).close()


def test_every_address_takes_ipv4_too() -> None:
    with bind(Address.parse("http.listen", "[::]:0")) as listener:
        listener.listen()
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()


def test_a_name() -> None:
    with bind(Address.parse("http.listen", "localhost:0")) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on nowhere\.invalid:1"):
        bind(Address.parse("http.listen", "nowhere.invalid:1"))
