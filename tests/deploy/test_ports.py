"""A reserved port is nobody else's, and a server of ours can still use it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from harness.deploy.ports import HOST, Ports

reserving = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a reserved port; elsewhere the race is left")


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as ports:
        yield ports


def listener(port: int) -> socket.socket:
    """Listen as every server of ours does, with SO_REUSEADDR."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((HOST, port))
    server.listen()
    return server


def bind_plainly(port: int) -> None:
    with closing(socket.socket()) as other:
        other.bind((HOST, port))


def test_reserved_ports_differ(ports: Ports) -> None:
    assert len({ports.reserve() for _ in range(50)}) == 50


@reserving
def test_a_plain_bind_of_a_reserved_port_is_refused(ports: Ports) -> None:
    port = ports.reserve()
    with pytest.raises(OSError, match="in use"):
        bind_plainly(port)


@reserving
def test_the_kernel_hands_out_no_reserved_port(ports: Ports) -> None:
    reserved = {ports.reserve() for _ in range(50)}
    given = []
    for _ in range(200):
        with closing(socket.socket()) as other:
            other.bind((HOST, 0))
            given.append(other.getsockname()[1])
    assert not reserved & set(given)


def test_connecting_to_a_reserved_port_is_refused_until_a_server_listens(ports: Ports) -> None:
    port = ports.reserve()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))
    with closing(listener(port)):
        socket.create_connection((HOST, port)).close()


def test_a_server_listens_again_after_its_end_cut_connections(ports: Ports) -> None:
    port = ports.reserve()
    for _ in range(3):
        with closing(listener(port)) as server, closing(socket.create_connection((HOST, port))):
            server.accept()[0].close()  # the server's side closes first and waits in TIME_WAIT


def test_leaving_releases_every_port() -> None:
    with Ports() as ports:
        port = ports.reserve()
    bind_plainly(port)
