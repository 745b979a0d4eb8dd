"""DynamoDB's session on the emulator: phases, spoilt answers, the error table, contention, clocks."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from servers import Running, dynamodb

from backends.dynamodb.errors import CODES, classify
from backends.dynamodb.session import ClientClock, DynamoSession, wall_ms
from backends.dynamodb.system import VARIANTS
from backends.dynamodb.table import Table
from backends.interface import Conflict, LockExpired, StateKey, Swapped
from backends.target import Target
from harness.driving.client import Indeterminate, NotApplied, Unclassified

DEADLINE_S = 20.0  # where nothing hangs
SHORT_S = 0.3  # where something does
SLACK_S = 5.0  # a busy machine
THREADS = 8
BOUND_MS = 100
HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhealthy"


@pytest.fixture(scope="module", params=VARIANTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Each variant's emulator in turn: ministack and Dynoxide."""
    with dynamodb(tmp_path_factory.mktemp("emulator"), request.param) as running:
        yield running


@pytest.fixture
def session(server: Running) -> Iterator[DynamoSession]:
    made = DynamoSession(server.target, DEADLINE_S)
    yield made
    made.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> StateKey:
    return StateKey("n", "t", "k", f"{request.node.name}-{time.monotonic_ns()}")


# Phases


def test_where_nobody_listens_nothing_was_applied(key: StateKey) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = Target("127.0.0.1", held.getsockname()[1], "d")
        with pytest.raises(NotApplied, match="not connected to d"):
            DynamoSession(lambda: nobody, SHORT_S).get(key)


def test_a_server_that_accepts_and_says_nothing_is_given_up_at_the_deadline_and_nothing_was_applied(key: StateKey) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target("127.0.0.1", silent.getsockname()[1], "d")
        start = time.monotonic()
        with pytest.raises(NotApplied, match="not connected"):
            DynamoSession(lambda: target, SHORT_S).get(key)
        assert time.monotonic() - start < SHORT_S + SLACK_S


def test_a_server_that_hangs_after_the_request_is_given_up_at_the_deadline_and_it_may_have_happened(server: Running, key: StateKey) -> None:
    session = DynamoSession(server.target, 1.0)
    session.get(key)
    with server.stopped():
        start = time.monotonic()
        with pytest.raises(Indeterminate, match="sent, then TimeoutError"):
            session.set(key, "v", None)
        assert time.monotonic() - start < 1.0 + SLACK_S
    session.close()


@contextmanager
def saying(answer: bytes) -> Iterator[Callable[[], Target]]:
    """Serve GET / as a healthy server, and this answer to all that is asked then; the connection ends after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(HEALTHY)
                    if connection.recv(65_536):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield lambda: Target("127.0.0.1", listener.getsockname()[1], "d")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


EMPTY = b"{}"
SPOILT = {
    "nothing": b"",
    "half of the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half of the body": http(b'{"Item', length=40),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "a wrong checksum": http(EMPTY, f"x-amz-crc32: {zlib.crc32(EMPTY) + 1}"),
    "no JSON": http(b"<html>"),
    "no HTTP": b"+OK\r\n",
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_answer_is_no_answer_and_never_a_missing_item(key: StateKey, what: str) -> None:
    with saying(SPOILT[what]) as target, pytest.raises(Indeterminate, match="sent, then"):
        DynamoSession(target, DEADLINE_S).get(key)


def test_an_answer_that_is_whole_is_taken(key: StateKey) -> None:
    with saying(http(EMPTY, f"x-amz-crc32: {zlib.crc32(EMPTY)}")) as target:
        session = DynamoSession(target, DEADLINE_S)
        assert session.get(key) is None
        session.close()


def test_a_request_is_sent_once_where_it_fails(key: StateKey) -> None:
    error = b'{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"m"}'
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(HEALTHY)
                while chunk := connection.recv(65_536):
                    asked.append(chunk)
                    connection.sendall(http(error, status="500 Internal Server Error"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        session = DynamoSession(lambda: Target("127.0.0.1", listener.getsockname()[1], "d"), DEADLINE_S)
        with pytest.raises(Indeterminate, match="InternalServerError"):
            session.get(key)
        session.close()
        thread.join()
    assert b"".join(asked).count(b"POST / ") == 1


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_of_the_table_is_definite_as_it_says(code: str) -> None:
    status = 400 if CODES[code].definite else 500
    assert isinstance(classify(code, status, "m", "d"), NotApplied if CODES[code].definite else Indeterminate)


def test_a_code_that_is_not_in_the_table_is_unclassified() -> None:
    assert isinstance(classify("SomethingNewException", 400, "m", "d"), Unclassified)


def test_a_definite_code_with_a_status_of_500_is_not_definite() -> None:
    assert not isinstance(classify("ThrottlingException", 503, "m", "d"), NotApplied)


def test_every_read_asks_for_consistency(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []
    plain = Table._ask

    def noting(table: Table, operation: str, **request: Any) -> Any:
        asked.append((operation, request.get("ConsistentRead")))
        return plain(table, operation, **request)

    monkeypatch.setattr(Table, "_ask", noting)
    session, key = DynamoSession(server.target, DEADLINE_S), StateKey("n", "t", "k", "x")
    session.get(key)
    session.get_versioned(key)
    session.guard("l", "o").is_held()
    session.scan_keys("n", "t", "k", "")
    session.scan_keys_by_kind("k")
    session.get_expired_timeouts(1)
    session.get_ready_chains(1)
    session.close()
    assert {consistent for operation, consistent in asked if operation in ("get_item", "query", "scan")} == {True}
    assert len(asked) == 7


# Contention


def contend(server: Running, do: Callable[[DynamoSession], Any]) -> list[Any]:
    sessions = [DynamoSession(server.target, DEADLINE_S) for _ in range(THREADS)]
    start = threading.Barrier(THREADS)

    def one(session: DynamoSession) -> Any:
        session.get(StateKey("n", "t", "k", "warm"))
        start.wait()
        return do(session)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(one, sessions))
    finally:
        for session in sessions:
            session.close()


def test_of_many_that_check_and_set_one_wins(server: Running, key: StateKey) -> None:
    assert sorted(contend(server, lambda session: session.check_and_set(key, "v", None))) == [False] * (THREADS - 1) + [True]


def test_of_many_that_swap_one_version_one_swaps_and_the_others_see_its_value(server: Running, key: StateKey) -> None:
    found = contend(server, lambda session: session.compare_and_swap(key, 0, "v", None))
    assert (found.count(Swapped(1)), found.count(Conflict("v", 1))) == (1, THREADS - 1)


def test_no_increment_of_many_is_lost(server: Running, key: StateKey) -> None:
    found = contend(server, lambda session: [session.increment(key, 1, None) for _ in range(5)])
    assert sorted(value for values in found for value in values) == list(range(1, THREADS * 5 + 1))


def test_no_set_of_many_is_lost_from_the_version(server: Running, session: DynamoSession, key: StateKey) -> None:
    contend(server, lambda session: session.set(key, "v", None))
    assert session.get_versioned(key) == ("v", THREADS)


def test_of_many_that_acquire_one_is_granted(server: Running) -> None:
    name = f"lock-{time.monotonic_ns()}"
    assert sum(guard is not None for guard in contend(server, lambda session: session.try_acquire(name, 600_000))) == 1


# Clocks


class Clock:
    """A client's clock that stands still unless it is set."""

    def __init__(self) -> None:
        self.now = wall_ms()

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bounded(server: Running, clock: Clock) -> Iterator[DynamoSession]:
    made = DynamoSession(server.target, DEADLINE_S, clock=ClientClock(BOUND_MS, clock))
    yield made
    made.close()


def test_others_wait_for_a_lock_until_its_end_and_the_bound_have_passed(bounded: DynamoSession, clock: Clock) -> None:
    name = f"lock-{time.monotonic_ns()}"
    assert bounded.try_acquire(name, 1000) is not None
    clock.now += 1000 + BOUND_MS
    assert bounded.try_acquire(name, 1000) is None
    clock.now += 1
    assert bounded.try_acquire(name, 1000) is not None


def test_its_holder_gives_a_lock_up_at_its_end(bounded: DynamoSession, clock: Clock) -> None:
    held = bounded.try_acquire(f"lock-{time.monotonic_ns()}", 1000)
    assert held is not None
    clock.now += 999
    assert held.is_held()
    clock.now += 1
    assert not held.is_held()
    with pytest.raises(LockExpired):
        held.extend(1000)
    with pytest.raises(LockExpired):
        held.release()


def test_a_value_is_there_until_its_end_and_the_bound_have_passed(bounded: DynamoSession, clock: Clock, key: StateKey) -> None:
    bounded.set(key, "v", 1000)
    clock.now += 1000 + BOUND_MS
    assert (bounded.get(key), bounded.check_and_set(key, "w", None)) == ("v", False)
    clock.now += 1
    assert (bounded.get(key), bounded.check_and_set(key, "w", None)) == (None, True)


def test_tokens_of_a_lock_rise_across_release_and_expiry(bounded: DynamoSession, clock: Clock) -> None:
    name = f"lock-{time.monotonic_ns()}"
    tokens = []
    for _ in range(3):
        held = bounded.try_acquire(name, 1000)
        assert held is not None
        tokens.append(held.fencing_token)
        clock.now += 2000
    held = bounded.try_acquire(name, 1000)
    assert held is not None
    held.release()
    again = bounded.try_acquire(name, 1000)
    assert again is not None
    assert [*tokens, held.fencing_token, again.fencing_token] == [1, 2, 3, 4, 5]
