"""The faults of a cluster, on real servers under Sentinel: what nodes, an observer and clients of both sides see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from felt import Planted, abandoned, ask, client, eventually, found, is_steady, proved, put, run_that_raises, serves_again, unproved

from backends.redis.sentinel import NODES, SENTINEL, RedisSentinel
from faults.cut import CUT
from faults.hold_back_replication import HOLD_BACK_REPLICATION
from faults.isolate_primary import ISOLATE_PRIMARY
from faults.kill import KILL
from faults.latency import LATENCY
from faults.pause import FREEZE, PAUSE
from faults.restart_empty import RESTART_EMPTY
from harness.driving.backend import Deployment
from harness.driving.client import Client, Completion, outcome
from harness.driving.nemesis import Fault, Probe, target_of
from harness.driving.plan import FaultSpec
from harness.driving.run import HISTORY
from harness.driving.system import Role
from harness.record.format import load

LONG_MS = 60_000
NO_FAILOVER = [
    (CUT, "primary"),
    (LATENCY, "primary"),
    (PAUSE, "primary"),
    (PAUSE, "replica"),
    (KILL, "replica"),
    (RESTART_EMPTY, "primary"),
]


def opened(directory: Path, variant: str) -> Iterator[RedisSentinel]:
    with SENTINEL.open(Deployment(variant, directory)) as system:
        assert isinstance(system, RedisSentinel)
        yield system


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Takes no node for dead within 5 s."""
    yield from opened(tmp_path_factory.mktemp("patient"), "patient")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    """Fails over after 1 s."""
    yield from opened(tmp_path_factory.mktemp("default"), "default")


@pytest.fixture
def calm(patient: RedisSentinel) -> Iterator[RedisSentinel]:
    """The patient deployment, healed and steady after each test."""
    yield patient
    patient.heal_all()
    is_steady(patient)


def primary_of(system: RedisSentinel) -> str:
    name = system.primary()
    assert name is not None
    return name


def lock(system: RedisSentinel, name: str, owner: str, side: int) -> Completion:
    return ask(system, "try_acquire", name, {"owner": owner, "ttl_ms": LONG_MS}, side)


# Faults without a failover


@pytest.mark.parametrize(("fault", "whom"), NO_FAILOVER, ids=lambda each: each.name if isinstance(each, Fault) else each)
def test_it_bites_it_heals_and_nobody_else_is_promoted(calm: RedisSentinel, fault: Fault, whom: str) -> None:
    primary = primary_of(calm)
    injection = fault.on(calm, target_of(calm, FaultSpec(fault.name, whom)))
    unproved(injection.bites)
    injection.inject()
    injection.inject()
    proved(injection.bites)
    injection.heal()
    injection.heal()
    proved(injection.healed)
    is_steady(calm)
    assert calm.primary() == primary
    assert serves_again(calm)


@pytest.mark.parametrize("fault", [RESTART_EMPTY, ISOLATE_PRIMARY, HOLD_BACK_REPLICATION], ids=lambda fault: fault.name)
def test_healing_without_injecting_changes_nothing(calm: RedisSentinel, fault: Fault) -> None:
    before = calm.roles()
    injection = fault.on(calm, primary_of(calm))
    injection.heal()
    proved(injection.healed)
    assert calm.roles() == before


@pytest.mark.parametrize("fault", [ISOLATE_PRIMARY, HOLD_BACK_REPLICATION], ids=lambda fault: fault.name)
def test_a_cut_is_not_proved_by_replicas_that_do_not_answer(calm: RedisSentinel, fault: Fault) -> None:
    primary = primary_of(calm)
    for name in set(NODES) - {primary}:
        calm.nodes[name].pause()
    injection = fault.on(calm, primary)
    injection.inject()
    assert not injection.bites().proved


def test_restart_empty_wipes_primary_and_replicas_and_the_primary_stays(calm: RedisSentinel) -> None:
    primary = primary_of(calm)
    key = f"kept-nowhere-{time.monotonic_ns()}"
    assert put(calm, key, "x").type == "ok"
    eventually(lambda: calm.nodes[primary].admin.ask("WAIT", 2, 100) == 2, "all is replicated")
    held = {name: calm.keys_held(name) for name in NODES}
    before = calm.roles()[primary].run_id
    injection = RESTART_EMPTY.on(calm, primary)
    injection.inject()
    assert proved(injection.bites).seen["empty"]
    assert min(held.values()) > 0
    eventually(lambda: {calm.keys_held(name) for name in NODES} == {0}, "all nodes are empty")
    assert calm.primary() == primary
    assert calm.roles()[primary].run_id not in (None, before)
    assert found(calm, key) is None


def test_restart_empty_restarts_once(calm: RedisSentinel) -> None:
    primary = primary_of(calm)
    injection = RESTART_EMPTY.on(calm, primary)
    injection.inject()
    first = calm.roles()[primary].run_id
    injection.inject()
    assert calm.roles()[primary].run_id == first


def test_restart_empty_is_undone_by_the_nemesis_way_out(calm: RedisSentinel, tmp_path: Path) -> None:
    abandoned(calm, RESTART_EMPTY, primary_of(calm), tmp_path)
    is_steady(calm)
    assert serves_again(calm)


# Split brain: carried out once, looked at from all sides


@dataclass(slots=True)
class Split:
    """What was seen of one split brain. `a` is the side of the old primary."""

    old: str
    new: str
    before: Probe
    bites: Probe
    roles: dict[str, Role]
    owners: dict[str, str | None]
    granted: dict[str, Completion]
    across: dict[str, Completion]
    not_healed: Probe
    healed: Probe
    roles_after: dict[str, Role]
    read_after: str | None
    serves: bool


@pytest.fixture(scope="module")
def split(quick: RedisSentinel) -> Iterator[Split]:
    # Connected before: a fresh client of this side would find no sentinel.
    with client(quick, 0) as stayed:
        assert outcome(stayed, "get", "connected", {}).type == "ok"
        yield carried_out(quick, stayed)


def carried_out(system: RedisSentinel, stayed: Client) -> Split:
    old = primary_of(system)
    name, key = f"lock-{time.monotonic_ns()}", f"key-{time.monotonic_ns()}"
    injection = ISOLATE_PRIMARY.on(system, old)
    before = injection.bites()
    injection.inject()
    injection.inject()
    bites = proved(injection.bites)
    granted = {"a": outcome(stayed, "try_acquire", name, {"owner": "a-1", "ttl_ms": LONG_MS})}
    across = {"b": put(system, f"{key}-b", "x", 1)}
    eventually(lambda: system.primary() not in (None, old), "another node is promoted")
    new = primary_of(system)

    def the_other_side_is_answered() -> bool:
        granted["b"] = lock(system, name, "b-1", 1)
        return granted["b"].type == "ok"

    eventually(the_other_side_is_answered, "the other side is answered")
    across["a"] = outcome(stayed, "set", key, {"value": "x", "ttl_ms": None})
    roles = system.roles()
    owners = {node: system.lock_owner(node, name) for node in (old, new)}
    not_healed = injection.healed()
    injection.heal()
    injection.heal()
    healed = proved(injection.healed)
    is_steady(system)
    serves = serves_again(system)
    return Split(old, new, before, bites, roles, owners, granted, across, not_healed, healed, system.roles(), found(system, key), serves)


def test_a_split_is_proved_once_injected_and_not_before(split: Split) -> None:
    assert (split.before.proved, split.bites.proved) == (False, True)


def test_a_split_is_healed_once_healed_and_not_before(split: Split) -> None:
    assert (split.not_healed.proved, split.healed.proved) == (False, True)


def test_in_a_split_two_nodes_are_primary(split: Split) -> None:
    assert {name for name, role in split.roles.items() if role.role == "primary"} == {split.old, split.new}


def test_in_a_split_both_sides_are_granted_one_lock(split: Split) -> None:
    assert {side: (done.value["granted"], done.node) for side, done in split.granted.items()} == {
        "a": (True, split.old),
        "b": (True, split.new),
    }


def test_in_a_split_an_observer_past_the_proxies_reads_two_owners(split: Split) -> None:
    assert split.owners == {split.old: "a-1", split.new: "b-1"}


def test_in_a_split_the_old_primary_goes_on_acknowledging(split: Split) -> None:
    assert (split.across["a"].type, split.across["a"].node) == ("ok", split.old)


def test_in_a_split_the_other_side_does_not_reach_the_old_primary(split: Split) -> None:
    assert split.across["b"].type == "fail" or split.across["b"].node != split.old


def test_what_the_old_primary_acknowledged_in_a_split_is_gone_once_healed(split: Split) -> None:
    assert split.read_after is None


def test_after_a_split_the_old_primary_is_a_replica_and_both_sides_are_served(split: Split) -> None:
    assert split.roles_after[split.old].role == "replica"
    assert split.serves


# Frozen past the failover


def test_a_frozen_primary_that_goes_on_finds_itself_replaced_and_becomes_a_replica(quick: RedisSentinel) -> None:
    is_steady(quick)
    old = primary_of(quick)
    injection = FREEZE.on(quick, old)
    injection.inject()
    proved(injection.bites)
    eventually(lambda: quick.primary() not in (None, old), "another node is promoted")
    injection.heal()
    proved(injection.healed)
    is_steady(quick)
    eventually(lambda: quick.roles()[old].role == "replica", "the old primary is a replica")
    assert serves_again(quick)


# Replication held back: carried out once


@dataclass(slots=True)
class HeldBack:
    """What was seen of one primary that died with what it had not replicated."""

    old: str
    new: str
    before: Probe
    bites: Probe
    earlier: Completion
    last: Completion
    earlier_on_new: str | None
    last_on_new: str | None
    dead: Probe
    healed: list[Probe]
    serves: bool


@pytest.fixture(scope="module")
def held_back(quick: RedisSentinel) -> Iterator[HeldBack]:
    is_steady(quick)
    # Connected before: on a busy machine a fresh client might find a new primary already.
    with client(quick, 1) as stayed:
        assert outcome(stayed, "get", "connected", {}).type == "ok"
        yield acknowledged_and_lost(quick, stayed)


def acknowledged_and_lost(system: RedisSentinel, stayed: Client) -> HeldBack:
    old = primary_of(system)
    key = f"held-back-{time.monotonic_ns()}"
    earlier = put(system, f"{key}-earlier", "x", 1)
    eventually(lambda: system.nodes[old].admin.ask("WAIT", 2, 100) == 2, "all is replicated")
    injection, kill = HOLD_BACK_REPLICATION.on(system, old), KILL.on(system, old)
    before = injection.bites()
    injection.inject()
    injection.inject()
    bites = proved(injection.bites)
    last = outcome(stayed, "set", key, {"value": "x", "ttl_ms": None})
    kill.inject()
    dead = proved(kill.bites)
    eventually(lambda: system.primary() not in (None, old), "another node is promoted")
    new = primary_of(system)
    seen = {name: found(system, name) for name in (f"{key}-earlier", key)}
    for each in (kill, injection, kill, injection):
        each.heal()
    healed = [proved(each.healed) for each in (kill, injection)]
    is_steady(system)
    return HeldBack(old, new, before, bites, earlier, last, seen[f"{key}-earlier"], seen[key], dead, healed, serves_again(system))


def test_holding_back_is_proved_once_injected_and_not_before(held_back: HeldBack) -> None:
    assert (held_back.before.proved, held_back.bites.proved, held_back.dead.proved) == (False, True, True)


def test_while_held_back_a_client_still_reaches_the_primary(held_back: HeldBack) -> None:
    assert (held_back.last.type, held_back.last.node) == ("ok", held_back.old)


def test_the_last_acknowledged_key_is_missing_on_the_new_primary(held_back: HeldBack) -> None:
    assert held_back.last_on_new is None


def test_what_was_replicated_before_is_there_on_the_new_primary(held_back: HeldBack) -> None:
    assert held_back.earlier.type == "ok"
    assert held_back.earlier_on_new == "x"


def test_after_holding_back_and_the_kill_all_is_healed(held_back: HeldBack) -> None:
    assert [probe.proved for probe in held_back.healed] == [True, True]
    assert held_back.serves


# When the body raises


@pytest.mark.parametrize("fault", [ISOLATE_PRIMARY, HOLD_BACK_REPLICATION], ids=lambda fault: fault.name)
def test_a_run_whose_body_raises_heals_it(quick: RedisSentinel, fault: Fault, tmp_path: Path) -> None:
    is_steady(quick)
    with pytest.raises(Planted):
        run_that_raises(SENTINEL, quick, fault, tmp_path)
    phases: list[Any] = [event.value["phase"] for event in load(tmp_path / HISTORY).nemesis() if event.f == fault.name]
    assert phases == ["begin", "active", "healing"]
    is_steady(quick)
    assert serves_again(quick)
