"""A failover that was asked for: what its probe takes for one, and on real servers what each form of it loses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSystem
from felt import Planted, client, found, is_steady, proved, run_that_raises, serves_again

from backends.redis.sentinel import SENTINEL, RedisSentinel
from faults.planned_failover import PLANNED_FAILOVER, PLANNED_FAILOVER_COORDINATED
from harness.driving.backend import Deployment
from harness.driving.client import Completion, outcome
from harness.driving.nemesis import Fault, Probe
from harness.driving.run import HISTORY
from harness.driving.system import Need
from harness.errors import Infrastructure
from harness.record.format import load

BOTH = pytest.mark.parametrize("fault", [PLANNED_FAILOVER, PLANNED_FAILOVER_COORDINATED], ids=lambda fault: fault.name)


class Managed(FakeSystem):
    """Names whom a test says; counts how often it was asked, and refuses once told to."""

    def __init__(self) -> None:
        super().__init__()
        self.named: str | None = "node-1"
        self.asked = 0
        self.refuses = False

    def primary(self) -> str | None:
        return self.named

    def hand_over(self) -> None:
        if self.refuses:
            raise Infrastructure("no")
        self.asked += 1

    def hand_over_coordinated(self) -> None:
        self.hand_over()

    def moves(self) -> None:
        self.named = "node-2"
        self.promote("node-2")


# The probe


def test_it_is_not_proved_while_the_manager_names_the_old_primary() -> None:
    system = Managed()
    injection = PLANNED_FAILOVER.on(system, "node-1")
    injection.inject()
    assert not injection.bites().proved


def test_it_is_not_proved_while_the_node_named_does_not_say_that_it_is_the_primary() -> None:
    system = Managed()
    injection = PLANNED_FAILOVER.on(system, "node-1")
    injection.inject()
    system.named = "node-2"
    assert not injection.bites().proved


def test_a_primary_that_moved_without_being_asked_proves_nothing() -> None:
    system = Managed()
    injection = PLANNED_FAILOVER.on(system, "node-1")
    system.moves()
    assert not injection.bites().proved


@BOTH
def test_the_manager_is_asked_once(fault: Fault) -> None:
    system = Managed()
    injection = fault.on(system, "node-1")
    injection.inject()
    injection.inject()
    system.moves()
    assert (system.asked, injection.bites().proved) == (1, True)


def test_two_primaries_are_not_healed() -> None:
    system = Managed()
    injection = PLANNED_FAILOVER.on(system, "node-1")
    injection.inject()
    before = system.role["node-1"]
    system.moves()
    system.role["node-1"] = before
    assert (injection.bites().proved, injection.healed().proved) == (True, False)


def test_a_refusal_of_the_manager_is_a_trouble_of_the_machine() -> None:
    system = Managed()
    system.refuses = True
    with pytest.raises(Infrastructure):
        PLANNED_FAILOVER.on(system, "node-1").inject()


# What the server found can do


@pytest.mark.parametrize(("product", "version", "can"), [("Valkey", "9.1.2", True), ("Valkey", "8.0.1", False), ("Redis", "8.2.3", False)])
def test_the_coordinated_form_is_refused_where_the_server_has_it_not(
    product: str, version: str, can: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "server"
    program.write_text(f"#!/bin/sh\necho {product} server v={version} sha=0 bits=64\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOLDWATER_REDIS_SERVER", str(program))
    said = SENTINEL.refused("default", PLANNED_FAILOVER_COORDINATED.needs)
    assert said == (None if can else f"{product} {version} has no coordinated failover; name a Valkey 9 or later in HOLDWATER_REDIS_SERVER")
    assert SENTINEL.refused("default", PLANNED_FAILOVER.needs) is None


# On real servers: each form carried out once


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinel]:
    with SENTINEL.open(Deployment("patient", tmp_path_factory.mktemp("planned"))) as system:
        assert isinstance(system, RedisSentinel)
        yield system


@dataclass(slots=True)
class Moved:
    """What was seen of one planned failover. `late` was written by a client that stayed, once it was proved."""

    old: str
    before: Probe
    bites: Probe
    earlier: str | None
    late: Completion
    late_read: str | None
    healed: Probe
    serves: bool


def carried_out(system: RedisSentinel, fault: Fault) -> Moved:
    is_steady(system)
    old, key = system.primary() or "", f"planned-{time.monotonic_ns()}"
    with client(system) as stayed:
        injection = fault.on(system, old)
        before = injection.bites()
        assert outcome(stayed, "set", f"{key}-earlier", {"value": "x", "ttl_ms": None}).type == "ok"
        injection.inject()
        bites = proved(injection.bites)
        late = outcome(stayed, "set", key, {"value": "x", "ttl_ms": None})
    injection.heal()
    is_steady(system)
    healed = proved(injection.healed)
    seen = {name: found(system, name) for name in (f"{key}-earlier", key)}
    return Moved(old, before, bites, seen[f"{key}-earlier"], late, seen[key], healed, serves_again(system))


@pytest.fixture(scope="module")
def plain(system: RedisSentinel) -> Moved:
    return carried_out(system, PLANNED_FAILOVER)


@pytest.fixture(scope="module")
def coordinated(system: RedisSentinel) -> Moved:
    if said := SENTINEL.refused("patient", frozenset({Need.COORDINATED_HANDOVER})):
        pytest.skip(said)
    return carried_out(system, PLANNED_FAILOVER_COORDINATED)


@pytest.mark.parametrize("form", ["plain", "coordinated"])
def test_it_is_proved_once_injected_healed_and_clients_are_served(form: str, request: pytest.FixtureRequest) -> None:
    moved: Moved = request.getfixturevalue(form)
    assert (moved.before.proved, moved.bites.proved, moved.healed.proved, moved.serves) == (False, True, True, True)
    assert moved.earlier == "x"


def test_in_the_plain_form_the_old_primary_goes_on_acknowledging_and_that_is_lost(plain: Moved) -> None:
    assert len(plain.bites.seen["primaries"]) == 2
    assert (plain.late.type, plain.late.node) == ("ok", plain.old)
    assert plain.late_read is None


def test_in_the_coordinated_form_there_is_one_primary_and_the_old_one_acknowledges_nothing(coordinated: Moved) -> None:
    assert len(coordinated.bites.seen["primaries"]) == 1
    assert coordinated.late.type != "ok" or coordinated.late.node != coordinated.old


@BOTH
def test_healing_without_injecting_changes_nothing(system: RedisSentinel, fault: Fault) -> None:
    is_steady(system)
    before = system.roles()
    injection = fault.on(system, system.primary() or "")
    injection.heal()
    proved(injection.healed)
    assert system.roles() == before


def test_a_run_whose_body_raises_ends_in_the_steady_state(system: RedisSentinel, tmp_path: Path) -> None:
    is_steady(system)
    with pytest.raises(Planted):
        run_that_raises(SENTINEL, system, PLANNED_FAILOVER, tmp_path)
    phases: list[Any] = [event.value["phase"] for event in load(tmp_path / HISTORY).nemesis() if event.f == PLANNED_FAILOVER.name]
    assert phases == ["begin", "active", "healing"]
    is_steady(system)
    assert serves_again(system)
