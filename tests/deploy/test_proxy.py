"""Links through a real toxiproxy: each fault does what its name says, and is undone."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.deploy.local import Local, open_local
from harness.deploy.ports import HOST
from harness.deploy.proxy import ProxyLink, ProxyServer
from harness.errors import Infrastructure

DEADLINE_S = 20.0
SILENCE_S = 0.15  # how long nothing must arrive: on a slow machine such a test may miss a fault, never invent one
ANSWER_BYTES = 300  # longer than what a link that drops replies lets pass


class Echo(socketserver.BaseRequestHandler):
    """Answers every request with a long line, and keeps what it got."""

    def handle(self) -> None:
        while request := self.request.recv(1024):
            self.server.received.append(request)  # type: ignore[attr-defined]
            self.request.sendall(request.ljust(ANSWER_BYTES, b"."))


class Upstream(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), Echo)
        self.received: list[bytes] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with open_local(tmp_path_factory.mktemp("proxies")) as local:
        local.start_proxy()
        yield local


@pytest.fixture
def link(local: Local, upstream: Upstream) -> ProxyLink:
    """A link of the test's own."""
    upstream.received.clear()
    return local.link("clients-a", f"node-{len(local.links)}", upstream.port)


def connected(link: ProxyLink) -> socket.socket:
    return socket.create_connection((HOST, link.port), DEADLINE_S)


def answer(connection: socket.socket, request: bytes = b"hello") -> bytes:
    """Send a request; give what comes back until the whole answer is there or the connection ends."""
    got = b""
    try:
        connection.sendall(request)
        while len(got) < ANSWER_BYTES and (chunk := connection.recv(1024)):
            got += chunk
    except ConnectionError:
        pass
    return got


def passes(link: ProxyLink) -> bool:
    with closing(connected(link)) as connection:
        return answer(connection) == b"hello".ljust(ANSWER_BYTES, b".")


def took_ms(link: ProxyLink) -> float:
    with closing(connected(link)) as connection:
        start = time.monotonic()
        assert len(answer(connection)) == ANSWER_BYTES
        return (time.monotonic() - start) * 1000


def assert_silent(connection: socket.socket) -> None:
    connection.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        connection.recv(1)


def test_the_server_tells_the_version_that_was_found(local: Local) -> None:
    proxy = local._proxy
    assert proxy is not None
    assert proxy.version() == local.versions["toxiproxy"]


def test_a_link_passes_requests_and_answers(link: ProxyLink) -> None:
    assert passes(link)


def test_a_cut_swallows_requests_and_keeps_connections_open(link: ProxyLink, upstream: Upstream) -> None:
    with closing(connected(link)) as connection:
        answer(connection)
        link.cut()
        connection.sendall(b"lost")
        assert_silent(connection)
        assert upstream.received == [b"hello"]


def test_a_cut_holds_for_new_connections(link: ProxyLink, upstream: Upstream) -> None:
    link.cut()
    with closing(connected(link)) as connection:
        connection.sendall(b"lost")
        assert_silent(connection)
    assert upstream.received == []


def test_a_cut_of_one_link_leaves_another_alone(link: ProxyLink, local: Local, upstream: Upstream) -> None:
    other = local.link("clients-b", link.target, upstream.port)
    link.cut()
    assert passes(other)


@pytest.mark.parametrize("fault", ["cut", "drop_replies", "refuse"])
def test_injecting_and_healing_are_idempotent(link: ProxyLink, fault: str) -> None:
    for _ in range(2):
        getattr(link, fault)()
    for _ in range(2):
        link.heal()
    assert passes(link)


def test_healing_without_a_fault_changes_nothing(link: ProxyLink) -> None:
    with closing(connected(link)) as connection:
        link.heal()
        assert len(answer(connection)) == ANSWER_BYTES


def test_healing_undoes_faults_that_overlap(link: ProxyLink) -> None:
    link.delay(50)
    link.cut()
    link.drop_replies()
    link.refuse()
    link.heal()
    assert passes(link)


def test_a_dropped_reply_belongs_to_a_request_that_arrived(link: ProxyLink, upstream: Upstream) -> None:
    link.drop_replies()
    with closing(connected(link)) as connection:
        assert len(answer(connection)) < ANSWER_BYTES
    assert upstream.received == [b"hello"]


def test_a_dead_nodes_link_ends_connections_and_refuses_new_ones(link: ProxyLink) -> None:
    with closing(connected(link)) as connection:
        answer(connection)
        link.refuse()
        assert answer(connection) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(link)


def test_accepting_again_keeps_the_cut(link: ProxyLink) -> None:
    link.cut()
    link.refuse()
    link.accept()
    with closing(connected(link)) as connection:
        connection.sendall(b"lost")
        assert_silent(connection)


def test_a_delay_is_felt_at_least_by_what_its_jitter_leaves(link: ProxyLink) -> None:
    link.delay(80)
    assert took_ms(link) >= 80 - 2 * 10


def test_another_delay_replaces_the_first(link: ProxyLink) -> None:
    link.delay(0)
    link.delay(80)
    assert took_ms(link) >= 80 - 2 * 10


def test_a_proxy_of_the_environment_is_not_asked(link: ProxyLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:1")
    monkeypatch.setenv("http_proxy", f"http://{HOST}:1")
    link.heal()


def test_a_listener_on_a_port_in_use_is_an_error_of_the_machine(local: Local, upstream: Upstream) -> None:
    proxy = local._proxy
    assert proxy is not None
    with pytest.raises(Infrastructure, match=r"HTTP 500.*in use"):
        proxy.link("clients-a", "taken", upstream.port, f"{HOST}:{upstream.port}")


def test_a_server_that_is_not_there_has_no_version(local: Local) -> None:
    assert ProxyServer(local.ports.reserve()).version() is None


def test_two_servers_do_not_mix(tmp_path: Path, link: ProxyLink, upstream: Upstream) -> None:
    with open_local(tmp_path) as other:
        other.start_proxy()
        same_name = other.link(link.source, link.target, upstream.port)
        link.cut()
        assert passes(same_name)


def test_a_server_that_died_is_an_error_of_the_machine(tmp_path: Path, upstream: Upstream) -> None:
    with open_local(tmp_path) as local:
        local.start_proxy()
        link = local.link("clients-a", "node", upstream.port)
        local.processes.kill("toxiproxy")
        for action in (link.cut, link.heal, link.refuse):
            with pytest.raises(Infrastructure, match="toxiproxy on port"):
                action()
