"""The narrow door: what is so of a system that says no more than it must, and what a backend's promise asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import WORKLOADS, FakeSystem

from faults.kill import KILL
from harness.driving.backend import Deployment, grounds_of, mutants_of, offers_of, servers_of
from harness.driving.client import Client
from harness.driving.nemesis import refusal, target_of
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import HISTORY, Catalogue, run
from harness.driving.system import HasNodes, Need, System, clock_bound_of, heal_all, hurried, roles_of, sides_of, unkept, unsteady
from harness.errors import Infrastructure, UsageError
from harness.record.format import load


class Bare:
    """A System of three members."""

    name = "bare"
    versions = {"bare": "1"}

    def __init__(self) -> None:
        self._fake = FakeSystem()

    def client(self, side: str, deadline_s: float) -> Client:
        return self._fake.client(side, deadline_s)


class BareBackend:
    """A Backend of four members."""

    name = "bare"
    variants = {"default": "nothing special"}
    functions = WORKLOADS["dedup"].functions

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        yield Bare()


class Boastful(BareBackend):
    """It offers what its system has not."""

    def offers(self, variant: str) -> frozenset[Need]:
        return frozenset({Need.LINKS, Need.PROCESS})


def plan() -> Plan:
    return Plan("bare", "default", ("dedup",), (Episode(quiet_s=0.1, after_s=0),), seed=1, rate=100.0)


def catalogue(backend: BareBackend) -> Catalogue:
    return Catalogue(backend, {"dedup": WORKLOADS["dedup"]}, {})


def test_a_system_without_nodes_is_steady_and_has_nobody_to_ask_or_heal() -> None:
    system = Bare()
    assert not isinstance(system, HasNodes)
    assert (unsteady(system), roles_of(system), sides_of(system), clock_bound_of(system)) == (None, {}, ("clients",), None)
    heal_all(system)
    with hurried(system):
        pass


def test_a_system_with_nodes_is_asked() -> None:
    system = FakeSystem()
    system.missing = "a node"
    heal_all(system)
    assert (unsteady(system), roles_of(system), sides_of(system)) == ("a node", system.role, system.sides)
    assert system.healed == 1


def test_a_backend_that_says_no_more_runs_here_and_has_no_mutants_no_servers_and_nothing_for_faults() -> None:
    backend = BareBackend()
    assert (grounds_of(backend), dict(mutants_of(backend))) == (("local",), {})
    assert (servers_of(backend, "default"), offers_of(backend, "default")) == ((), frozenset())


def test_a_backend_of_four_members_with_a_system_of_three_is_driven(tmp_path: Path) -> None:
    assert run(plan(), catalogue(BareBackend()), tmp_path).versions == {"bare": "1"}
    history = load(tmp_path / HISTORY)
    assert {operation.f for operation in history.operations()} == {"check_and_set", "get"}
    assert history.header is not None
    assert set(history.header.sides.values()) == {"clients"}


def test_a_fault_on_a_backend_without_nodes_is_refused() -> None:
    assert "bare has no process of its own" in (refusal(KILL, BareBackend(), "default") or "")


def test_a_fault_without_needs_finds_no_primary_where_there_are_no_nodes() -> None:
    with pytest.raises(Infrastructure, match="bare has no primary for fault pause to meet"):
        target_of(Bare(), FaultSpec("pause"))


def test_what_a_backend_offers_and_its_system_has_not_is_named_for_each_need() -> None:
    said = unkept(Bare(), Boastful().offers("default"))
    assert said == "bare offers Need.LINKS and its system is no HasLinks; bare offers Need.PROCESS and its system is no HasNodes"
    assert unkept(FakeSystem(), {Need.PROCESS}) is None


def test_a_backend_that_offers_what_its_system_has_not_is_a_bug_before_anything_is_driven(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"bare offers Need\.LINKS"):
        run(plan(), catalogue(Boastful()), tmp_path)
    assert not (tmp_path / HISTORY).exists()
