"""What the operator of a PostgreSQL cluster does where machines are slow, and where it must do nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.postgres import binaries, operator, servers
from backends.postgres.operator import LOOK_S, NODES, OPERATOR, PostgresOperator
from harness.driving.backend import Deployment
from harness.driving.client import outcome

PATIENCE_S = 60.0
STARTUP = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"
SLOW_S = 1.0  # longer than any single question of the operator's may take


@pytest.fixture(params=["async", "sync"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PostgresOperator]:
    with opened(tmp_path, request.param) as system:
        yield system


@contextmanager
def opened(directory: Path, variant: str) -> Iterator[PostgresOperator]:
    with OPERATOR.open(Deployment(variant, directory)) as system:
        assert isinstance(system, PostgresOperator)
        yield system


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.01)


def put(system: PostgresOperator, value: str) -> str:
    client = system.client(system.sides[1], 5)
    try:
        return outcome(client, "set", "k", {"value": value, "ttl_ms": None}).type
    finally:
        client.close()


def got(system: PostgresOperator) -> str:
    client = system.client(system.sides[1], 5)
    try:
        return str(client.invoke("get", "k", {})[0]["value"])
    finally:
        client.close()


def promotion_begins(system: PostgresOperator) -> Path | None:
    """Give the file by which a standby is told to become the primary."""
    return next((path for name in NODES[1:] if (path := system.nodes[name].data / "promote").exists()), None)


def test_a_slow_promotion_is_waited_for_and_nothing_is_thrown_away(system: PostgresOperator) -> None:
    assert put(system, "acknowledged") == "ok"
    eventually(lambda: system.steady() is None, "both standbys have it")
    processes = [int(system.nodes[name].admin.value(STARTUP) or 0) for name in NODES[1:]]
    for process in processes:
        os.kill(process, signal.SIGSTOP)  # the process that promotes
    system.nodes[NODES[0]].kill()
    eventually(lambda: promotion_begins(system) is not None, "the operator promotes")
    told = promotion_begins(system)
    assert told is not None
    chosen = told.parents[1].name
    time.sleep(SLOW_S)  # this long the promotion takes
    for process in processes:
        os.kill(process, signal.SIGCONT)
    eventually(lambda: system.primary() != NODES[0], "the promoted one is announced")
    assert system.primary() == chosen
    assert got(system) == "acknowledged"
    system.heal_all()
    eventually(lambda: system.steady() is None, "steady again")


def test_a_synchronous_operator_promotes_nobody_before_it_has_asked_both_standbys(tmp_path: Path) -> None:
    with opened(tmp_path, "sync") as system:
        system.nodes[NODES[2]].pause()
        system.nodes[NODES[0]].kill()
        eventually(lambda: f"{NODES[2]} may have what the other standby lacks" in (system.steady() or ""), "it says why")
        assert system.primary() == NODES[0]
        assert system.nodes[NODES[1]].role().role == "replica"
        system.nodes[NODES[2]].resume()
        eventually(lambda: system.primary() != NODES[0], "one is promoted")


def test_a_primary_that_was_started_while_the_operator_waited_is_not_replaced(system: PostgresOperator) -> None:
    with system._lock:
        system.nodes[NODES[0]].kill()
        system.nodes[NODES[0]].start()
        system._fail_over()
        assert system.primary() == NODES[0]
    eventually(lambda: system.steady() is None, "steady again")
    assert {name: role.role for name, role in system.roles().items()} == dict(zip(NODES, ("primary", "replica", "replica"), strict=True))


def test_a_standby_that_follows_nobody_is_let_follow_the_primary_again(system: PostgresOperator) -> None:
    system._tell(system.nodes[NODES[1]], primary_conninfo="")
    eventually(lambda: (system.nodes[NODES[1]].admin.value("SHOW primary_conninfo") or "") != "", "it is told")
    eventually(lambda: system.steady() is None, "steady again")


def test_healing_all_starts_the_primary_before_what_is_rewound_from_it(system: PostgresOperator) -> None:
    system.nodes[NODES[0]].kill()
    eventually(lambda: system.primary() != NODES[0], "another one is promoted")
    assert put(system, "later") == "ok"
    eventually(lambda: system.nodes[str(system.primary())].role().role == "primary", "it answers")
    with system._lock:
        system.nodes[str(system.primary())].kill()
        system.heal_all()
    eventually(lambda: system.steady() is None, "steady again")
    assert system.roles()[NODES[0]].role == "replica"
    assert got(system) == "later"
    system.heal_all()
    assert system.primary() != NODES[0]


def test_a_former_primary_is_rewound_and_forgets_what_nobody_else_has(system: PostgresOperator, monkeypatch: pytest.MonkeyPatch) -> None:
    old, ran = system.nodes[NODES[0]], []
    monkeypatch.setattr(operator, "run", lambda argv, doing: (binaries.run(argv, doing), ran.append(argv[0])))
    monkeypatch.setattr(servers, "run", lambda argv, doing: ran.append(argv[0]))  # a copy, which would hide that
    for link in system.links("peers", NODES[0]):
        link.cut()
    system.write_marker(NODES[0], "only here")
    eventually(lambda: system.primary() != NODES[0], "another one is promoted")
    system.write_marker(str(system.primary()), "everywhere")
    assert system.read_marker(NODES[0]) == "only here"
    old.kill()
    system.heal_all()
    eventually(lambda: system.steady() is None, "steady again")
    eventually(lambda: {system.read_marker(name) for name in NODES} == {"everywhere"}, "all nodes have the same")
    assert ran == ["pg_rewind"]


def test_closing_does_not_wait_for_a_promotion(tmp_path: Path) -> None:
    with opened(tmp_path, "async") as system:
        for name in NODES[1:]:
            os.kill(int(system.nodes[name].admin.value(STARTUP) or 0), signal.SIGSTOP)
        system.nodes[NODES[0]].kill()
        eventually(lambda: promotion_begins(system) is not None, "the operator promotes")
        start = time.monotonic()
    assert time.monotonic() - start < 5 + LOOK_S
