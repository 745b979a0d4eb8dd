"""The planted bugs against the checkers: the detection matrix.

Each mutant of a backend runs quiet trials of all workloads that it can have; a trial counts as detected
where any check is invalid. The references run the same trials and must not be condemned.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import median_high

from harness import registry
from harness.claims import file as claims
from harness.claims.asked import repeat
from harness.claims.plans import check
from harness.claims.results import Detection
from harness.claims.rounds import Listener
from harness.deploy.jobs import Job, SideBySide
from harness.deploy.launch import carry_out, require_servers
from harness.driving.backend import Backend, mutants_of, undriven_of
from harness.driving.plan import Episode, Plan
from harness.driving.run import Progress, planted_bugs
from harness.driving.workload import Workload
from harness.errors import Infrastructure, UsageError
from harness.judging.check import workloads_of
from harness.judging.trials import TrialEvidence, judge_trials, load_if_there
from harness.record import store

QUIET_S = 4.0
RATE = 60.0


def plans(backends: Sequence[str], mutants: Sequence[str], trials: int, seed: int) -> list[Plan]:
    """Give a plan for each mutant that is asked for and each reference; raise UsageError on an unknown mutant.

    Where none is asked for: all but those that no workload drives yet.
    """
    chosen: list[Backend] = [registry.load("backends", name) for name in backends]
    workloads: list[Workload] = [registry.load("workloads", name) for name in registry.names("workloads")]
    known = {mutant for backend in chosen for mutant in planted_bugs(backend, workloads)}
    for mutant in mutants:
        if mutant not in known:
            raise UsageError(f"unknown mutant {mutant!r}, {registry.nearest(mutant, known)}")
    episodes = (Episode(quiet_s=QUIET_S, after_s=0),) * trials
    made = [
        Plan(backend.name, next(iter(backend.variants)), driven, episodes, seed, mutant=mutant, rate=RATE)
        for backend in chosen
        for mutant in [None, *_asked(backend, workloads, mutants)]
        if (driven := shown_by(mutant, backend, workloads))
    ]
    for mutant in mutants:
        if mutant not in {plan.mutant for plan in made}:
            raise UsageError(f"no workload shows mutant {mutant!r} on {' or '.join(backends)}; {_elsewhere(mutant, workloads)}")
    return made


def _elsewhere(mutant: str, workloads: Sequence[Workload]) -> str:
    """Say which backends can show a mutant."""
    every: list[Backend] = [registry.load("backends", name) for name in registry.names("backends")]
    able = [each.name for each in every if mutant in planted_bugs(each, workloads) and shown_by(mutant, each, workloads)]
    return f"use --backend {' or '.join(able)}" if able else "no backend here can"


def _asked(backend: Backend, workloads: Sequence[Workload], mutants: Sequence[str]) -> list[str]:
    there = planted_bugs(backend, workloads)
    return [name for name in there if (name in mutants if mutants else name not in undriven_of(backend))]


def shown_by(mutant: str | None, backend: Backend, workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Give the workloads that show a mutant: the one whose own it is; those beyond the ordinary that the documented table controls with it.

    Else all ordinary ones: those that need nobody beside their clients.
    """
    able = [workload for workload in workloads if workload.functions - workload.answers <= backend.functions]
    if mutant is not None and mutant not in mutants_of(backend):
        return tuple(workload.name for workload in able if mutant in workload.mutants)
    ordinary = [workload.name for workload in able if workload.attend is None]
    controlled = _controlled(mutant) & {workload.name for workload in able}
    return tuple(sorted(controlled - set(ordinary))) or tuple(ordinary)


def _controlled(mutant: str | None) -> set[str]:
    """Give the workloads by which the documented table shows that a check condemns a mutant."""
    experiments = claims.shipped().experiments.values()
    uses = [(each, control.check) for each in experiments for control in each.controls if control.mutant == mutant]
    return {name for experiment, check in uses for name in experiment.workloads if name in workloads_of(check)} if mutant else set()


def carry_out_all(every: Sequence[Plan], out: Path, at_once: int, listener: Listener) -> list[Detection]:
    """Run the plans, each in a directory of its own below `out` and so many at once; raises Infrastructure where one was broken."""
    for plan in every:
        check(plan)
        require_servers(plan, listener.step)
    listener.step("")
    names = {_name(plan): number for number, plan in enumerate(every, 1)}

    def begin(job: Job[Detection]) -> AbstractContextManager[Progress]:
        return listener.experiment(job.name, names[job.name], len(every), len(every[names[job.name] - 1].episodes))

    with SideBySide(min(at_once, len(every)) or 1, begin) as lanes:
        jobs = [Job(_name(plan), partial(measure, plan, out / _name(plan))) for plan in every]
        found = {job.name: detected for job, detected in lanes.carry_out(jobs)}
    return [found[name] for name in names]


def _name(plan: Plan) -> str:
    return f"{plan.backend}-{plan.mutant or 'reference'}"


def measure(plan: Plan, directory: Path, progress: Progress) -> Detection:
    """Run a plan into a directory and say what the checks made of it; raises Infrastructure where it was broken."""
    directory.mkdir(parents=True)
    record = carry_out(plan, directory, progress, repeat(plan))
    progress.step("judging")
    if record.broken is not None:
        raise Infrastructure(record.broken)
    return detection(plan, judge_trials(load_if_there(directory / store.HISTORY)))


def detection(plan: Plan, trials: Sequence[TrialEvidence]) -> Detection:
    """Say what the checks made of a plan's trials."""
    found = [(trial, [anomaly for verdict in trial.verdicts.values() for anomaly in verdict.all_anomalies()]) for trial in trials]
    hits = [(trial, anomalies) for trial, anomalies in found if anomalies]
    checks = {name for trial, _ in hits for name, verdict in trial.verdicts.items() if verdict.all_anomalies()}
    waits = [(min(anomaly.at for anomaly in anomalies) - _steady(trial)) / 1e9 for trial, anomalies in hits]
    first_s = round(max(0.0, median_high(waits)), 3) if waits else None
    return Detection(
        backend=plan.backend,
        mutant=plan.mutant,
        trials=len(trials),
        detected=len(hits),
        checks=tuple(sorted(checks)),
        first_s=first_s,
    )


def _steady(trial: TrialEvidence) -> int:
    steady = trial.history.mark("steady")
    return steady.moment.time if steady is not None else 0
