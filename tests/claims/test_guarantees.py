"""The shipped guarantees.toml: the document's words are in it, and every name in it exists."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.claims.claim import Claim, Experiment, Word, needed_checks
from harness.claims.file import shipped
from harness.claims.judging import judge
from harness.claims.table import table
from harness.driving import schedule
from harness.driving.backend import mutants_of
from harness.driving.nemesis import refusal
from harness.driving.plan import Episode, Plan
from harness.judging.check import check_of

CLAIMS = shipped()
POINTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
EXPERIMENTS = list(CLAIMS.experiments.values())
RUNNABLE = [claim for claim in CLAIMS.claims if claim.experiments]
DOCUMENT = [
    ("Memory", "Perfect", "N/A (single process)", "Development only"),
    ("Redis (single)", "Strong", "N/A", "Good for most cases"),
    ("Redis (Sentinel)", "Strong", "Lock may be lost", "Accept rare duplicates"),
    ("PostgreSQL", "ACID", "Locks survive failover", "Strong consistency"),
    ("DynamoDB", "Strong", "Conditional writes", "Strong consistency"),
]
BACKENDS = [row[0] for row in DOCUMENT]
OPERATIONS = [
    ("check_and_set", "Atomic set-if-not-exists", "Deduplication"),
    ("get / set", "Key-value read/write", "Event state, groups"),
    ("increment", "Atomic counter", "Throttling"),
    ("compare_and_swap", "Optimistic concurrency", "State transitions"),
    ("scan_keys", "Key iteration", "Event queries"),
    ("index_timeout", "Schedule timeout", "State machine timeouts"),
    ("index_chain_ready", "Schedule chain step", "Chain advancement"),
]


def plugin(kind: str, name: str) -> Any:
    module, _, attribute = POINTS[f"holdwater.{kind}"][name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def test_the_table_is_the_documents_word_for_word() -> None:
    assert [(row.name, *row.quotes.values()) for row in CLAIMS.rows if row.name in BACKENDS] == DOCUMENT


def test_the_table_of_operations_is_the_documents_word_for_word() -> None:
    rows = [row for row in CLAIMS.rows if row.table == "Key Operations"]
    assert [(row.name, row.quotes["Purpose"], row.quotes["Used By"]) for row in rows] == OPERATIONS
    assert CLAIMS.table("Key Operations").columns == tuple(BACKENDS)


@pytest.mark.parametrize("operation", [row[0] for row in OPERATIONS])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_operation_has_a_claim_on_every_backend(operation: str, backend: str) -> None:
    assert any(claim.cell == (operation, backend) for claim in CLAIMS.claims)


def test_rows_without_claims_are_in_the_table_and_not_judged() -> None:
    rows = {row.name: {cell.verdict for cell in row.cells} for row in table(CLAIMS, [])}
    assert [row for row in rows if row in BACKENDS] == BACKENDS
    assert all(verdicts == {"not judged"} for verdicts in rows.values())


@pytest.mark.parametrize(
    ("row", "column", "stances"),
    [
        ("Memory", "Mutual exclusion", ["promises"]),
        ("Memory", "Failover safety", ["warns"]),
        ("Redis (single)", "Mutual exclusion", ["promises", "promises"]),
        ("Redis (single)", "Failover safety", ["silent"] * 5),
        ("Redis (single)", "Recommendation", ["silent"] * 8),
        ("Redis (Sentinel)", "Mutual exclusion", ["promises"]),
        ("Redis (Sentinel)", "Failover safety", ["warns", "warns", "silent", "silent", "silent", "warns", "silent"]),
        ("Redis (Sentinel)", "Recommendation", ["promises", *["silent"] * 4]),
        ("PostgreSQL", "Mutual exclusion", ["promises", "promises"]),
        ("PostgreSQL", "Failover safety", ["silent", "silent", *["promises"] * 4, "silent", *["promises"] * 5, "silent"]),
        ("PostgreSQL", "Recommendation", ["silent"] * 7),
        ("DynamoDB", "Mutual exclusion", ["promises"] * 4),
        ("DynamoDB", "Failover safety", ["silent", "silent", "promises"]),
        ("DynamoDB", "Recommendation", ["promises", *["silent"] * 4]),
    ],
)
def test_every_judged_cell_has_its_claims(row: str, column: str, stances: list[str]) -> None:
    assert [claim.document for claim in CLAIMS.claims if claim.cell == (row, column)] == stances


def test_each_persistence_setting_of_redis_is_a_claim_of_its_own() -> None:
    expected = {claim.id: claim.expect for claim in CLAIMS.claims if claim.id.startswith("redis-restart-")}
    assert expected == {
        "redis-restart-always": (Word.HOLDS,),
        "redis-restart-everysec": (Word.HOLDS, Word.FINDING),
        "redis-restart-default": (Word.FINDING,),
        "redis-restart-no-save": (Word.FINDING,),
    }


def test_what_cannot_be_tested_here_is_listed_with_its_remedy() -> None:
    claim = next(claim for claim in CLAIMS.claims if claim.id == "redis-power-loss")
    found = judge(claim, {})
    assert (found.verdict, found.expected) == (Word.UNAVAILABLE, True)
    assert found.remedy


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_name_in_an_experiment_exists(experiment: Experiment) -> None:
    backend = plugin("backends", experiment.deployment)
    assert experiment.variant in backend.variants
    assert {control.mutant for control in experiment.controls} - {None} <= set(mutants_of(backend))
    for name in experiment.workloads:
        assert plugin("workloads", name).functions <= backend.functions | plugin("workloads", name).answers
    for fault in (spec for turn in experiment.faults for spec in schedule.read(turn)):
        assert plugin("faults", fault.name).name == fault.name
        assert refusal(plugin("faults", fault.name), backend, experiment.variant) is None


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_experiment_makes_a_plan(experiment: Experiment) -> None:
    of_workloads = {name: values for name, values in experiment.options.items() if isinstance(values, Mapping)}
    plain = {name: value for name, value in experiment.options.items() if not isinstance(value, Mapping)}
    for name, values in of_workloads.items():
        assert set(values) <= {*plugin("workloads", name).options, "weight"}
        assert name in experiment.workloads
    faults = schedule.read(experiment.faults[0]) if experiment.faults else ()
    episode = Episode(faults, **{**schedule.timeline(faults), **experiment.timeline})  # type: ignore[arg-type]
    Plan(experiment.deployment, experiment.variant, experiment.workloads, (episode,), seed=1, options=of_workloads, **plain)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_fault_of_an_experiment_has_its_turn(experiment: Experiment) -> None:
    assert min(experiment.trials.values()) >= len(experiment.faults)


@pytest.mark.parametrize("claim", [claim for claim in RUNNABLE if Word.HOLDS in claim.expect], ids=lambda claim: claim.id)
def test_every_check_that_must_find_nothing_has_a_positive_control(claim: Claim) -> None:
    counting = {check.name for kind in claim.anomalies if (check := check_of(kind)) is not None}
    for name in claim.experiments:
        experiment = CLAIMS.experiments[name]
        controlled = {control.check for control in experiment.controls}
        assert counting & set(needed_checks(claim, experiment)) <= controlled


def test_a_control_by_a_weaker_setting_is_one_that_is_expected_to_fail() -> None:
    weaker = {control.experiment for experiment in EXPERIMENTS for control in experiment.controls if control.experiment}
    assert {"redis-restart-default", "split-brain", "postgres-async", "postgres-cancelled-believed"} <= weaker
    assert not [claim.id for claim in RUNNABLE if weaker & set(claim.experiments) and Word.HOLDS in claim.expect]


def test_every_experiment_serves_a_claim() -> None:
    assert {name for claim in RUNNABLE for name in claim.experiments} == set(CLAIMS.experiments)


def planned_s(experiment: Experiment) -> float:
    # Measured: a start lasts 0.5 s, Sentinel's 3 s; a trial 0.5 s more than its timeline, a failover 2.5 s; a control two trials of 1.5 s.
    start = {"redis-sentinel": 3.0, "postgres-operator": 3.0}.get(experiment.deployment, 0.8)
    beyond = 2.5 if {"isolate-primary", "hold-back-replication", "cancel-wait"} & set(experiment.faults) else 0.5
    times = {**(schedule.timeline(schedule.read(experiment.faults[0])) if experiment.faults else {}), **experiment.timeline}
    timeline = sum(times[name] for name in ("quiet_s", "fault_s", "after_s"))
    controls = sum(start + 3.5 for control in experiment.controls if control.mutant)
    return start + experiment.trials.get("quick", 0) * (timeline + beyond) + controls


def test_the_quick_profile_is_planned_to_last_less_than_half_an_hour_one_after_the_other() -> None:
    assert sum(planned_s(experiment) for experiment in EXPERIMENTS if "quick" in experiment.trials) < 30 * 60
