"""What a run is called: by its checks where its trials were valid, unknown where they were not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trials import Script, quiet_trial

from harness.experiment import judge_trials, write_results
from harness.history import History
from harness.plan import Episode, Plan
from harness.run import Ran

PLAN = Plan("fake", "default", ("lock",), (Episode(),), seed=1)


def called(history: History, directory: Path) -> dict[str, Any]:
    return write_results(PLAN, Ran(), None, judge_trials(history), history, directory, "a test")


def two_holders(script: Script) -> Script:
    """Let two processes be granted one lock at once."""
    for process, at in ((0, 500), (1, 520)):
        asked, granted = {"owner": f"{process}-0", "ttl_ms": 60_000}, {"granted": True, "fencing_token": process + 1}
        script.operation(at, at + 1, "try_acquire", asked, granted, key="t1-churn-0", process=process)
    return script


def test_a_counterexample_in_a_valid_trial_is_invalid_and_exit_1(tmp_path: Path) -> None:
    results = called(two_holders(quiet_trial()).history(), tmp_path)
    assert (results["status"], results["exit"]) == ("invalid", 1)


def test_a_counterexample_beside_a_failover_that_nobody_planned_is_unknown_and_still_told(tmp_path: Path) -> None:
    script = two_holders(quiet_trial())
    script.role(400, "n2", "primary", epoch=2, run_id="b")
    results = called(script.history(), tmp_path)
    assert (results["status"], results["exit"]) == ("unknown", 2)
    checks = results["trials"][0]["checks"]
    assert [anomaly["kind"] for anomaly in checks["lease"]["anomalies"]] == ["two-holders"]
    assert "unplanned role changes" in checks["gates"]["summary"]


def test_a_run_without_a_trial_is_unknown(tmp_path: Path) -> None:
    assert called(History(()), tmp_path)["status"] == "unknown"
