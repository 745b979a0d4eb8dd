"""What is concluded of one run: its trials' verdicts and gates, its status and its exit code, as results.json holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from harness.claims.counting import ENDED
from harness.claims.results import FORMAT, CheckResult, Run, Status, TrialResult, exit_of
from harness.deploy.launch import RunRecord
from harness.judging import trials, verdict
from harness.judging.trials import TrialEvidence
from harness.record.history import History

NS_PER_S = 1_000_000_000


def broken(record: RunRecord, history: History) -> str | None:
    """Say what cut a run short: the machine or a server, or that not all of it is recorded; None where nothing did."""
    if record.broken is not None:
        return record.broken
    if not history.complete:
        return f"{ENDED}: its history has no end"
    planned = len(record.plan.episodes)
    there = sum(trial.void is None and bool(trial.history.events) for trial in history.trials())
    return None if there >= planned else f"{ENDED}: {there} of {planned} planned trials {'is' if there == 1 else 'are'} recorded"


def outcome(record: RunRecord, history: History, judged: Sequence[TrialEvidence], directory: Path) -> Run:
    """Give the results of a run of which the trials were judged."""
    told = [_trial(trial) for trial in judged]
    status = max((verdict.Status[str(trial.status).upper()] for trial in told), default=verdict.Status.UNKNOWN)
    cut = broken(record, history)
    if cut is not None:
        status = max(status, verdict.Status.UNKNOWN)
    ran = record.ran
    return Run(
        holdwater=FORMAT,
        status=_word(status),
        exit=exit_of(trials.exit_code(status, cut, history)),
        command=record.command or "",
        directory=str(directory),
        plan=record.plan,
        versions=dict(ran.versions) if ran else {},
        seconds=ran.seconds if ran and ran.seconds else _seconds(history),
        finished=record.finished,
        late_us=dict(ran.late_us) if ran else {},
        voids=voids(record, history),
        broken=cut,
        operations=dict(Counter(operation.status for operation in history.operations())),
        trials=tuple(told),
    )


def voids(record: RunRecord, history: History) -> tuple[str, ...]:
    """Say why trials were void and repeated."""
    return tuple(record.ran.voids if record.ran else [trial.void for trial in history.trials() if trial.void is not None])


def _seconds(history: History) -> float:
    return round(history.events[-1].time / NS_PER_S, 1) if history.events else 0.0


def _trial(trial: TrialEvidence) -> TrialResult:
    checks = trials.with_doubt(trial)
    return TrialResult(
        n=trial.n,
        status=_word(trials.status_of(trial, checks)),
        faults=tuple(fault.name for fault in trial.history.faults if fault.begin is not None),
        checks={name: _check(found) for name, found in checks.items()},
        gates=(*trial.validity, *trial.exposure),
    )


def _check(found: verdict.Verdict) -> CheckResult:
    return CheckResult(
        status=_word(found.status), summary=found.summary, numbers=dict(found.numbers), anomalies=tuple(found.all_anomalies())
    )


def _word(status: verdict.Status) -> Status:
    return next(each for each in get_args(Status) if each == str(status))
