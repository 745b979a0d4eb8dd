"""The main job: run the experiments that the claims need, judge every trial, and judge the claims.

Experiments are shared by claims and run one after the other, each on a deployment of its own in a run
directory of its own. Its positive controls run on the same deployment with a planted bug: a check that
does not condemn them proves nothing by finding nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness import registry, store
from harness.claims import Claim, Claims, Experiment
from harness.experiment import Progress, carry_out, catalogue, judge_trials, load_if_there
from harness.judge import ControlResult, ExperimentEvidence, Judgement, judge
from harness.plan import Episode, FaultSpec, Plan
from harness.run import check_plan
from harness.verdict import Status, Verdict, unknown

CONTROL_EPISODES = 2
CONTROL_TRIES = 3
CONTROL_QUIET_S = 1.5
CONTROL_RATE = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `trials` None = as the claims file says for the profile."""

    profile: str
    seed: int
    out: Path
    on: str = "local"
    trials: int | None = None


class Listener(Progress, Protocol):
    """Who is told how far the main job is."""

    def experiment(self, name: str, number: int, of: int, trials: int) -> None: ...

    def judged(self, judgement: Judgement) -> None: ...


@dataclass(slots=True)
class Verified:
    """What came out."""

    judgements: list[Judgement] = field(default_factory=list)
    evidence: dict[str, ExperimentEvidence] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  # infrastructure, by experiment


def experiments_of(claims: Sequence[Claim], every: Mapping[str, Experiment]) -> list[Experiment]:
    """Give the experiments that these claims need, each once, in the order of the file, controls' own included."""
    wanted = {name for claim in claims for name in claim.experiments}
    wanted |= {control.experiment for name in wanted for control in every[name].controls if control.experiment}
    return [experiment for name, experiment in every.items() if name in wanted]


def plan_of(experiment: Experiment, settings: Settings) -> Plan:
    """Turn an experiment into a plan: its faults take turns over the trials."""
    trials = settings.trials or experiment.trials[settings.profile]
    faults = [FaultSpec.parse(text) for text in experiment.faults]
    timeline = dict(experiment.timeline)
    episodes = [Episode((faults[n % len(faults)],) if faults else (), **timeline) for n in range(trials)]
    options = {name: dict(values) for name, values in experiment.options.items() if isinstance(values, Mapping)}
    plain = {name: value for name, value in experiment.options.items() if not isinstance(value, Mapping)}
    return Plan(
        backend=experiment.deployment,
        variant=experiment.variant,
        workloads=tuple(experiment.workloads),
        episodes=tuple(episodes),
        seed=settings.seed,
        on=settings.on,
        options=options,
        **plain,
    )


def verify(claims: Claims, chosen: Sequence[Claim], settings: Settings, listener: Listener) -> Verified:
    """Carry out the main job; raises BadPlan before anything is started. History and evidence are kept whatever happens."""
    runnable = [claim for claim in chosen if claim.experiments]
    experiments = experiments_of(runnable, claims.experiments)
    for experiment in experiments:
        plan = plan_of(experiment, settings)
        check_plan(plan, catalogue(plan))
    done = Verified()
    waiting = list(chosen)
    controls: dict[tuple[str, str, str], ControlResult] = {}
    for number, experiment in enumerate(experiments, 1):
        listener.experiment(experiment.name, number, len(experiments), settings.trials or experiment.trials[settings.profile])
        bounds = [claim.bound.seconds for claim in runnable if experiment.name in claim.experiments and claim.bound is not None]
        _experiment(experiment, settings, listener, done, controls, bounds[0] if bounds else None)
        ready = [claim for claim in waiting if set(_needs(claim, claims)) <= set(done.evidence)]
        for claim in ready:
            waiting.remove(claim)
            done.judgements.append(judge(claim, _evidence(claim, claims, done)))
            listener.judged(done.judgements[-1])
    for claim in waiting:
        done.judgements.append(judge(claim, _evidence(claim, claims, done)))
    order = {claim.id: n for n, claim in enumerate(chosen)}
    done.judgements.sort(key=lambda judgement: order[judgement.claim.id])
    return done


def _needs(claim: Claim, claims: Claims) -> set[str]:
    named = set(claim.experiments)
    return named | {control.experiment for name in named for control in claims.experiments[name].controls if control.experiment}


def _evidence(claim: Claim, claims: Claims, done: Verified) -> dict[str, ExperimentEvidence]:
    return {name: done.evidence[name] for name in _needs(claim, claims) if name in done.evidence}


def _experiment(
    experiment: Experiment,
    settings: Settings,
    listener: Listener,
    done: Verified,
    controls: dict[tuple[str, str, str], ControlResult],
    bound_s: float | None,
) -> None:
    plan = plan_of(experiment, settings)
    directory = settings.out / "experiments" / experiment.name
    directory.mkdir(parents=True)
    ran, broken = carry_out(plan, directory, listener)
    if broken is not None:
        done.failures[experiment.name] = broken
    trials = judge_trials(load_if_there(directory / store.HISTORY), bound_s)
    results = []
    for control in experiment.controls:
        if control.experiment is not None:
            results.append(_by_experiment(control.check, control.experiment, done))
        elif control.mutant is not None:
            memo = (plan.backend, control.check, control.mutant)
            if memo not in controls:
                controls[memo] = _by_mutant(control.check, control.mutant, plan, settings, listener)
            results.append(controls[memo])
    done.evidence[experiment.name] = ExperimentEvidence(
        name=experiment.name,
        trials=tuple(trials),
        voids=tuple(ran.voids),
        controls=tuple(results),
        broken=broken,
        directory=str(directory),
    )


def _by_experiment(check: str, name: str, done: Verified) -> ControlResult:
    planted = f"experiment {name}"
    evidence = done.evidence.get(name)
    if evidence is None or not evidence.trials:
        return ControlResult(check, planted, condemned=False, detail="the experiment has no trial")
    hits = [trial.n for trial in evidence.trials if _condemned(check, trial.verdicts)]
    return ControlResult(check, planted, condemned=bool(hits), detail=f"condemned in {len(hits)} of {len(evidence.trials)} trials")


def _by_mutant(check: str, mutant: str, plan: Plan, settings: Settings, listener: Listener) -> ControlResult:
    """Run the planted bug without faults until the check condemns it, at most CONTROL_TRIES times."""
    workloads = tuple(name for name in plan.workloads if check in registry.load("workloads", name).checks)
    detail = "no workload of the experiment is judged by it"
    for attempt in range(CONTROL_TRIES if workloads else 0):
        seed = settings.seed + attempt
        quiet = Episode(quiet_s=CONTROL_QUIET_S, after_s=0)
        variant = {"options": {name: plan.options[name] for name in workloads if name in plan.options}}
        control = Plan(
            plan.backend,
            plan.variant,
            workloads,
            (quiet,) * CONTROL_EPISODES,
            seed,
            mutant=mutant,
            on=plan.on,
            rate=CONTROL_RATE,
            **variant,
        )
        directory = settings.out / "controls" / f"{plan.backend}-{check}-{mutant}-{seed}"
        directory.mkdir(parents=True)
        listener.step(f"control: {mutant} on {plan.backend}")
        _, broken = carry_out(control, directory, listener)
        trials = judge_trials(load_if_there(directory / store.HISTORY))
        hits = [trial.n for trial in trials if _condemned(check, trial.verdicts)]
        detail = broken or f"condemned in {len(hits)} of {len(trials)} quiet trials, seed {seed}"
        if hits:
            return ControlResult(check, f"mutant {mutant}", condemned=True, detail=detail)
    return ControlResult(check, f"mutant {mutant}", condemned=False, detail=detail)


def _condemned(check: str, found: Mapping[str, Verdict]) -> bool:
    return found.get(check, unknown("not checked")).status is Status.INVALID
