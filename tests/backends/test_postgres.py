"""PostgreSQL's session on a real server: what becomes of an operation by phase, cancelled waits, contention, expiry."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from servers import Running, postgres, wait_for

from backends.interface import Conflict, StateKey, Swapped
from backends.postgres.admin import Admin
from backends.postgres.errors import CLASSES, STATES, classify, takes_back
from backends.postgres.mutants import MUTANTS
from backends.postgres.session import PostgresSession, install_schema
from backends.target import Target
from harness.driving.client import Indeterminate, NotApplied, Unclassified

DEADLINE_S = 20.0  # where nothing hangs
SHORT_S = 0.3  # where something does
SLACK_S = 5.0  # a busy machine
THREADS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def admin(server: Running) -> Iterator[Admin]:
    made = Admin(server.port, "pg", DEADLINE_S)
    yield made
    made.close()


@pytest.fixture
def session(server: Running) -> Iterator[PostgresSession]:
    made = PostgresSession(server.target, DEADLINE_S)
    yield made
    made.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> StateKey:
    return StateKey("n", "t", "k", f"{request.node.name}-{time.monotonic_ns()}")


# Phases


def test_where_nobody_listens_nothing_was_applied() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = Target("127.0.0.1", held.getsockname()[1], "pg")
        with pytest.raises(NotApplied, match="not connected to pg"):
            PostgresSession(lambda: nobody, SHORT_S).get(StateKey("n", "t", "k", "x"))


def test_a_server_that_accepts_and_says_nothing_is_given_up_at_the_deadline_and_nothing_was_applied() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target("127.0.0.1", silent.getsockname()[1], "pg")
        start = time.monotonic()
        with pytest.raises(NotApplied, match="deadline passed"):
            PostgresSession(lambda: target, SHORT_S).get(StateKey("n", "t", "k", "x"))
        assert time.monotonic() - start < SHORT_S + SLACK_S


def test_a_server_that_hangs_after_the_statement_is_given_up_at_the_deadline_and_it_may_have_happened(
    server: Running, key: StateKey
) -> None:
    session = PostgresSession(server.target, SHORT_S)
    wait_for(lambda: session.get(key) is None, "a connection stands")
    with server.stopped():
        start = time.monotonic()
        with pytest.raises(Indeterminate, match="sent, then TimeoutError"):
            session.set(key, "v", None)
        assert time.monotonic() - start < SHORT_S + SLACK_S
    session.close()


def test_a_connection_that_the_server_ended_while_idle_is_replaced_before_anything_is_sent(
    session: PostgresSession, admin: Admin, key: StateKey
) -> None:
    session.set(key, "v", None)
    assert _end_others(admin) >= 1
    wait_for(
        lambda: (
            admin.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdwater' AND pid <> pg_backend_pid()") == "0"
        ),
        "it ended",
    )
    assert session.get(key) == "v"


def test_a_connection_ended_in_the_middle_leaves_it_open_whether_it_happened(
    session: PostgresSession, admin: Admin, server: Running, key: StateKey
) -> None:
    session.get(key)
    with waiting_for_a_standby(admin), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(session.set, key, "v", None)
        wait_for(lambda: admin.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1", "the statement waits")
        _end_others(admin)
        with pytest.raises(Indeterminate):
            asked.result(DEADLINE_S)


def _end_others(admin: Admin) -> int:
    mine = "application_name = 'holdwater' AND pid <> pg_backend_pid()"
    return int(admin.value(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {mine}") or 0)


# Errors and notices


@pytest.mark.parametrize("state", sorted(STATES))
def test_each_state_of_the_table_is_definite_as_it_says(state: str) -> None:
    assert isinstance(classify(state, "m", "pg").error, NotApplied if STATES[state].definite else Indeterminate)


@pytest.mark.parametrize("of", sorted(CLASSES))
def test_each_class_of_the_table_is_definite_as_it_says(of: str) -> None:
    assert isinstance(classify(f"{of}999", "m", "pg").error, NotApplied if CLASSES[of].definite else Indeterminate)


def test_a_state_that_is_not_in_the_table_is_unclassified() -> None:
    assert isinstance(classify("HV000", "m", "pg").error, Unclassified)


def test_an_error_without_a_state_says_nothing_of_the_operation() -> None:
    assert isinstance(classify(None, "server closed the connection", "pg").error, Indeterminate)


@pytest.mark.parametrize(
    ("state", "message", "back"),
    [
        ("01000", "canceling wait for synchronous replication due to user request", True),
        ("57P01", "canceling the wait for synchronous replication and terminating connection", True),
        ("57P02", "terminating connection because of crash of another server process", True),
        ("01000", "some other warning", False),
        ("01000", "отмена ожидания", True),
        ("00000", "done", False),
    ],
)
def test_what_a_notice_takes_back(state: str, message: str, back: bool) -> None:
    assert takes_back(state, message) is back


@contextmanager
def waiting_for_a_standby(admin: Admin) -> Iterator[None]:
    """Let every commit wait for a standby that is not there."""
    _name_standbys(admin, "nobody")
    try:
        yield
    finally:
        _name_standbys(admin, "")


def _name_standbys(admin: Admin, names: str) -> None:
    admin.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    admin.ask("SELECT pg_reload_conf()")
    wait_for(lambda: admin.value("SHOW synchronous_standby_names") == names, "the setting is read")


@pytest.mark.parametrize("believes", [False, True])
def test_a_cancelled_wait_is_no_answer_unless_the_client_believes_the_tag(
    server: Running, admin: Admin, key: StateKey, believes: bool
) -> None:
    session = PostgresSession(server.target, DEADLINE_S, believes_tag=believes)
    with waiting_for_a_standby(admin), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(session.check_and_set, key, "v", None)
        cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        wait_for(lambda: int(admin.value(cancel) or 0) > 0, "the statement waits, and is cancelled")
        if believes:
            assert asked.result(DEADLINE_S) is True
        else:
            with pytest.raises(Indeterminate, match="01000"):
                asked.result(DEADLINE_S)
    session.close()


# Contention


def contend(server: Running, do: object) -> list[object]:
    sessions = [PostgresSession(server.target, DEADLINE_S) for _ in range(THREADS)]
    start = threading.Barrier(THREADS)

    def one(session: PostgresSession) -> object:
        session.get(StateKey("n", "t", "k", "warm"))
        start.wait()
        return do(session)  # type: ignore[operator]

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
    assert found.count(Swapped(1)) == 1
    assert found.count(Conflict("v", 1)) == THREADS - 1


def test_no_increment_of_many_is_lost(server: Running, session: PostgresSession, key: StateKey) -> None:
    found = contend(server, lambda session: [session.increment(key, 1, None) for _ in range(10)])
    assert sorted(value for values in found for value in values) == list(range(1, THREADS * 10 + 1))  # type: ignore[attr-defined]


def test_of_many_that_acquire_one_is_granted(server: Running) -> None:
    name = f"lock-{time.monotonic_ns()}"
    found = contend(server, lambda session: session.try_acquire(name, 600_000))
    assert sum(guard is not None for guard in found) == 1


def test_who_waited_for_a_key_decides_with_the_time_after_the_wait(server: Running, admin: Admin, session: PostgresSession) -> None:
    name = f"lock-{time.monotonic_ns()}"
    held = session.try_acquire(name, 150)
    assert held is not None
    blocker = PostgresSession(server.target, DEADLINE_S)
    with ThreadPoolExecutor(1) as pool:
        admin.ask("SELECT pg_advisory_lock(hashtextextended('lock ' || $1, 0))", name)
        asked = pool.submit(blocker.try_acquire, name, 600_000)
        wait_for(
            lambda: admin.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1", "it waits for the key"
        )
        time.sleep(0.2)  # the lease runs out while it waits
        admin.ask("SELECT pg_advisory_unlock(hashtextextended('lock ' || $1, 0))", name)
        assert asked.result(DEADLINE_S) is not None
    blocker.close()


def test_the_schema_is_installed_by_several_clients_at_once(server: Running) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: install_schema("127.0.0.1", server.port), range(THREADS)))


@pytest.mark.parametrize("mutant", sorted(name for name, mutant in MUTANTS.items() if mutant.edits))
def test_every_edited_mutant_fits_its_functions_and_leaves_the_reference_alone(
    server: Running, session: PostgresSession, key: StateKey, mutant: str
) -> None:
    install_schema("127.0.0.1", server.port, mutant)
    planted = PostgresSession(server.target, DEADLINE_S, mutant=mutant)
    planted.set(key, "mutant", None)
    assert session.get(key) is None
    planted.close()
