"""The faults of PostgreSQL's deployments, on real servers: each bites, heals, and leaves a deployment that serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from felt import ask, client, eventually, found, is_steady, proved, put, serves_again, unproved

from backends.postgres.operator import OPERATOR, PostgresOperator
from backends.postgres.single import NODE, POSTGRES, PostgresSingle
from faults.cancel_wait import CANCEL_WAIT
from faults.cut import CUT
from faults.hold_back_replication import HOLD_BACK_REPLICATION
from faults.isolate_primary import ISOLATE_PRIMARY
from faults.kill import KILL
from faults.latency import LATENCY
from faults.lost_reply import LOST_REPLY
from faults.pause import FREEZE, PAUSE
from faults.restart import RESTART
from harness.driving.backend import Deployment
from harness.driving.client import outcome
from harness.driving.nemesis import Fault, target_of
from harness.driving.plan import FaultSpec

SINGLE = [CUT, LATENCY, LOST_REPLY, PAUSE, KILL, RESTART]
NO_FAILOVER = [(CUT, "primary"), (LATENCY, "primary"), (LOST_REPLY, "primary"), (PAUSE, "replica"), (KILL, "replica")]


def name_of(each: Fault | str) -> str:
    return each.name if isinstance(each, Fault) else each


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresSingle]:
    with POSTGRES.open(Deployment("default", tmp_path_factory.mktemp("single"))) as system:
        assert isinstance(system, PostgresSingle)
        yield system


@pytest.fixture
def single(server: PostgresSingle) -> Iterator[PostgresSingle]:
    """The one server, healed after each test."""
    yield server
    server.heal_all()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresOperator]:
    with OPERATOR.open(Deployment("sync", tmp_path_factory.mktemp("sync"))) as system:
        assert isinstance(system, PostgresOperator)
        yield system


@pytest.fixture
def cluster(three: PostgresOperator) -> Iterator[PostgresOperator]:
    """The synchronous deployment, healed and steady after each test."""
    yield three
    three.heal_all()
    is_steady(three)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return f"{request.node.name}-{time.monotonic_ns()}"


def primary_of(system: PostgresOperator) -> str:
    name = system.primary()
    assert name is not None
    return name


def unwatched(system: PostgresOperator) -> AbstractContextManager[Any]:
    """Keep the operator from acting meanwhile, however slow the machine is."""
    return system._lock


# One server


@pytest.mark.parametrize("fault", SINGLE, ids=name_of)
def test_it_bites_it_heals_and_clients_are_served(single: PostgresSingle, fault: Fault) -> None:
    injection = fault.on(single, NODE)
    unproved(injection.bites)
    injection.inject()
    injection.inject()
    proved(injection.bites)
    assert not injection.healed().proved
    injection.heal()
    injection.heal()
    proved(injection.healed)
    assert serves_again(single)


def test_lost_reply_a_connection_gets_through_its_handshake_and_then_loses_a_reply(single: PostgresSingle, key: str) -> None:
    LOST_REPLY.on(single, NODE).inject()
    with client(single) as deaf:
        kinds = []
        for n in range(100):
            kinds.append(outcome(deaf, "set", key, {"value": str(n), "ttl_ms": None}).type)
            if kinds[-1] != "ok":
                break
    assert set(kinds[:-1]) == {"ok"}
    assert kinds[-1] == "info"
    assert found(single, key) == str(n)


@pytest.mark.parametrize("fault", [KILL, RESTART], ids=name_of)
def test_killed_it_keeps_what_was_acknowledged_and_runs_anew(single: PostgresSingle, fault: Fault, key: str) -> None:
    before = single.roles()[NODE].run_id
    assert put(single, key, "x").type == "ok"
    assert ask(single, "try_acquire", key, {"owner": "0-1", "ttl_ms": 60_000}).value["granted"]
    injection = fault.on(single, NODE)
    injection.inject()
    injection.heal()
    proved(injection.healed)
    assert single.roles()[NODE].run_id not in (None, before)
    assert found(single, key) == "x"
    assert not ask(single, "try_acquire", key, {"owner": "0-2", "ttl_ms": 60_000}).value["granted"]


# A primary and two standbys


@pytest.mark.parametrize(("fault", "whom"), NO_FAILOVER, ids=name_of)
def test_without_a_failover_it_bites_it_heals_and_nobody_else_is_promoted(cluster: PostgresOperator, fault: Fault, whom: str) -> None:
    primary = primary_of(cluster)
    injection = fault.on(cluster, target_of(cluster, FaultSpec(fault.name, whom)))
    unproved(injection.bites)
    injection.inject()
    proved(injection.bites)
    injection.heal()
    proved(injection.healed)
    is_steady(cluster)
    assert cluster.primary() == primary
    assert serves_again(cluster)


@pytest.mark.parametrize("fault", [KILL, FREEZE], ids=name_of)
def test_a_primary_that_was_replaced_comes_back_as_a_standby_of_the_promoted_one(cluster: PostgresOperator, key: str, fault: Fault) -> None:
    old = primary_of(cluster)
    assert put(cluster, key, "x").type == "ok"
    injection = fault.on(cluster, old)
    injection.inject()
    proved(injection.bites)
    eventually(lambda: cluster.primary() != old, "another one is promoted")
    injection.heal()
    proved(injection.healed)
    is_steady(cluster)
    eventually(lambda: cluster.roles()[old].role == "replica", "the old primary is a replica")
    assert found(cluster, key) == "x"


def test_a_primary_killed_and_started_before_the_operator_acts_stays_the_primary(cluster: PostgresOperator, key: str) -> None:
    old = primary_of(cluster)
    assert put(cluster, key, "x").type == "ok"
    injection = RESTART.on(cluster, old)
    with unwatched(cluster):
        injection.inject()
        injection.heal()
    proved(injection.healed)
    is_steady(cluster)
    assert cluster.primary() == old
    assert found(cluster, key) == "x"


def test_isolated_each_side_finds_the_primary_that_it_can_reach(cluster: PostgresOperator) -> None:
    old = primary_of(cluster)
    injection = ISOLATE_PRIMARY.on(cluster, old)
    unproved(injection.bites)
    injection.inject()
    proved(injection.bites)
    eventually(lambda: cluster.primary() != old, "another one is promoted")
    new = primary_of(cluster)
    eventually(lambda: ask(cluster, "get", "x", {}, side=1).node == new, "clients-b find the new one")
    assert ask(cluster, "get", "x", {}, side=0).node == old
    assert {cluster.roles()[name].role for name in (old, new)} == {"primary"}
    injection.heal()
    proved(injection.healed)
    is_steady(cluster)
    eventually(lambda: cluster.roles()[old].role == "replica", "the old primary is a replica")
    assert serves_again(cluster)


def test_a_synchronous_primary_whose_standbys_are_cut_acknowledges_nothing(cluster: PostgresOperator, key: str) -> None:
    primary = primary_of(cluster)
    injection = HOLD_BACK_REPLICATION.on(cluster, primary)
    unproved(injection.bites)
    with unwatched(cluster):
        injection.inject()
        proved(injection.bites)
        assert put(cluster, key, "x").type == "info"
        injection.heal()
    proved(injection.healed)
    is_steady(cluster)


def test_cancel_wait_is_proved_by_what_it_cancelled_and_not_by_the_cut_alone(cluster: PostgresOperator, key: str) -> None:
    injection = CANCEL_WAIT.on(cluster, primary_of(cluster))
    with unwatched(cluster):
        injection.inject()
        unproved(injection.bites)
        done = put(cluster, key, "x")
        proved(injection.bites)
        injection.heal()
    assert done.type == "info"
    assert done.error is not None
    assert done.error.startswith("01000")
    proved(injection.healed)
    is_steady(cluster)


@pytest.mark.parametrize("fault", [ISOLATE_PRIMARY, HOLD_BACK_REPLICATION, CANCEL_WAIT], ids=name_of)
def test_healing_without_injecting_changes_nothing(cluster: PostgresOperator, fault: Fault) -> None:
    before = cluster.roles()
    injection = fault.on(cluster, primary_of(cluster))
    injection.heal()
    proved(injection.healed)
    assert cluster.roles() == before


def test_a_cut_is_not_proved_by_standbys_that_do_not_answer(cluster: PostgresOperator) -> None:
    primary = primary_of(cluster)
    for name in set(cluster.nodes) - {primary}:
        cluster.nodes[name].pause()
    injection = HOLD_BACK_REPLICATION.on(cluster, primary)
    with unwatched(cluster):
        injection.inject()
        assert not injection.bites().proved
        injection.heal()


def test_who_believes_the_tag_takes_a_cancelled_wait_for_a_success(tmp_path: Path) -> None:
    with OPERATOR.open(Deployment("sync-believes-tag", tmp_path)) as system:
        assert isinstance(system, PostgresOperator)
        injection = CANCEL_WAIT.on(system, primary_of(system))
        with unwatched(system):
            injection.inject()
            assert put(system, "k", "x").type == "ok"
            proved(injection.bites)
            injection.heal()
