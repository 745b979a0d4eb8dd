"""What becomes of an operation when the server misbehaves: ok, fail or info is decided by the phase."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from redis.exceptions import ResponseError

from backends.interface import StateKey
from backends.lock import GRACE_S
from backends.redis.errors import CODES, classify
from backends.redis.session import RedisSession
from backends.target import Target
from harness.driving.client import Indeterminate, NotApplied, Unclassified

KEY = StateKey("n", "t", "k", "x")
DEADLINE_S = 5.0  # where nothing hangs
SHORT_S = 0.25  # where something does
SLACK_S = 3.0  # a busy machine
MASTER = b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
REPLICA = b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$7\r\nconnect\r\n:-1\r\n"
YES = b"$1\r\n1\r\n"

Act = Callable[[socket.socket], None]


def answer(reply: bytes) -> Act:
    return lambda connection: connection.sendall(reply)


def as_master(connection: socket.socket) -> None:
    connection.sendall(MASTER)


def close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.close(connection.detach())  # close() alone would wait for the file made from it


def hang(connection: socket.socket) -> None:
    """Answer nothing, until the client goes."""


def dribble(connection: socket.socket) -> None:
    """Send a byte now and then, for ever: each arrives well within any time-out of a single read."""
    connection.sendall(b"$1000000\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(SHORT_S / 10)


@dataclass
class Fake:
    """Answers ROLE and EVAL by a script of acts, the last of which repeats; counts what it received."""

    role: list[Act]
    evals: list[Act]
    port: int = 0
    received: list[str] = field(default_factory=list)
    connections: int = 0

    def target(self) -> Target:
        return Target("127.0.0.1", self.port, "redis-1")

    def session(self, deadline_s: float = DEADLINE_S) -> RedisSession:
        return RedisSession(self.target, deadline_s)

    def serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                while (command := read_command(lines.readline, lines.read)) is not None:
                    self.received.append(command)
                    acts = self.role if command == "ROLE" else self.evals
                    (acts.pop(0) if len(acts) > 1 else acts[0])(connection)
        except OSError:
            pass  # the client went first, as many of these tests want


def read_command(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> str | None:
    first = readline()
    if not first.startswith(b"*"):
        return None
    words = []
    for _ in range(int(first[1:])):
        length = int(readline()[1:])
        words.append(read(length + 2)[:-2])
    return words[0].decode()


@contextmanager
def fake(evals: list[Act] | Act, role: Act = as_master) -> Iterator[Fake]:
    served = Fake([role], evals if isinstance(evals, list) else [evals])
    threads: list[threading.Thread] = []
    open_: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served.port = listener.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                served.connections += 1
                open_.append(connection)
                threads.append(threading.Thread(target=served.serve, args=(connection,), daemon=True))
                threads[-1].start()

        threads.append(threading.Thread(target=accept, daemon=True))
        threads[0].start()
        try:
            yield served
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in open_:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # gone already
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


# Before the command is sent: NotApplied


def test_a_refused_connection_is_not_applied() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = unused.getsockname()[1]
        with pytest.raises(NotApplied, match="not connected to redis-1") as caught:
            RedisSession(lambda: Target("127.0.0.1", port, "redis-1"), DEADLINE_S).get(KEY)
    assert caught.value.node == "redis-1"


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (answer(REPLICA), "node is a replica"),
        (answer(b"*2\r\n$8\r\nsentinel\r\n*0\r\n"), "node is a sentinel"),
        (answer(b"-LOADING Redis is loading the dataset in memory\r\n"), "LOADING"),
        (answer(b"-NOAUTH Authentication required.\r\n"), "NOAUTH"),
        (answer(b"-ERR max number of clients reached\r\n"), "max number of clients"),
        (answer(b"+PONG\r\n"), "node is b'PONG'"),
        (answer(b"*0\r\n"), "node is"),
        (answer(b"*x\r\n"), "ValueError"),
        (answer(b"HTTP/1.1 400 Bad Request\r\n"), "InvalidResponse"),
        (close, "ConnectionError"),
        (reset, "ConnectionError"),
    ],
)
def test_a_handshake_that_no_primary_answered_is_not_applied(role: Act, reason: str) -> None:
    with fake(answer(YES), role) as server:
        with pytest.raises(NotApplied, match=reason):
            server.session().set(KEY, "a", None)
        assert "EVAL" not in server.received


@pytest.mark.parametrize("role", [hang, answer(MASTER[:7]), dribble])
def test_a_handshake_that_never_ends_is_not_applied_at_the_deadline(role: Act) -> None:
    with fake(answer(YES), role) as server:
        before = time.monotonic()
        with pytest.raises(NotApplied):
            server.session(SHORT_S).set(KEY, "a", None)
        assert SHORT_S <= time.monotonic() - before < SHORT_S + SLACK_S
        assert "EVAL" not in server.received


def test_a_resolver_that_finds_nobody_is_not_applied() -> None:
    def nobody() -> Target:
        raise NotApplied("no sentinel answered")

    with pytest.raises(NotApplied, match="no sentinel answered"):
        RedisSession(nobody).get(KEY)


def test_a_resolver_that_takes_the_whole_deadline_is_not_applied() -> None:
    with fake(answer(YES)) as server:

        def slow() -> Target:
            waited.wait(0.02)
            return server.target()

        waited = threading.Event()
        with pytest.raises(NotApplied, match=r"(?i)deadline passed|timeout connecting"):
            RedisSession(slow, 0.01).get(KEY)
        assert server.received == []


def test_an_exception_from_outside_the_driver_is_passed_on() -> None:
    def broken() -> Target:
        raise TypeError("ours")

    with pytest.raises(TypeError, match="ours"):
        RedisSession(broken).get(KEY)


# After it: Indeterminate


@pytest.mark.parametrize(("then", "reason"), [(close, "closed by server"), (reset, "reset by peer")])
def test_a_connection_lost_after_sending_is_indeterminate_and_sent_once(then: Act, reason: str) -> None:
    with fake(then) as server:
        with pytest.raises(Indeterminate, match=reason) as caught:
            server.session().increment(KEY, 1, None)
        assert not isinstance(caught.value, Unclassified)
        assert caught.value.node == "redis-1"
        assert server.received == ["ROLE", "EVAL"]


@pytest.mark.parametrize("then", [hang, answer(b"$1"), answer(b"$1\r\n"), answer(b"$1\r\n1"), answer(b"*2\r\n$1\r\n1\r\n"), dribble])
def test_an_answer_that_never_ends_is_indeterminate_at_the_deadline(then: Act) -> None:
    with fake(then) as server:
        session = server.session(SHORT_S)
        before = time.monotonic()
        with pytest.raises(Indeterminate):
            session.set(KEY, "a", None)
        assert SHORT_S <= time.monotonic() - before < SHORT_S + SLACK_S
        assert server.received == ["ROLE", "EVAL"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"*x\r\n",
        b"$x\r\n",
        b":x\r\n",
        b"-MOVED\r\n",
        b"-MOVED x y\r\n",
        b"-ASK 1\r\n",
        b"\0\0\r\n",
        b":" + b"9" * 5_000 + b"\r\n",
    ],
)
def test_a_garbled_answer_is_indeterminate(garbage: bytes) -> None:
    with fake(answer(garbage)) as server, pytest.raises(Indeterminate):
        server.session().set(KEY, "a", None)


@pytest.mark.parametrize("odd", [b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"$1\r\n2\r\n", b"*1\r\n$1\r\n1\r\n"])
def test_a_well_formed_answer_of_another_shape_is_unclassified(odd: bytes) -> None:
    with fake(answer(odd)) as server:
        session = server.session()
        for operation in (
            lambda: session.set(KEY, "a", None),
            lambda: session.check_and_set(KEY, "a", None),
            lambda: session.compare_and_swap(KEY, 0, "a", None),
            lambda: session.guard("n", "o").release(),
        ):
            with pytest.raises(Unclassified):
                operation()


@pytest.mark.parametrize("odd", [b"$2\r\n\xff\xfe\r\n", b"*0\r\n", b":1\r\n"])
def test_a_value_that_is_no_text_is_unclassified(odd: bytes) -> None:
    with fake(answer(odd)) as server, pytest.raises(Unclassified):
        server.session().get(KEY)


# Error replies: by the table


SAID = {
    "READONLY": "READONLY You can't write against a read only replica.",
    "LOADING": "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "BUSY": "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOAUTH": "NOAUTH Authentication required.",
    "NOPERM": "NOPERM User default has no permissions to run the 'eval' command",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "ASK": "ASK 3999 127.0.0.1:6381",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "CROSSSLOT": "CROSSSLOT Keys in request don't hash to the same slot",
}


def test_every_definite_code_is_tried_here() -> None:
    assert set(SAID) == {name for name, code in CODES.items() if code.definite}


@pytest.mark.parametrize("code", sorted(SAID))
def test_a_refusal_before_the_script_ran_is_not_applied(code: str) -> None:
    with fake(answer(f"-{SAID[code]}\r\n".encode())) as server:
        session = server.session()
        with pytest.raises(NotApplied, match=code) as caught:
            session.set(KEY, "a", None)
        assert caught.value.node == session.node == "redis-1"
        assert server.received == ["ROLE", "EVAL"]


@pytest.mark.parametrize("code", sorted(set(SAID) - {"MOVED", "ASK"}))
@pytest.mark.parametrize("mark", [" script: on @user_script:2.", " script: 0a1b2c, on @user_script:2."])
def test_the_same_code_from_inside_a_script_is_indeterminate(code: str, mark: str) -> None:
    with fake(answer(f"-{SAID[code]}{mark}\r\n".encode())) as server, pytest.raises(Indeterminate, match="inside a script"):
        server.session().set(KEY, "a", None)


@pytest.mark.parametrize(
    "text",
    [
        "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'",
        "ERR user_script:2: oops script: on @user_script:2.",
        "WHATEVER this is new",
        "",
    ],
)
def test_an_unknown_code_is_unclassified(text: str) -> None:
    with fake(answer(f"-{text}\r\n".encode())) as server, pytest.raises(Unclassified):
        server.session().set(KEY, "a", None)


def test_an_error_inside_a_script_without_a_known_code_is_unclassified() -> None:
    refusal = classify(ResponseError("NEWCODE x script: on @user_script:2."), "n")
    assert isinstance(refusal.error, Unclassified)


# The connection


def test_an_idle_connection_that_the_server_closed_is_replaced_before_sending() -> None:
    def answer_and_close(connection: socket.socket) -> None:
        connection.sendall(YES)
        connection.shutdown(socket.SHUT_RDWR)

    with fake(answer_and_close) as server:
        session = server.session()
        for turn in range(3):
            session.set(KEY, "a", None)
            wait_for_end(session)
            assert server.connections == turn + 1


def wait_for_end(session: RedisSession) -> None:
    """Wait until the FIN has arrived; peeks, and takes nothing."""
    wire = session._commands._connection._wire  # type: ignore[attr-defined]
    wire._sock.settimeout(10)
    assert socket.socket.recv(wire._sock, 1, socket.MSG_PEEK) == b""


@pytest.mark.parametrize("extra", [YES + b"$1\r\n0\r\n", YES + b"$"])
def test_an_answer_that_nobody_waits_for_is_never_taken_for_the_next_one(extra: bytes) -> None:
    with fake([answer(extra), answer(YES)]) as server:
        session = server.session()
        assert session.check_and_set(KEY, "a", None) is True
        assert session.check_and_set(KEY, "a", None) is True
        assert server.connections == 2


@pytest.mark.parametrize("then", [close, answer(b"-READONLY You can't write against a read only replica.\r\n"), answer(b"+OK\r\n")])
def test_after_a_lost_or_misled_operation_the_next_one_resolves_anew(then: Act) -> None:
    with fake(then) as old, fake(answer(YES)) as new:
        targets = iter([old.target(), new.target()])
        session = RedisSession(lambda: next(targets), DEADLINE_S)
        with pytest.raises((NotApplied, Indeterminate)):
            session.set(KEY, "a", None)
        session.set(KEY, "a", None)
        assert new.received == ["ROLE", "EVAL"]


def test_after_a_refusal_that_another_node_would_not_lift_the_connection_stays() -> None:
    with fake(answer(b"-NOREPLICAS Not enough good replicas to write.\r\n")) as server:
        session = server.session()
        for _ in range(3):
            with pytest.raises(NotApplied):
                session.set(KEY, "a", None)
        assert server.connections == 1


def test_close_sends_nothing_and_may_be_repeated() -> None:
    with fake(answer(YES)) as server:
        session = server.session()
        session.close()
        session.set(KEY, "a", None)
        session.close()
        session.close()
        assert server.received == ["ROLE", "EVAL"]


def test_acquire_on_a_hung_server_ends_soon_after_its_timeout() -> None:
    with fake([answer(b"$-1\r\n"), hang]) as server:
        before = time.monotonic()
        with pytest.raises(Indeterminate):
            server.session(60.0).acquire("n", 1000, 100)
        assert time.monotonic() - before < 0.1 + GRACE_S + SLACK_S
