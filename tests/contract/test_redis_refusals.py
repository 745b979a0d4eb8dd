"""What real servers answer when they refuse: the error table holds for the texts they send."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from backends.interface import StateKey
from backends.redis.session import RedisSession
from harness.driving.client import Indeterminate, NotApplied, Unclassified

Start = Callable[..., "Server"]


class Server:
    """For the type checker: the fixture's `RedisServer`."""

    port: int
    target: Callable[[], object]
    admin: Callable[..., object]


def key() -> StateKey:
    return StateKey("refusals", uuid.uuid4().hex, "state", "x")


def opened(server: Server) -> RedisSession:
    session = RedisSession(server.target, 10.0)  # type: ignore[arg-type]
    session.set(key(), "warm", None)  # connected while all was well
    return session


def writes(session: RedisSession, k: StateKey) -> list[Callable[[], object]]:
    return [
        lambda: session.check_and_set(k, "a", None),
        lambda: session.set(k, "a", 1000),
        lambda: session.delete(k),
        lambda: session.increment(k, 1, None),
        lambda: session.compare_and_swap(k, 0, "a", None),
        lambda: session.try_acquire(k.canonical, 1000),
        lambda: session.guard(k.canonical, "o").extend(1000),
        lambda: session.guard(k.canonical, "o").release(),
    ]


def test_a_demoted_primary_refuses_every_write_and_the_session_leaves_it(start_redis: Start) -> None:
    server = start_redis()
    for write in range(8):
        session, k = opened(server), key()
        server.admin("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(NotApplied, match="READONLY"):
            writes(session, k)[write]()
        with pytest.raises(NotApplied, match="node is a replica"):
            session.get(k)
        server.admin("REPLICAOF", "NO", "ONE")
        assert session.get(k) is None


def test_a_primary_without_replicas_refuses_every_write_and_still_reads(start_redis: Start) -> None:
    server = start_redis()
    session, k = opened(server), key()
    session.set(k, "before", None)
    server.admin("CONFIG", "SET", "min-replicas-to-write", "1")
    for write in writes(session, k):
        with pytest.raises(NotApplied, match="NOREPLICAS") as caught:
            write()
        assert caught.value.node == session.node
    assert session.get_versioned(k) == ("before", 1)
    assert session.guard("x", "o").is_held() is False


def test_a_full_server_refuses_every_write_and_still_reads(start_redis: Start) -> None:
    server = start_redis()
    session, k = opened(server), key()
    session.set(k, "before", None)
    server.admin("CONFIG", "SET", "maxmemory", "1")
    for write in writes(session, k):
        with pytest.raises(NotApplied, match="OOM"):
            write()
    assert session.get_versioned(k) == ("before", 1)


def test_a_replica_without_its_primary_refuses_reads_if_told_to(start_redis: Start) -> None:
    server = start_redis()
    session = opened(server)
    server.admin("CONFIG", "SET", "replica-serve-stale-data", "no")
    server.admin("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(NotApplied, match="MASTERDOWN"):
        session.get(key())


def test_an_error_inside_a_script_is_indeterminate(start_redis: Start) -> None:
    server = start_redis()
    session, k = opened(server), key()
    server.admin("LPUSH", f"hw:state:{k.canonical}", "foreign")
    for write in (
        lambda: session.set(k, "a", None),
        lambda: session.increment(k, 1, None),
        lambda: session.compare_and_swap(k, 0, "a", None),
    ):
        with pytest.raises(Indeterminate, match="WRONGTYPE") as caught:
            write()
        assert not isinstance(caught.value, Unclassified)


def test_a_user_who_may_not_run_scripts_is_refused_before(start_redis: Start) -> None:
    server = start_redis()
    session = opened(server)
    server.admin("ACL", "SETUSER", "default", "-eval")
    with pytest.raises(NotApplied, match="NOPERM"):
        session.set(key(), "a", None)


def test_a_user_who_may_not_run_what_the_script_runs_is_unclassified(start_redis: Start) -> None:
    server = start_redis()
    session = opened(server)
    server.admin("ACL", "SETUSER", "default", "-hincrby")
    with pytest.raises(Unclassified, match="ACL"):
        session.set(key(), "a", None)


def test_a_server_that_asks_for_a_password_is_not_connected_to(start_redis: Start) -> None:
    server = start_redis()
    server.admin("CONFIG", "SET", "requirepass", "secret")
    session = RedisSession(server.target, 10.0)  # type: ignore[arg-type]
    with pytest.raises(NotApplied, match="NOAUTH"):
        session.set(key(), "a", None)


def test_a_server_with_too_many_clients_is_not_connected_to(start_redis: Start) -> None:
    server = start_redis()
    blocker = opened(server)
    server.admin("CONFIG", "SET", "maxclients", "1")
    with pytest.raises(NotApplied, match="max number of clients"):
        RedisSession(server.target, 10.0).set(key(), "a", None)  # type: ignore[arg-type]
    blocker.set(key(), "a", None)


def test_a_server_busy_with_a_script_refuses_before(start_redis: Start) -> None:
    server = start_redis()
    session = opened(server)
    server.admin("CONFIG", "SET", "busy-reply-threshold", "1")
    with running_script(server):
        refused = None
        deadline = time.monotonic() + 20
        while refused is None and time.monotonic() < deadline:
            try:
                session.set(key(), "a", None)
            except NotApplied as error:
                refused = str(error)
    assert refused
    assert refused.startswith("BUSY")


@contextmanager
def running_script(server: Server) -> Iterator[None]:
    client = redis.Redis(port=server.port, retry=None, protocol=2, socket_timeout=30)

    def run() -> None:
        with pytest.raises(redis.ResponseError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.admin("SCRIPT", "KILL")
        thread.join(20)
        client.close()
    assert not thread.is_alive()


def test_every_operation_is_sent_as_one_command(start_redis: Start) -> None:
    server = start_redis()
    session, k = opened(server), key()
    guard = session.try_acquire("n", 1000)
    assert guard is not None
    reads = [lambda: session.get(k), lambda: session.get_versioned(k), guard.is_held]
    server.admin("CONFIG", "RESETSTAT")
    for operation in (*reads, *writes(session, k)[:6], lambda: guard.extend(1000), guard.release):
        operation()
    counted = server.admin("INFO", "commandstats")
    assert counted["cmdstat_eval"]["calls"] == 11  # type: ignore[index]
