"""The main job: run the experiments that the claims need, each in a directory of its own, and judge the claims as they become ready.

Experiments are shared by claims and run one after the other, each on a deployment of its own in a run
directory of its own. Its positive controls run on the same deployment with a planted bug: a check that
does not condemn them proves nothing by finding nothing. Judging is `harness.claims.bench`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace as changed

from harness import registry
from harness.claims.asked import (
    CLAIMS,
    CONTROL_TRIES,
    Lack,
    Settings,
    VerifyRecord,
    experiments_of,
    judged_by,
    plan_of,
    planted,
    record_of,
)
from harness.claims.bench import (
    EXPERIMENTS,
    Bench,
    JudgedRun,
    by_experiment,
    by_mutant,
    control_directory,
    judge_claim,
    judge_run,
    no_control,
    results_of,
)
from harness.claims.claim import Claim, Claims, Control, Experiment
from harness.claims.counting import ExperimentEvidence
from harness.claims.plans import check
from harness.claims.results import ControlResult, Judgement, Run, Verify
from harness.deploy import install, launch
from harness.deploy.bringing import Bringing
from harness.deploy.launch import lacking, needed
from harness.driving import schedule
from harness.driving.backend import grounds_of
from harness.driving.plan import Plan
from harness.driving.run import Progress, planted_bugs
from harness.errors import UsageError
from harness.record import store


class Listener(Progress, Protocol):
    """Who is told how far the main job is."""

    def experiment(self, name: str, number: int, of: int, trials: int) -> None: ...

    def judged(self, judgement: Judgement) -> None: ...


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
    waiting = list(chosen)
    servers = {experiment.name: needed(plan_of(experiment, settings)) for experiment in experiments}
    with Bringing(install.absent(dict.fromkeys(name for names in servers.values() for name in names))) as bringing:
        for number, experiment in enumerate(_in_order(experiments, servers, bringing), 1):
            trials = settings.trials or experiment.trials[settings.profile]
            listener.experiment(experiment.name, number, len(experiments), trials)
            bringing.wait(servers[experiment.name], listener.step)
            done.run_where_possible(experiment, bringing.failures)
            for claim in [claim for claim in waiting if set(claim.experiments) <= set(done.evidence) | set(done.record.absent)]:
                waiting.remove(claim)
                done.conclude(claim)
    for claim in waiting:
        done.conclude(claim)
    done.recorded(seconds=round(time.monotonic() - started, 1), finished=store.now())
    results = results_of(done.bench, done.record, [done.judgements[claim.id] for claim in chosen], done.runs)
    store.write(settings.out / store.RESULTS, results)
    return results


def _in_order(experiments: Sequence[Experiment], servers: Mapping[str, Sequence[str]], bringing: Bringing) -> Iterator[Experiment]:
    """Give each experiment once: the first one whose servers are there and whose controls have run, else the first one."""
    left = list(experiments)
    while left:
        ahead = {experiment.name for experiment in left}
        ready = (
            experiment
            for experiment in left
            if not bringing.pending(servers[experiment.name]) and ahead.isdisjoint(control.experiment for control in experiment.controls)
        )
        chosen = next(ready, left[0])
        left.remove(chosen)
        yield chosen


def check_experiment(experiment: Experiment, settings: Settings) -> None:
    """Raise UsageError where an experiment cannot be run as it is written: every fault and control, also those not reached.

    Raises Infrastructure where a variable names a server that is none.
    """
    backend = registry.load("backends", experiment.deployment)
    for faults in experiment.faults:
        schedule.read(faults)
    for control in experiment.controls:
        driven = [registry.load("workloads", name) for name in judged_by(control.check, experiment.workloads)]
        if control.mutant is not None and control.mutant not in (mutants := planted_bugs(backend, driven)):
            raise UsageError(f"unknown mutant {control.mutant!r} of a control, {registry.nearest(control.mutant, mutants)}")
    if settings.on in grounds_of(backend, experiment.variant):
        check(plan_of(experiment, settings))


class _Done:
    """What has been run and judged so far; what was asked for, and what cannot be run here, is on disk from the start."""

    def __init__(self, bench: Bench, settings: Settings, listener: Listener) -> None:
        self.bench, self.settings, self.listener = bench, settings, listener
        self.record: VerifyRecord = record_of(bench.claims, bench.chosen, settings)
        self.evidence: dict[str, ExperimentEvidence] = {}
        self.runs: dict[str, Run] = {}
        self.judgements: dict[str, Judgement] = {}
        self._controls: dict[tuple[str, str, str], ControlResult] = {}
        store.save(settings.out / CLAIMS, bench.claims.text.encode())
        self.recorded()

    def recorded(self, **more: Any) -> None:
        """Write run.json, with what is known by now."""
        self.record = changed(self.record, **more)
        store.write(self.settings.out / store.RUN, self.record)

    def run_where_possible(self, experiment: Experiment, failures: Mapping[str, str]) -> None:
        """Run an experiment, or keep why it cannot run here: what the machine lacks, or why that could not be had."""
        plan = plan_of(experiment, self.settings)
        absent = lacking(plan)
        if absent is None:
            self._run(experiment, plan)
            return
        failed = [name for name in needed(plan) if name in failures]
        wanted, _, remedy = (failures[failed[0]] if failed else absent).partition("; ")
        # A server that any machine can have is expected to come.
        lack = Lack(needed=wanted, remedy=remedy or None, failed=not all(map(install.optional, failed)))
        self.recorded(absent={**self.record.absent, experiment.name: lack})

    def _run(self, experiment: Experiment, plan: Plan) -> None:
        """Run an experiment and its controls, and judge its trials."""
        directory = self.settings.out / EXPERIMENTS / experiment.name
        directory.mkdir(parents=True)
        launch.carry_out(plan, directory, self.listener, self.settings.command)
        self.listener.step("judging")
        evidence, judged = self.bench.experiment(experiment.name)
        store.write(directory / store.RESULTS, judged.results)
        self.runs[experiment.name] = judged.results
        controls = tuple(self._control(control, plan) for control in experiment.controls)
        self.evidence[experiment.name] = replace(evidence, controls=controls)

    def conclude(self, claim: Claim) -> None:
        """Judge a claim by what there is, and tell it."""
        self.judgements[claim.id] = judge_claim(claim, self.bench, self.record, self.evidence)
        self.listener.judged(self.judgements[claim.id])

    def _control(self, control: Control, plan: Plan) -> ControlResult:
        if control.experiment is not None:
            return by_experiment(control.check, control.experiment, self.evidence)
        assert control.mutant is not None
        memo = (plan.backend, control.check, control.mutant)
        if memo not in self._controls:
            self._controls[memo] = self._by_mutant(control, control.mutant, plan)
        return self._controls[memo]

    def _by_mutant(self, control: Control, mutant: str, plan: Plan) -> ControlResult:
        """Run the planted bug without faults until the check condemns it, at most CONTROL_TRIES times."""
        found = no_control(control.check, mutant, plan)
        for attempt in range(CONTROL_TRIES if judged_by(control.check, plan.workloads) else 0):
            quiet = planted(control.check, mutant, plan, self.settings.seed + attempt)
            directory = control_directory(self.settings.out, plan, control, quiet.seed)
            directory.mkdir(parents=True)
            self.listener.step(f"control: {mutant} on {plan.backend}")
            launch.carry_out(quiet, directory, self.listener, self.settings.command)
            self.listener.step(f"judging control {mutant}")
            found = by_mutant(control.check, mutant, directory)
            if found.condemned:
                break
        return found
