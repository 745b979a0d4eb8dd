"""Which workloads show a mutant: derived from whose it is, and from the controls of the documented table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from backends.memory.system import MEMORY
from harness import registry
from harness.claims.results import Detection, SelfTest, convert
from harness.commands import runs
from harness.commands.selftest import plans, shown_by
from harness.errors import UsageError

WORKLOADS = [registry.load("workloads", name) for name in registry.names("workloads")]
ORDINARY = ("cas", "counter", "dedup", "lock")


@pytest.mark.parametrize(
    ("mutant", "driven"), [(None, ORDINARY), ("stale-cas", ORDINARY), ("grant-waits", ("acquire",)), ("ttl-late", ("resource",))]
)
def test_a_mutant_is_shown_by_the_workloads_that_the_table_controls_it_with_or_by_all_ordinary_ones(
    mutant: str | None, driven: tuple[str, ...]
) -> None:
    assert shown_by(mutant, MEMORY, WORKLOADS) == driven


def test_a_workloads_own_mutant_is_shown_by_it_alone() -> None:
    rings = replace(WORKLOADS[0], name="rings", mutants={"muffled": "the bell is not heard"})
    assert shown_by("muffled", MEMORY, [*WORKLOADS, rings]) == ("rings",)


def test_where_no_mutant_is_asked_for_each_that_can_be_shown_has_a_plan_and_so_has_the_reference() -> None:
    made = [plan.mutant for plan in plans(["memory"], [], 1, 7)]
    assert made[0] is None
    assert set(made) - {None} == set(MEMORY.mutants)


def test_an_unknown_mutant_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown mutant 'stale-ca', did you mean 'stale-cas'"):
        plans(["memory"], ["stale-ca"], 1, 7)


def test_what_is_printed_as_json_is_what_results_json_holds() -> None:
    found = Detection(backend="memory", mutant="stale-cas", trials=3, detected=3, checks=("linearizable",), first_s=0.2)
    results = SelfTest(holdwater=1, detections=(found,))
    assert convert(json.loads(runs.told(results, in_json=True))) == results
