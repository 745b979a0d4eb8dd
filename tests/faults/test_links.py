"""Faults on links, against a deployment that says what a marker met: when they are proved, and when they are healed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from faults.cut import CUT
from faults.latency import LATENCY, LATENCY_MS
from faults.lost_reply import LOST_REPLY
from harness.driving.nemesis import Fault
from harness.driving.system import Passage, Role, System

OPEN = Passage(arrived=True, answered=True, took_ms=1.0)
LATE = Passage(arrived=True, answered=True, took_ms=float(LATENCY_MS))
DEAF = Passage(arrived=True, answered=False, took_ms=None)
SHUT = Passage(arrived=False, answered=False, took_ms=None)
REFUSED = Passage(arrived=False, answered=True, took_ms=1.0)
REFUSED_LATE = Passage(arrived=False, answered=True, took_ms=float(LATENCY_MS))
FELT = {CUT: SHUT, LATENCY: LATE, LOST_REPLY: DEAF}
STILL_THERE = [(CUT, SHUT), (LATENCY, REFUSED_LATE), (LOST_REPLY, SHUT)]


class Linked:
    """One node, one link into it."""

    name, sides, nodes, versions = "linked", ("clients-a", "clients-b"), {"n1": None}, {}
    source, target = "clients-a", "n1"

    def __init__(self, met: Passage, role: str = "primary") -> None:
        self.met, self.role = met, role

    def links(self, source: str | None = None, target: str | None = None) -> list[Any]:
        return [self]

    def passage(self, link: Any) -> Passage:
        return self.met

    def roles(self) -> dict[str, Role]:
        return {"n1": Role(self.role)}

    def __getattr__(self, name: str) -> Any:
        """Have all that a deployment with links has; nothing else is called."""
        if name in ("client", "primary", "steady", "heal_all"):
            return lambda *given: None
        raise AttributeError(name)


def proofs(fault: Fault, met: Passage, role: str = "primary") -> Iterator[bool]:
    injection = fault.on(cast(System, Linked(met, role)), "n1")
    yield injection.bites().proved
    yield injection.healed().proved


@pytest.mark.parametrize("fault", FELT, ids=lambda fault: fault.name)
def test_it_is_proved_by_what_a_marker_meets_and_healed_once_the_link_is_open(fault: Fault) -> None:
    assert list(proofs(fault, FELT[fault])) == [True, False]
    assert list(proofs(fault, OPEN)) == [False, True]


@pytest.mark.parametrize("fault", FELT, ids=lambda fault: fault.name)
def test_a_primary_that_has_become_a_replica_refuses_the_marker_over_a_link_that_is_open(fault: Fault) -> None:
    assert list(proofs(fault, REFUSED, "replica")) == [False, True]


@pytest.mark.parametrize(("fault", "met"), STILL_THERE, ids=lambda each: getattr(each, "name", ""))
def test_a_fault_that_is_still_there_is_not_healed_because_its_node_became_a_replica(fault: Fault, met: Passage) -> None:
    assert list(proofs(fault, met, "replica"))[1] is False


def test_a_primary_that_refuses_a_marker_proves_no_healing() -> None:
    assert list(proofs(CUT, REFUSED)) == [False, False]


@pytest.mark.parametrize("fault", FELT, ids=lambda fault: fault.name)
@pytest.mark.parametrize("role", ["dead", "paused"])
def test_a_node_that_is_down_proves_nothing(fault: Fault, role: str) -> None:
    assert list(proofs(fault, FELT[fault], role)) == [False, False]
