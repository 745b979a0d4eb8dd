"""The planted bugs against the checkers: the detection matrix.

A mutant is run under the workloads that drive what it gets wrong, two in a trial, and under each fault that it needs; a trial counts as
detected where any check is invalid, and for a workload where what was found is on that workload's keys. What is the same on every
backend runs on the first one and on one of the others, in turn, unless it is asked for. The references run all workloads, in quiet
and under each fault under which the documented table says that all holds, and in quiet two at a time too, and must not be condemned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from statistics import median_high

from msgspec.structs import replace as changed

from harness import registry
from harness.claims import file as claims
from harness.claims.asked import Settings, plan_of, repeat
from harness.claims.claim import Claims, Experiment, Word
from harness.claims.plans import check
from harness.claims.results import Detection, Share
from harness.claims.rounds import Listener
from harness.deploy.jobs import Job, SideBySide
from harness.deploy.launch import carry_out, require_servers
from harness.driving.backend import Backend, Planted, mutants_of, planted_of
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import Progress, planted_bugs
from harness.driving.workload import Workload
from harness.errors import Infrastructure, UsageError
from harness.judging.check import workloads_of
from harness.judging.trials import TrialEvidence, judge_trials, load_if_there
from harness.judging.verdict import Anomaly
from harness.record import store

QUIET_S = 4.0
RATE = 45.0
AT_ONCE = 2
"""So many workloads share the rate of one run of a mutant."""
TRIES = 4
"""So often a mutant is run that no run of it showed."""
APART = 1_000_003
"""So far the seeds of the tries are from each other."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a selftest is about; `trials` a run, with each of the seeds from `seed` on. `alone`: the references, and no mutant."""

    backends: Sequence[str]
    mutants: Sequence[str] = ()
    trials: int = 1
    seed: int = 0
    seeds: int = 1
    alone: bool = False


def plans(asked: Asked) -> list[Plan]:
    """Give the plans for the references and the mutants that are asked for, all where none is; raise UsageError on an unknown one."""
    chosen: list[Backend] = [registry.load("backends", name) for name in asked.backends]
    workloads: list[Workload] = [registry.load("workloads", name) for name in registry.names("workloads")]
    known = {mutant for backend in chosen for mutant in planted_bugs(backend, workloads)}
    for mutant in asked.mutants:
        if mutant not in known:
            raise UsageError(_unknown(mutant, known, asked.backends, workloads))
    spread = {} if asked.mutants else _spread(chosen)
    made = [
        plan
        for backend in chosen
        for mutant in (None, *_wanted(backend, workloads, asked))
        if mutant is None or backend.name in spread.get(mutant, (backend.name,))
        for plan in _plans(backend, mutant, workloads, asked)
    ]
    for mutant in asked.mutants:
        if mutant not in {plan.mutant for plan in made}:
            raise UsageError(f"no workload shows mutant {mutant!r} on {' or '.join(asked.backends)}; {_elsewhere(mutant, workloads)}")
    return made


def _spread(chosen: Sequence[Backend]) -> dict[str, tuple[str, ...]]:
    """Give each mutant that is the same everywhere two backends: the first that has it, and one of the others in turn."""
    found: dict[str, tuple[str, ...]] = {}
    for mutant in dict.fromkeys(name for backend in chosen for name in mutants_of(backend)):
        homes = [backend.name for backend in chosen if mutant in mutants_of(backend)]
        alike = [backend.name for backend in chosen if mutant in mutants_of(backend) and planted_of(backend, mutant).everywhere]
        if len(alike) > 2:
            own = tuple(name for name in homes if name not in alike)
            found[mutant] = (*own, alike[0], alike[1 + len(found) % (len(alike) - 1)])
    return found


def _wanted(backend: Backend, workloads: Sequence[Workload], asked: Asked) -> list[str]:
    if asked.alone:
        return []
    there = planted_bugs(backend, workloads)
    return [name for name in there if (name in asked.mutants if asked.mutants else not planted_of(backend, name).unseen)]


def _plans(backend: Backend, mutant: str | None, workloads: Sequence[Workload], asked: Asked) -> Iterator[Plan]:
    driven = shown_by(mutant, backend, workloads)
    for plan in _of_mutant(backend, mutant, driven) if mutant is not None else _of_reference(backend, driven):
        options = {name: plan.options[name] for name in plan.workloads if name in plan.options}
        made = replace(plan, options=options, mutant=mutant, episodes=plan.episodes * asked.trials)
        yield from (replace(made, seed=asked.seed + n) for n in range(asked.seeds))


def _of_mutant(backend: Backend, mutant: str, driven: Sequence[str]) -> Iterator[Plan]:
    """Give quiet plans; for a mutant that needs faults those under each that does what it needs."""
    needs = planted_of(backend, mutant).needs
    for together in _parts(driven, AT_ONCE):
        if needs:
            yield from (plan for plan in _under_faults(backend, needs, together) if plan.workloads == together)
        else:
            yield _quiet(backend, together)


def _of_reference(backend: Backend, driven: Sequence[str]) -> Iterator[Plan]:
    """Give quiet plans of all workloads and of two at a time, and those of either half under each fault that the reference bears."""
    yield from (_quiet(backend, together) for together in (tuple(driven), *_parts(driven, AT_ONCE)))
    seen = set[tuple[tuple[FaultSpec, ...], tuple[str, ...]]]()
    for together in _parts(driven, -(-len(driven) // 2)):
        for plan in _under_faults(backend, frozenset(), together):
            met = plan.episodes[0].faults, plan.workloads
            if met not in seen:
                seen.add(met)
                yield plan


def _parts(driven: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(driven[first : first + size]) for first in range(0, len(driven), max(1, size))]


def _quiet(backend: Backend, driven: tuple[str, ...]) -> Plan:
    return Plan(backend.name, next(iter(backend.variants)), driven, (Episode(quiet_s=QUIET_S, after_s=0),), 0, rate=RATE)


def _under_faults(backend: Backend, needs: frozenset[str], driven: tuple[str, ...]) -> Iterator[Plan]:
    """Give a plan of these workloads for each fault that is borne, once; of one that is about others than clients as the table has it."""
    seen = set[tuple[tuple[FaultSpec, ...], tuple[str, ...]]]()
    for plan in borne(backend, needs):
        alone = any(registry.load("workloads", name).attend is not None for name in plan.workloads)
        workloads = plan.workloads if alone else driven
        met = plan.episodes[0].faults, workloads
        if met not in seen:
            seen.add(met)
            yield replace(plan, workloads=workloads)


def borne(backend: Backend, needs: frozenset[str]) -> Iterator[Plan]:
    """Give a plan of one trial for each time that the documented table says that all holds under faults that do what is needed."""
    shipped = _shipped()
    for experiment in shipped.experiments.values():
        if experiment.deployment != backend.name or not experiment.faults or not _holds(experiment, shipped):
            continue
        plan = plan_of(experiment, Settings("quick", 0, Path(), trials=len(experiment.faults)))
        for episode in plan.episodes:
            faults = [registry.load("faults", spec.name) for spec in episode.faults]
            if needs and episode.scheduled:
                continue  # each of its faults has a turn of its own elsewhere
            if needs <= frozenset().union(*(fault.effects | fault.needs for fault in faults)):
                yield replace(plan, episodes=(episode,))


@cache
def _shipped() -> Claims:
    return claims.shipped()


def _holds(experiment: Experiment, shipped: Claims) -> bool:
    serves = [claim for claim in shipped.claims if experiment.name in claim.experiments]
    return bool(serves) and all(claim.expect == (Word.HOLDS,) and claim.bound is None for claim in serves)


def _elsewhere(mutant: str, workloads: Sequence[Workload]) -> str:
    """Say which backends can show a mutant."""
    able = _homes(mutant, workloads)
    return f"use --backend {' or '.join(able)}" if able else "no backend here can"


def _unknown(mutant: str, known: Iterable[str], backends: Sequence[str], workloads: Sequence[Workload]) -> str:
    if _homes(mutant, workloads):
        return f"no mutant {mutant!r} of {' or '.join(backends)}; {_elsewhere(mutant, workloads)}"
    return f"unknown mutant {mutant!r}, {registry.nearest(mutant, known)}"


def _homes(mutant: str, workloads: Sequence[Workload]) -> list[str]:
    every: list[Backend] = [registry.load("backends", name) for name in registry.names("backends")]
    return [each.name for each in every if mutant in planted_bugs(each, workloads) and shown_by(mutant, each, workloads)]


def shown_by(mutant: str | None, backend: Backend, workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Give the workloads that show a mutant: the one whose own it is; those beyond the ordinary that the documented table controls with it.

    Else the ordinary ones, which need nobody beside their clients, that drive what it gets wrong; all of them for a reference.
    """
    able = [workload for workload in workloads if workload.functions - workload.answers <= backend.functions]
    if mutant is not None and mutant not in mutants_of(backend):
        return tuple(workload.name for workload in able if mutant in workload.mutants)
    wrong = planted_of(backend, mutant) if mutant is not None else Planted(backend.functions)
    ordinary = [workload for workload in able if workload.attend is None]
    attended = {workload.name for workload in able} - {workload.name for workload in ordinary}
    return tuple(sorted(_controlled(mutant) & attended)) or tuple(each.name for each in ordinary if each.driven_at_most & wrong.functions)


def _controlled(mutant: str | None) -> set[str]:
    """Give the workloads by which the documented table shows that a check condemns a mutant."""
    experiments = _shipped().experiments.values()
    uses = [(each, control.check) for each in experiments for control in each.controls if control.mutant == mutant]
    return {name for experiment, check in uses for name in experiment.workloads if name in workloads_of(check)} if mutant else set()


def carry_out_all(every: Sequence[Plan], out: Path, at_once: int, listener: Listener) -> list[Detection]:
    """Run the plans, each in a directory of its own below `out` and so many at once; again those of a mutant that none of its runs showed.

    Gives one detection for each mutant and fault, over its runs.
    """
    for plan in every:
        check(plan)
        require_servers(plan, listener.step)
    listener.step("")
    tries: list[tuple[Plan, Detection]] = []
    left = list(every)
    for attempt in range(TRIES):
        tries += zip(left, _side_by_side([_again(plan, attempt) for plan in left], out, at_once, listener), strict=True)
        shown = {_mutant_and_seed(plan) for plan, found in tries if found.detected}
        left = [plan for plan in every if plan.mutant is not None and _mutant_and_seed(plan) not in shown]
    alike: dict[tuple[str, str | None, str | None], dict[int, list[Detection]]] = {}
    for plan, found in tries:
        alike.setdefault((found.backend, found.mutant, found.fault), {}).setdefault(plan.seed, []).append(found)
    return [of_runs(list(of_seed.values())) for of_seed in alike.values()]


def _mutant_and_seed(plan: Plan) -> tuple[str, str | None, int]:
    return plan.backend, plan.mutant, plan.seed


def _again(plan: Plan, attempt: int) -> Plan:
    """Give a plan as it is tried for this time: with another seed than before."""
    return replace(plan, seed=plan.seed + attempt * APART)


def _side_by_side(every: Sequence[Plan], out: Path, at_once: int, listener: Listener) -> list[Detection]:
    names = {directory_of(plan): number for number, plan in enumerate(every, 1)}

    def begin(job: Job[Detection]) -> AbstractContextManager[Progress]:
        return listener.experiment(job.name, names[job.name], len(every), len(every[names[job.name] - 1].episodes))

    with SideBySide(min(at_once, len(every)) or 1, begin) as lanes:
        jobs = [Job(directory_of(plan), partial(measure, plan, out / directory_of(plan))) for plan in mingled(every)]
        found = {job.name: detected for job, detected in lanes.carry_out(jobs)}
    return [found[name] for name in names]


def mingled(every: Sequence[Plan]) -> list[Plan]:
    """Order runs so that those of one backend are spread evenly: its servers may need more of the processors than others'."""
    of_backend = Counter(plan.backend for plan in every)
    met = Counter[str]()
    places: list[tuple[float, int]] = []
    for number, plan in enumerate(every):
        places.append(((met[plan.backend] + 0.5) / of_backend[plan.backend], number))
        met[plan.backend] += 1
    return [every[number] for _, number in sorted(places)]


def directory_of(plan: Plan) -> str:
    """Name the directory of a run, by what tells it from the others of a selftest."""
    under = "".join(f"-{spec}" for spec in plan.episodes[0].faults)
    names = plan.workloads
    driven = f"-{'-'.join(names)}" if len(names) <= AT_ONCE else f"-{names[0]}-to-{names[-1]}"
    return f"{plan.backend}-{plan.mutant or 'reference'}{driven}{under}-{plan.seed}".replace(":", "-")


def measure(plan: Plan, directory: Path, progress: Progress) -> Detection:
    """Run a plan into a directory and say what the checks made of it; what the machine broke is run once more, and then said."""
    for attempt in (directory, directory.with_name(f"{directory.name}-again")):
        attempt.mkdir(parents=True)
        try:
            record = carry_out(plan, attempt, progress, repeat(plan))
            broken = record.broken
        except Infrastructure as error:
            broken = str(error)
        if broken is None:
            progress.step("judging")
            return detection(plan, judge_trials(load_if_there(attempt / store.HISTORY)))
    return changed(detection(plan, ()), broken=broken)


def detection(plan: Plan, trials: Sequence[TrialEvidence]) -> Detection:
    """Say what the checks made of a plan's trials."""
    found = [(trial, [anomaly for verdict in trial.verdicts.values() for anomaly in verdict.all_anomalies()]) for trial in trials]
    hits = [(trial, anomalies) for trial, anomalies in found if anomalies]
    checks = {name for trial, _ in hits for name, verdict in trial.verdicts.items() if verdict.all_anomalies()}
    shown = {name: _shown(hits, partial(_is_of, registry.load("workloads", name), plan.workloads)) for name in plan.workloads}
    return Detection(
        backend=plan.backend,
        mutant=plan.mutant,
        fault=",".join(str(spec) for spec in plan.episodes[0].faults) or None,
        seeds=1,
        found=int(bool(hits)),
        trials=len(trials),
        detected=len(hits),
        checks=tuple(sorted(checks)),
        first_s=_shown(hits, lambda anomaly: True).first_s,
        by=shown,
    )


def _shown(hits: Iterable[tuple[TrialEvidence, list[Anomaly]]], is_its: Callable[[Anomaly], bool]) -> Share:
    """Say in how many trials what a workload drove was found wrong, and how soon (the median)."""
    waits = [min(each) for trial, anomalies in hits if (each := [_after_s(trial, anomaly) for anomaly in anomalies if is_its(anomaly)])]
    return Share(detected=len(waits), first_s=round(median_high(waits), 3) if waits else None)


def _is_of(workload: Workload, beside: Sequence[str], anomaly: Anomaly) -> bool:
    """Say whether an anomaly is on this workload's keys; of one that drives alone all are."""
    return len(beside) == 1 or workload.owns(anomaly.key)


def _after_s(trial: TrialEvidence, anomaly: Anomaly) -> float:
    steady = trial.history.mark("steady")
    return max(0.0, (anomaly.at - (steady.moment.time if steady is not None else 0)) / 1e9)


def _of_a_seed(runs: Sequence[Detection]) -> Detection:
    """Give what the runs of one seed came to: side by side each with workloads of its own, and one after the other the tries of each.

    As many trials as the workloads that saw most of it had.
    """
    checks = tuple(sorted({check for run in runs for check in run.checks}))
    broken = next((run.broken for run in runs if run.broken is not None), None)
    if runs[0].mutant is None:
        return changed(_sum_of(runs), checks=checks, broken=broken)
    tries: dict[tuple[str, ...], list[Detection]] = {}
    for run in runs:
        tries.setdefault(tuple(run.by), []).append(run)
    alone = [_sum_of(each) for each in tries.values()]
    best = max(alone, key=lambda run: (run.detected, -(run.first_s or 0.0)))
    seen = {name: share for run in alone for name, share in run.by.items()}
    return changed(best, checks=checks, by=seen, broken=None if best.detected else broken)


def _sum_of(runs: Sequence[Detection]) -> Detection:
    """Give what several runs of the same workloads came to; found where one of them found it."""
    waits = [each.first_s for each in runs if each.first_s is not None]
    return changed(
        runs[0],
        found=max(each.found for each in runs),
        trials=sum(each.trials for each in runs),
        detected=sum(each.detected for each in runs),
        first_s=median_high(waits) if waits else None,
        by={name: _sum([each.by[name] for each in runs if name in each.by]) for name in dict.fromkeys(chain(*(each.by for each in runs)))},
    )


def of_runs(runs: Sequence[Sequence[Detection]]) -> Detection:
    """Give what the runs of one mutant and fault came to, those of each seed together."""
    seeds = [_of_a_seed(each) for each in runs]
    return changed(
        _sum_of(seeds),
        seeds=len(seeds),
        found=sum(each.found for each in seeds),
        checks=tuple(sorted({check for each in seeds for check in each.checks})),
        broken=next((each.broken for each in seeds if each.broken is not None), None),
    )


def _sum(shares: Sequence[Share]) -> Share:
    waits = [each.first_s for each in shares if each.first_s is not None]
    return Share(detected=sum(each.detected for each in shares), first_s=median_high(waits) if waits else None)
