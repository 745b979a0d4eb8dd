"""What a run is called: by its checks where its trials were valid, unknown where they were not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as replace_fields
from trials import Script, quiet_trial

from harness.claims.outcome import outcome
from harness.deploy.launch import RunRecord
from harness.driving.plan import Episode, Plan
from harness.driving.run import Ran
from harness.judging.trials import judge_trials
from harness.record import store
from harness.record.history import UNCLASSIFIED, History

PLAN = Plan("fake", "default", ("lock",), (Episode(),), seed=1)


def called(history: History, directory: Path) -> dict[str, Any]:
    record = RunRecord(plan=PLAN, environment={}, command="a test", ran=Ran())
    return dict(store.plain(outcome(record, history, judge_trials(history), directory)))


def two_holders(script: Script) -> Script:
    """Let two processes be granted one lock at once."""
    for process, at in ((0, 500), (1, 520)):
        asked, granted = {"owner": f"{process}-0", "ttl_ms": 60_000}, {"granted": True, "fencing_token": process + 1}
        script.operation(at, at + 1, "try_acquire", asked, granted, key="t1-churn-0", process=process)
    return script


def test_a_counterexample_in_a_valid_trial_is_invalid_and_exit_1(tmp_path: Path) -> None:
    results = called(two_holders(quiet_trial("cas")).history(), tmp_path)
    assert (results["status"], results["exit"]) == ("invalid", 1)


def test_a_counterexample_beside_a_failover_that_nobody_planned_is_unknown_and_still_told(tmp_path: Path) -> None:
    script = two_holders(quiet_trial("cas"))
    script.role(400, "n2", "primary", epoch=2, run_id="b")
    results = called(script.history(), tmp_path)
    assert (results["status"], results["exit"]) == ("unknown", 2)
    checks = results["trials"][0]["checks"]
    assert [anomaly["kind"] for anomaly in checks["lease"]["anomalies"]] == ["two-holders"]
    assert "unplanned role changes" in checks["gates"]["summary"]


def odd_error(script: Script) -> Script:
    script.operation(50, 60, "is_held", {"owner": "x"}, None, key="t1-churn-0", type_="info", error=f"{UNCLASSIFIED}OddError: ?")
    return script


def test_an_unclassified_error_takes_no_counterexample_away(tmp_path: Path) -> None:
    results = called(odd_error(two_holders(quiet_trial("cas"))).history(), tmp_path)
    assert (results["status"], results["exit"]) == ("invalid", 1)
    assert "unclassified errors: 1" in results["trials"][0]["checks"]["gates"]["summary"]


def test_an_unclassified_error_stands_in_the_way_of_valid(tmp_path: Path) -> None:
    results = called(odd_error(held(quiet_trial("cas"))).history(), tmp_path)
    assert (results["status"], results["exit"]) == ("unknown", 2)


def held(script: Script) -> Script:
    """Let one process be granted a lock."""
    script.operation(500, 501, "try_acquire", {"owner": "0-0", "ttl_ms": 60_000}, {"granted": True, "fencing_token": 1}, key="t1-churn-0")
    return script


def with_mutant(history: History) -> History:
    assert history.header is not None
    return replace(history, header=replace_fields(history.header, options={"mutant": "planted-bug"}))


def no_refusals(script: Script) -> Script:
    """Leave out what `pairs` has added to the locks: refusals that nobody's lease explains."""
    script.lines = [(at, line) for at, line in script.lines if line.get("key") != "t1-lock-0"]
    return script


def test_a_trial_in_which_nothing_was_seen_is_valid(tmp_path: Path) -> None:
    assert called(held(no_refusals(quiet_trial("cas"))).history(), tmp_path)["exit"] == 0


def test_a_planted_bug_that_was_not_seen_is_unknown_and_named(tmp_path: Path) -> None:
    results = called(with_mutant(held(no_refusals(quiet_trial("cas"))).history()), tmp_path)
    assert (results["status"], results["exit"]) == ("unknown", 2)
    assert "the planted bug planted-bug was not seen" in results["trials"][0]["checks"]["mutant"]["summary"]


def test_a_planted_bug_that_was_seen_is_invalid(tmp_path: Path) -> None:
    results = called(with_mutant(two_holders(quiet_trial("cas")).history()), tmp_path)
    assert (results["status"], "mutant" in results["trials"][0]["checks"]) == ("invalid", False)


def test_a_run_without_a_trial_is_unknown(tmp_path: Path) -> None:
    assert called(History(()), tmp_path)["status"] == "unknown"
