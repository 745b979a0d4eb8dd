"""Behind a pooler in transaction mode: what stands in a session is anybody's, what stands in a transaction is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backends.client import StateClient
from backends.postgres.connection import PostgresConnection
from backends.postgres.install import PGBOUNCER
from backends.postgres.session_locks import LOCK, session
from backends.postgres.single import NODE, POSTGRES, PostgresSingle
from backends.target import Target
from harness.deploy import install
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import Indeterminate, outcome

DEADLINE_S = 1.0
CLIENTS = 8
LONG_S = 20.0  # nobody gives up while others have the lock


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresSingle]:
    if said := install.missing(PGBOUNCER):
        pytest.skip(said)
    with POSTGRES.open(Deployment("pooled-session-locks", tmp_path_factory.mktemp("pooled"), links=False)) as system:
        assert isinstance(system, PostgresSingle)
        yield system


def target(system: PostgresSingle, *, behind: bool) -> Target:
    """Give where clients reach the server: behind the pooler, or past it."""
    return Target(HOST, system.port_of(system.sides[0], NODE) if behind else system.nodes[NODE].port, NODE)


def locked_twice(system: PostgresSingle, *, behind: bool) -> bool:
    """Say whether two clients, one after the other, are granted the same lock of a session."""
    where, name = target(system, behind=behind), f"lock-{time.monotonic_ns()}"
    first, second = (PostgresConnection(lambda: where, DEADLINE_S) for _ in range(2))
    try:
        first.call(LOCK, (name,))
        second.call(LOCK, (name,))
    except Indeterminate:
        return False
    finally:
        first.close()
        second.close()
    return True


@pytest.mark.parametrize("behind", [True, False], ids=["behind a pooler", "each with a connection of its own"])
def test_a_lock_of_a_session_is_granted_twice_where_sessions_are_shared(pooled: PostgresSingle, behind: bool) -> None:
    assert locked_twice(pooled, behind=behind) == behind


def winners(make: Any) -> int:
    """Let clients try to be the first to set a key, all at once; give how many were told so."""
    key = f"n:t:k:{time.monotonic_ns()}"
    clients = [make() for _ in range(CLIENTS)]
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            argument = {"value": "x", "ttl_ms": None}
            ended = list(pool.map(lambda client: outcome(client, "check_and_set", key, argument), clients))
    finally:
        for client in clients:
            client.close()
    return sum(done.type == "ok" and done.value["set"] for done in ended)


def test_clients_that_guard_by_a_session_have_several_winners_behind_a_pooler(pooled: PostgresSingle) -> None:
    assert max(winners(lambda: pooled.client(pooled.sides[0], DEADLINE_S)) for _ in range(5)) > 1


def test_our_own_clients_have_one(pooled: PostgresSingle) -> None:
    where = target(pooled, behind=True)
    assert {winners(lambda: pooled.session(lambda: where, DEADLINE_S)) for _ in range(5)} == {1}


def test_clients_that_guard_by_a_session_have_one_each_with_a_connection_of_its_own(pooled: PostgresSingle) -> None:
    where = target(pooled, behind=False)
    assert {winners(lambda: StateClient(session(lambda: where, LONG_S, lambda: None))) for _ in range(5)} == {1}
