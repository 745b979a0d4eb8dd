"""The main job: run the experiments that the claims need, each in a directory of its own, and judge the claims as they become ready.

Experiments are shared by claims and run side by side (`harness.claims.rounds`). What noise they make for each other shows in the gates:
a claim that is in doubt by it has its experiments repeated at the end, one at a time, below `alone/`. What the first round showed
stands; `harness.claims.bench` says which round decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as changed

from harness import registry
from harness.claims.asked import CLAIMS, Settings, VerifyRecord, experiments_of, judged_by, plan_of, record_of
from harness.claims.bench import ALONE, BY_EXPERIMENT, Bench, JudgedRun, conclude, judge_run, results_of
from harness.claims.claim import Claim, Claims, Experiment
from harness.claims.judging import by_noise
from harness.claims.plans import check
from harness.claims.results import Judgement, Verify
from harness.claims.rounds import Listener, Round
from harness.deploy import launch
from harness.driving import schedule
from harness.driving.backend import Backend, grounds_of, mutants_of, planted_of
from harness.driving.plan import Plan
from harness.driving.run import Progress, planted_bugs
from harness.driving.workload import Workload
from harness.errors import UsageError
from harness.record import store


def run_plan(plan: Plan, directory: Path, progress: Progress, command: str) -> JudgedRun:
    """Run a plan into a directory, judge its trials, and write results.json (docs/results.md)."""
    launch.carry_out(plan, directory, progress, command)
    progress.step("judging")
    judged = judge_run(directory)
    store.write(directory / store.RESULTS, judged.results)
    return judged


def carry_out(claims: Claims, chosen: Sequence[Claim], settings: Settings, listener: Listener) -> Verify:
    """Carry out the main job and write results.json (docs/results.md); give its content.

    Raises UsageError before anything is started. History and evidence are kept whatever happens.
    """
    experiments = experiments_of(chosen, claims.experiments)
    for experiment in experiments:
        check_experiment(experiment, settings)
    started = time.monotonic()
    done = _Done(Bench(claims, chosen, settings.out), settings, listener)
    done.first(experiments)
    if settings.jobs > 1:
        done.repeat_in_doubt()
    done.recorded(seconds=round(time.monotonic() - started, 1), finished=store.now())
    results = results_of(done.bench, done.record, [done.judgements[claim.id] for claim in chosen], done.round.runs | done.alone.runs)
    store.write(settings.out / store.RESULTS, results)
    return results


def check_experiment(experiment: Experiment, settings: Settings) -> None:
    """Raise UsageError where an experiment cannot be run as it is written: every fault and control, also those not reached.

    Raises Infrastructure where a variable names a server that is none.
    """
    backend = registry.load("backends", experiment.deployment)
    for faults in experiment.faults:
        schedule.read(faults)
    for control in experiment.controls:
        if control.mutant is not None:
            driven = [registry.load("workloads", name) for name in judged_by(control.check, experiment.workloads)]
            _check_mutant(control.mutant, backend, driven)
    if settings.on in grounds_of(backend, experiment.variant):
        check(plan_of(experiment, settings))


def _check_mutant(mutant: str, backend: Backend, driven: Sequence[Workload]) -> None:
    """Raise UsageError where the workloads that a control's check judges cannot show its mutant."""
    if mutant not in (mutants := planted_bugs(backend, driven)):
        raise UsageError(f"unknown mutant {mutant!r} of a control, {registry.nearest(mutant, mutants)}")
    wrong = planted_of(backend, mutant).functions if mutant in mutants_of(backend) else None
    if wrong is not None and not any(each.driven_at_most & wrong for each in driven):
        names = ", ".join(each.name for each in driven) or "none"
        raise UsageError(
            f"mutant {mutant} of a control shows in {', '.join(sorted(wrong))}, which no workload of its check drives ({names})"
        )


def spread(experiments: Sequence[Experiment], planned_s: Callable[[Experiment], float], at_once: int) -> Sequence[Experiment]:
    """Order experiments that run side by side: the longest first, and beside each other those of different deployments.

    So none is left alone at the end, and those that need a processor most do not meet. One at once keeps the file's order.
    """
    if at_once == 1:
        return experiments
    left, ordered = sorted(experiments, key=planned_s, reverse=True), list[Experiment]()
    while left:
        beside = {each.deployment for each in ordered[1 - at_once :]}
        chosen = next((each for each in left if each.deployment not in beside), left[0])
        left.remove(chosen)
        ordered.append(chosen)
    return ordered


class _Done:
    """What has been run and judged so far; what was asked for, and what cannot be run here, is on disk from the start."""

    def __init__(self, bench: Bench, settings: Settings, listener: Listener) -> None:
        self.bench, self.settings, self.listener = bench, settings, listener
        self.record: VerifyRecord = record_of(bench.claims, bench.chosen, settings)
        self.round = Round(bench, settings, listener)
        out = settings.out / ALONE
        self.alone = Round(replace(bench, directory=out), replace(settings, out=out), listener, self.round)
        self.judgements: dict[str, Judgement] = {}
        store.save(settings.out / CLAIMS, bench.claims.text.encode())
        self.recorded()

    def recorded(self, **more: Any) -> None:
        """Write run.json, with what is known by now."""
        self.record = changed(self.record, **more)
        store.write(self.settings.out / store.RUN, self.record)

    def first(self, experiments: Sequence[Experiment]) -> None:
        """Run the experiments, and judge each claim as soon as it can be."""
        waiting = list(self.bench.chosen)

        def then() -> None:
            if self.round.absent != self.record.absent:
                self.recorded(absent=dict(self.round.absent))
            for claim in [claim for claim in waiting if self.round.ready(claim)]:
                waiting.remove(claim)
                self._conclude(claim)

        at_once = min(self.settings.jobs, len(experiments)) or 1
        self.round.run(spread(experiments, self._planned_s, at_once), at_once, then)
        for claim in waiting:
            self._conclude(claim)

    def _planned_s(self, experiment: Experiment) -> float:
        return sum(episode.seconds for episode in plan_of(experiment, self.settings).episodes)

    def repeat_in_doubt(self) -> None:
        """Repeat the experiments of claims that may be in doubt by noise, one at a time, and judge what they show."""
        doubted = [each for each in self.judgements.values() if not each.expected and by_noise(each)]
        why = {name: each.missing[0] for each in reversed(doubted) for name in self._doubted(each.id)}
        if not why:
            return
        self.recorded(repeated=why)
        self.alone.run([each for name, each in self.bench.claims.experiments.items() if name in why], 1, lambda: None)
        for claim in self.bench.chosen:
            if set(claim.experiments) & set(why):
                self._conclude(claim)

    def _doubted(self, claim_id: str) -> Sequence[str]:
        """Name the experiments of a claim, and those that were to be controls of them and were not condemned."""
        (claim,) = (each for each in self.bench.chosen if each.id == claim_id)
        done = self.round.evidence()
        mine = [name for name in claim.experiments if name in done]
        controls = [
            control.planted.removeprefix(BY_EXPERIMENT) for name in mine for control in done[name].controls if not control.condemned
        ]
        return [*mine, *(name for name in controls if name in done)]

    def _conclude(self, claim: Claim) -> None:
        """Judge a claim by what there is, and tell it where that is new."""
        judgement = conclude(claim, self.bench, self.record, self.round.evidence(), self.alone.evidence())
        if self.judgements.get(claim.id) != judgement:
            self.judgements[claim.id] = judgement
            self.listener.judged(judgement)
