"""The planted bugs against the checkers: the detection matrix.

Each mutant of a backend runs quiet trials of all workloads that it can have; a trial counts as detected
where any check is invalid. The references run the same trials and must not be condemned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.claims.experiment import carry_out, check, judge_trials, load_if_there, require_servers
from harness.claims.judging import TrialEvidence
from harness.driving.backend import mutants_of, undriven_of
from harness.driving.plan import Episode, Plan
from harness.driving.run import Progress
from harness.errors import Infrastructure, UsageError
from harness.record import store

QUIET_S = 4.0
RATE = 60.0
WORKLOADS = ("lock", "dedup", "cas", "counter")
DRIVEN_BY = {"grant-waits": ("acquire",), "ttl-late": ("resource",)}
"""Mutants that other workloads show."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A mutant (None: the reference) of a backend: in how many trials it was condemned, by which checks, how soon (s)."""

    backend: str
    mutant: str | None
    trials: int
    detected: int
    checks: tuple[str, ...]
    first_s: float | None

    @property
    def good(self) -> bool:
        """Say whether a mutant was condemned in every trial, or the reference in none."""
        return self.detected == (0 if self.mutant is None else self.trials) and self.trials > 0


def plans(backends: Sequence[str], mutants: Sequence[str], trials: int, seed: int) -> list[Plan]:
    """Give a plan for each mutant that is asked for and each reference; raise UsageError on an unknown mutant.

    Where none is asked for: all but those that no workload drives yet.
    """
    chosen = [registry.load("backends", name) for name in backends]
    known = {mutant for backend in chosen for mutant in mutants_of(backend)}
    for mutant in mutants:
        if mutant not in known:
            raise UsageError(f"unknown mutant {mutant!r}, {registry.nearest(mutant, known)}")
    episodes = (Episode(quiet_s=QUIET_S, after_s=0),) * trials
    return [
        Plan(backend.name, next(iter(backend.variants)), DRIVEN_BY.get(mutant or "", WORKLOADS), episodes, seed, mutant=mutant, rate=RATE)
        for backend in chosen
        for mutant in [None, *(name for name in mutants_of(backend) if (name in mutants if mutants else name not in undriven_of(backend)))]
    ]


def carry_out_all(every: Iterable[Plan], out: Path, progress: Progress) -> Iterable[Detection]:
    """Run each plan in a directory of its own below `out`; raises Infrastructure where one was broken."""
    for plan in every:
        check(plan)
        require_servers(plan, progress.step)
        directory = out / f"{plan.backend}-{plan.mutant or 'reference'}"
        directory.mkdir(parents=True)
        progress.step(f"{plan.mutant or 'reference'} on {plan.backend}")
        _, broken = carry_out(plan, directory, progress)
        if broken is not None:
            raise Infrastructure(broken)
        yield detection(plan, judge_trials(load_if_there(directory / store.HISTORY)))


def detection(plan: Plan, trials: Sequence[TrialEvidence]) -> Detection:
    """Say what the checks made of a plan's trials."""
    found = [(trial, [anomaly for verdict in trial.verdicts.values() for anomaly in verdict.all_anomalies()]) for trial in trials]
    hits = [(trial, anomalies) for trial, anomalies in found if anomalies]
    checks = {name for trial, _ in hits for name, verdict in trial.verdicts.items() if verdict.all_anomalies()}
    waits = [(min(anomaly.at for anomaly in anomalies) - _steady(trial)) / 1e9 for trial, anomalies in hits]
    first_s = round(max(0.0, sorted(waits)[len(waits) // 2]), 3) if waits else None
    return Detection(plan.backend, plan.mutant, len(trials), len(hits), tuple(sorted(checks)), first_s)


def _steady(trial: TrialEvidence) -> int:
    steady = trial.history.mark("steady")
    return steady.moment.time if steady is not None else 0
