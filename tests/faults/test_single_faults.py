"""Every fault that one server can have, on a real one: it bites, it heals, and it heals when the body raises."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from felt import (
    ANSWERED_LATE_S,
    Planted,
    abandoned,
    ask,
    client,
    eventually,
    found,
    proved,
    put,
    run_that_raises,
    serves_again,
    timed,
    unproved,
)

from backends.redis.single import NODE, REDIS, RedisSingle
from faults.cut import CUT
from faults.kill import KILL
from faults.latency import LATENCY, LATENCY_MS
from faults.lost_reply import LOST_REPLY
from faults.pause import PAUSE
from faults.restart import RESTART
from harness.deploy.ports import HOST
from harness.driving.backend import Deployment
from harness.driving.client import outcome
from harness.driving.nemesis import Fault, Injection
from harness.driving.run import HISTORY
from harness.record.format import load

FAULTS = [CUT, LATENCY, LOST_REPLY, PAUSE, KILL, RESTART]
ON_LINKS = [CUT, LATENCY, LOST_REPLY]
KILLS = [KILL, RESTART]
each = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
on_links = pytest.mark.parametrize("fault", ON_LINKS, ids=lambda fault: fault.name)
kills = pytest.mark.parametrize("fault", KILLS, ids=lambda fault: fault.name)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSingle]:
    with REDIS.open(Deployment("appendfsync-always", tmp_path_factory.mktemp("redis"))) as system:
        assert isinstance(system, RedisSingle)
        yield system


@pytest.fixture
def system(standing: RedisSingle) -> Iterator[RedisSingle]:
    """The server, healed after each test."""
    yield standing
    standing.heal_all()


def on(system: RedisSingle, fault: Fault) -> Injection:
    return fault.on(system, NODE)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return f"{request.node.name}-{time.monotonic_ns()}"


# What holds of every fault


@each
def test_its_probe_proves_that_it_bites_and_not_before(system: RedisSingle, fault: Fault) -> None:
    injection = on(system, fault)
    unproved(injection.bites)
    injection.inject()
    assert proved(injection.bites).seen


@each
def test_its_probe_proves_that_it_healed_and_not_before(system: RedisSingle, fault: Fault) -> None:
    injection = on(system, fault)
    injection.inject()
    proved(injection.bites)
    assert not injection.healed().proved
    injection.heal()
    assert proved(injection.healed).seen


@each
def test_once_healed_clients_of_both_sides_are_served(system: RedisSingle, fault: Fault) -> None:
    injection = on(system, fault)
    injection.inject()
    proved(injection.bites)
    injection.heal()
    proved(injection.healed)
    assert serves_again(system)


@each
def test_injecting_and_healing_twice_is_as_once(system: RedisSingle, fault: Fault) -> None:
    injection = on(system, fault)
    injection.inject()
    injection.inject()
    proved(injection.bites)
    injection.heal()
    injection.heal()
    proved(injection.healed)
    assert serves_again(system)


@each
def test_healing_without_injecting_changes_nothing(system: RedisSingle, fault: Fault) -> None:
    before = system.roles()
    injection = on(system, fault)
    injection.heal()
    proved(injection.healed)
    assert system.roles() == before
    assert serves_again(system)


@each
def test_the_nemesis_way_out_heals_it(system: RedisSingle, fault: Fault, tmp_path: Path) -> None:
    abandoned(system, fault, NODE, tmp_path)
    proved(on(system, fault).healed)
    assert serves_again(system)


@each
def test_a_run_whose_body_raises_heals_it(system: RedisSingle, fault: Fault, tmp_path: Path) -> None:
    with pytest.raises(Planted):
        run_that_raises(REDIS, system, fault, tmp_path)
    events = [event.value["phase"] for event in load(tmp_path / HISTORY).nemesis() if event.f == fault.name]
    assert events == ["begin", "active", "healing"]
    proved(on(system, fault).healed)
    assert serves_again(system)


@on_links
def test_a_fault_on_links_names_those_of_the_first_side_and_spares_the_other(system: RedisSingle, fault: Fault, key: str) -> None:
    injection = on(system, fault)
    assert injection.targets == (f"clients-a -> {NODE}",)
    injection.inject()
    proved(injection.bites)
    assert put(system, key, "x", side=1).type == "ok"


def test_a_fault_on_a_server_that_does_not_answer_is_not_proved(system: RedisSingle) -> None:
    """The marker has not arrived, but neither would it have been seen."""
    on(system, PAUSE).inject()
    injection = on(system, CUT)
    injection.inject()
    assert not injection.bites().proved


# What a client feels


def test_cut_a_fresh_client_is_told_in_time_that_nothing_was_applied(system: RedisSingle, key: str) -> None:
    on(system, CUT).inject()
    done, took_s = timed(lambda: put(system, key, "x"))
    assert done.type == "fail"
    assert took_s < ANSWERED_LATE_S
    assert found(system, key) is None


def test_cut_a_connected_client_does_not_know_in_time_and_nothing_is_applied_then_or_later(system: RedisSingle, key: str) -> None:
    injection = on(system, CUT)
    with client(system) as connected:
        assert outcome(connected, "set", f"{key}-before", {"value": "x", "ttl_ms": None}).type == "ok"
        injection.inject()
        done, took_s = timed(lambda: outcome(connected, "set", key, {"value": "x", "ttl_ms": None}))
    assert done.type == "info"
    assert took_s < ANSWERED_LATE_S
    assert found(system, key) is None
    injection.heal()
    proved(injection.healed)
    assert found(system, key, side=0) is None


def test_latency_answers_come_late_and_are_right(system: RedisSingle, key: str) -> None:
    on(system, LATENCY).inject()
    with client(system, deadline_s=20) as slow:
        assert outcome(slow, "get", key, {}).type == "ok"  # connected
        done, took_s = timed(lambda: outcome(slow, "set", key, {"value": "x", "ttl_ms": None}))
    assert done.type == "ok"
    assert took_s >= LATENCY_MS * 0.7 / 1000
    assert found(system, key) == "x"


def test_lost_reply_an_operation_is_applied_and_its_client_cannot_know(system: RedisSingle, key: str) -> None:
    on(system, LOST_REPLY).inject()
    with client(system) as deaf:
        for n in range(100):
            done, took_s = timed(lambda n=n: outcome(deaf, "set", key, {"value": str(n), "ttl_ms": None}))  # type: ignore[misc]
            if done.type != "ok":
                break
    assert done.type == "info"
    assert took_s < ANSWERED_LATE_S
    assert found(system, key) == str(n)


def test_pause_a_connected_client_is_not_answered_and_does_not_know(system: RedisSingle, key: str) -> None:
    with client(system) as connected:
        assert outcome(connected, "get", key, {}).type == "ok"
        on(system, PAUSE).inject()
        done, took_s = timed(lambda: outcome(connected, "set", key, {"value": "x", "ttl_ms": None}))
    assert done.type == "info"
    assert took_s < ANSWERED_LATE_S


def test_pause_a_fresh_client_finds_nobody_although_the_connection_is_accepted(system: RedisSingle, key: str) -> None:
    on(system, PAUSE).inject()
    with socket.create_connection((HOST, system.port_of("clients-a", NODE)), timeout=ANSWERED_LATE_S):
        done, took_s = timed(lambda: put(system, key, "x"))
    assert done.type == "fail"
    assert took_s < ANSWERED_LATE_S


def test_pause_loses_nothing_and_keeps_the_run_id(system: RedisSingle, key: str) -> None:
    before = system.roles()[NODE].run_id
    put(system, key, "x")
    injection = on(system, PAUSE)
    injection.inject()
    proved(injection.bites)
    injection.heal()
    proved(injection.healed)
    assert system.roles()[NODE].run_id == before
    assert found(system, key) == "x"


@kills
def test_kill_connections_are_refused_on_every_link(system: RedisSingle, fault: Fault, key: str) -> None:
    on(system, fault).inject()
    for link in system.links(target=NODE):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, system.port_of(link.source, NODE)), timeout=ANSWERED_LATE_S).close()
    assert [put(system, key, "x", side).type for side in range(2)] == ["fail", "fail"]


@kills
def test_kill_a_connected_client_is_told_or_does_not_know(system: RedisSingle, fault: Fault, key: str) -> None:
    with client(system) as connected:
        assert outcome(connected, "get", key, {}).type == "ok"
        on(system, fault).inject()
        done, took_s = timed(lambda: outcome(connected, "set", key, {"value": "x", "ttl_ms": None}))
    assert done.type in ("fail", "info")
    assert took_s < ANSWERED_LATE_S


@kills
def test_restart_gives_a_new_run_id_and_keeps_what_was_acknowledged_with_fsync_always(system: RedisSingle, fault: Fault, key: str) -> None:
    before = system.roles()[NODE].run_id
    assert put(system, key, "x").type == "ok"
    assert ask(system, "try_acquire", key, {"owner": "0-1", "ttl_ms": 60_000}).value["granted"]
    injection = on(system, fault)
    injection.inject()
    injection.heal()
    proved(injection.healed)
    assert system.roles()[NODE].run_id not in (None, before)
    assert found(system, key) == "x"
    assert not ask(system, "try_acquire", key, {"owner": "0-2", "ttl_ms": 60_000}).value["granted"]


def test_restart_loses_everything_where_nothing_is_kept(tmp_path: Path, key: str) -> None:
    """What shows that the restart is one, and that the test above could fail."""
    with REDIS.open(Deployment("no-save", tmp_path)) as system:
        assert put(system, key, "x").type == "ok"
        injection = RESTART.on(system, NODE)
        injection.inject()
        injection.heal()
        proved(injection.healed)
        assert found(system, key) is None


def test_a_server_killed_a_second_time_is_started_again(system: RedisSingle) -> None:
    for _ in range(2):
        injection = on(system, KILL)
        injection.inject()
        proved(injection.bites)
        injection.heal()
        proved(injection.healed)
    eventually(lambda: serves_again(system), "clients are served")
