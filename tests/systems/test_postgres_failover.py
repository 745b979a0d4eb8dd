"""PostgreSQL's failover under an operator: asynchronous loses, synchronous keeps, cancelled waits lose what carried the notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_sabotage import Silent

from harness.claims import running
from harness.commands import request
from harness.record import store
from harness.record.format import load
from harness.record.history import History

OPTIONS = ("fault_s=5", "grants=2")


def carried_out(directory: Path, fault: str, variant: str, *more: str) -> tuple[dict[str, Any], History]:
    """Run one episode; give its results and its history."""
    asked = request.Request("lock,dedup", "postgres-operator", 7, fault, rate=30, options=(f"variant={variant}", *OPTIONS, *more))
    results = store.plain(running.run_plan(request.plan(asked), directory, Silent(), "a test").results)
    assert results["broken"] is None
    gates = results["trials"][0]["gates"]
    assert {gate["name"] for gate in gates if not gate["met"] and ":" not in gate["name"]} == set()
    # The others count what was exercised. A slow machine does less, but never nothing.
    exercised = [gate["measured"] for gate in gates if gate["name"].startswith(("attempted_during:", "acknowledged_after:"))]
    assert len(exercised) == 4
    assert min(exercised) > 0
    return results, load(directory / store.HISTORY)


def found(results: dict[str, Any]) -> set[str]:
    return {anomaly["kind"] for trial in results["trials"] for check in trial["checks"].values() for anomaly in check["anomalies"]}


@pytest.mark.parametrize("fault", ["hold-back-replication", "isolate-primary"])
def test_asynchronous_replication_loses_what_was_acknowledged(tmp_path: Path, fault: str) -> None:
    results, _ = carried_out(tmp_path, fault, "async")
    assert "dedup-lost" in found(results)
    # Whether somebody else asks for a lost lock before its holder looks at it is chance.
    assert {"two-holders", "lost-early"} & found(results)


@pytest.mark.parametrize("fault", ["hold-back-replication", "isolate-primary"])
def test_synchronous_replication_keeps_what_was_acknowledged(tmp_path: Path, fault: str) -> None:
    results, _ = carried_out(tmp_path, fault, "sync")
    assert (results["status"], found(results)) == ("valid", set())


def test_a_client_that_believes_the_tag_of_a_cancelled_wait_loses_what_it_took_for_acknowledged(tmp_path: Path) -> None:
    results, _ = carried_out(tmp_path, "cancel-wait", "sync-believes-tag")
    assert "dedup-lost" in found(results)


def test_cancelled_waits_lose_exactly_what_carried_the_notice(tmp_path: Path) -> None:
    # Who does not know whether a lock is his does not ask of it again: what a cancelled wait has committed is seen by all, and gone later.
    results, history = carried_out(tmp_path, "cancel-wait", "sync", "strays=0")
    assert not {"dedup-lost", "dedup-two-winners", "two-holders", "lost-early"} & found(results)
    tried = [each for each in history.operations() if each.f == "check_and_set"]
    kept = {each.key: each.result["value"] for each in history.operations() if each.f == "get" and each.status == "ok"}
    active = next(event.index for event in history.nemesis() if event.f == "cancel-wait" and event.value["phase"] == "active")
    noticed = {each.index: (each.key, each.argument["value"]) for each in tried if (each.error or "").startswith("01000")}
    won = {(each.key, each.argument["value"]) for each in tried if each.status == "ok" and each.result["set"]}
    # What was on its way to a standby when the link was cut arrived, though its answer did not.
    cut_off = {written for index, written in noticed.items() if index > active}
    assert len(cut_off) >= 3
    assert lost(cut_off, kept) == cut_off
    assert lost(won, kept) == set()


def lost(written: set[tuple[Any, str]], kept: dict[Any, Any]) -> set[tuple[Any, str]]:
    return {(key, value) for key, value in written if key in kept and kept[key] != value}
