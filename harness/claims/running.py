"""The main job: run the experiments that the claims need, judge every trial, and judge the claims.

Experiments are shared by claims and run one after the other, each on a deployment of its own in a run
directory of its own. Its positive controls run on the same deployment with a planted bug: a check that
does not condemn them proves nothing by finding nothing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness import program, registry
from harness.claims.experiment import carry_out as carry_out_plan
from harness.claims.experiment import check, judge_trials, lacking, load_if_there, needed, write_results
from harness.claims.file import Claim, Claims, Control, Experiment, row_word, rows_by_word
from harness.claims.judging import ControlResult, ExperimentEvidence, Judgement, Seen, exit_code, headline, judge, left_out, table
from harness.deploy import install
from harness.deploy.bringing import Bringing
from harness.driving.backend import grounds_of, mutants_of
from harness.driving.plan import Episode, FaultSpec, Plan
from harness.driving.run import Progress
from harness.errors import UsageError
from harness.judging.verdict import Status, Verdict, combine, of_each_kind_first, unknown
from harness.record import store

DEFAULT_DEADLINE_S = 0.5
MOST_SHOWN = 50  # anomalies of a claim in results.json; all are in its experiments' own
CONTROL_EPISODES = 2
CONTROL_TRIES = 3
CONTROL_QUIET_S = 1.5
CONTROL_RATE = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user chose. `trials` None = as the claims file says for the profile.

    `asked`: these claims were asked for, so that one whose servers this machine lacks is not as expected.
    """

    profile: str
    seed: int
    out: Path
    on: str = "local"
    trials: int | None = None
    asked: bool = False


class Listener(Progress, Protocol):
    """Who is told how far the main job is."""

    def experiment(self, name: str, number: int, of: int, trials: int) -> None: ...

    def judged(self, judgement: Judgement) -> None: ...


def experiments_of(claims: Sequence[Claim], every: Mapping[str, Experiment]) -> list[Experiment]:
    """Give the experiments that these claims need, each once, in the order of the file, controls' own included."""
    wanted = {name for claim in claims for name in claim.experiments}
    wanted |= {control.experiment for name in wanted for control in every[name].controls if control.experiment}
    return [experiment for name, experiment in every.items() if name in wanted]


def plan_of(experiment: Experiment, settings: Settings) -> Plan:
    """Turn an experiment into a plan: its faults take turns over the trials."""
    trials = settings.trials or experiment.trials[settings.profile]
    faults = [FaultSpec.parse(text) for text in experiment.faults]
    timeline: dict[str, Any] = dict(experiment.timeline)
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


def choose(claims: Claims, rows: Sequence[str]) -> list[Claim]:
    """Give the claims of these rows, all where none is named; raise UsageError on an unknown row."""
    by_word = rows_by_word(claims)
    wanted: set[str] = set()
    for row in rows:
        word = row if row in by_word else row_word(row)
        if word not in by_word:
            raise UsageError(f"unknown row {row!r}, {registry.nearest(word, by_word)}")
        wanted |= set(by_word[word])
    return [claim for claim in claims.claims if not rows or claim.cell[0] in wanted]


def total_trials(claims: Claims, chosen: Sequence[Claim], settings: Settings) -> int:
    """Count the planned trials, controls left out."""
    return sum(settings.trials or each.trials[settings.profile] for each in experiments_of(chosen, claims.experiments))


def carry_out(
    claims: Claims, chosen: Sequence[Claim], settings: Settings, listener: Listener, *, strict: bool, command: str
) -> dict[str, Any]:
    """Carry out the main job and write results.json (docs/results.md); give its content.

    Raises UsageError before anything is started. History and evidence are kept whatever happens.
    """
    experiments = experiments_of(chosen, claims.experiments)
    for experiment in experiments:
        check_experiment(experiment, settings)
    started = time.monotonic()
    done = _Done(claims, chosen, settings, listener, command)
    waiting = list(chosen)
    servers = {experiment.name: needed(plan_of(experiment, settings)) for experiment in experiments}
    with Bringing(install.absent(dict.fromkeys(name for names in servers.values() for name in names))) as bringing:
        for number, experiment in enumerate(_in_order(experiments, servers, bringing), 1):
            trials = settings.trials or experiment.trials[settings.profile]
            listener.experiment(experiment.name, number, len(experiments), trials)
            bringing.wait(servers[experiment.name], listener.step)
            done.run_where_possible(experiment, bringing.failures)
            for claim in [claim for claim in waiting if set(claim.experiments) <= set(done.evidence) | set(done.absent)]:
                waiting.remove(claim)
                done.judge(claim)
    for claim in waiting:
        done.judge(claim)
    results = _results(claims, chosen, done, strict=strict, command=command, seconds=round(time.monotonic() - started, 1))
    store.write(settings.out / store.RESULTS, results)
    return dict(store.plain(results))


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
    for fault in experiment.faults:
        registry.load("faults", FaultSpec.parse(fault).name)
    for control in experiment.controls:
        if control.mutant is not None and control.mutant not in (mutants := mutants_of(backend)):
            raise UsageError(f"unknown mutant {control.mutant!r} of a control, {registry.nearest(control.mutant, mutants)}")
    if settings.on in grounds_of(backend):
        check(plan_of(experiment, settings))


class _Done:
    """What has been run and judged so far."""

    def __init__(self, claims: Claims, chosen: Sequence[Claim], settings: Settings, listener: Listener, command: str) -> None:
        self.claims, self.chosen, self.settings, self.listener, self.command = claims, chosen, settings, listener, command
        self.evidence: dict[str, ExperimentEvidence] = {}
        self.judgements: dict[str, Judgement] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}  # why an experiment cannot run on this machine
        self.failed: set[str] = set()  # those of them whose server any machine can have: that it did not come is not as expected
        self._controls: dict[tuple[str, str, str], ControlResult] = {}

    def run_where_possible(self, experiment: Experiment, failures: Mapping[str, str]) -> None:
        """Run an experiment, or keep why it cannot run here: what the machine lacks, or why that could not be had."""
        plan = plan_of(experiment, self.settings)
        absent = lacking(plan)
        if absent is None:
            self._run(experiment, plan)
        else:
            failed = [name for name in needed(plan) if name in failures]
            self.absent[experiment.name] = failures[failed[0]] if failed else absent
            if not all(map(install.optional, failed)):
                self.failed.add(experiment.name)

    def _run(self, experiment: Experiment, plan: Plan) -> None:
        """Run an experiment and its controls, and judge its trials."""
        directory = self.settings.out / "experiments" / experiment.name
        directory.mkdir(parents=True)
        ran, broken = carry_out_plan(plan, directory, self.listener)
        self.versions |= ran.versions
        self.listener.step("judging")
        history = load_if_there(directory / store.HISTORY)
        trials = judge_trials(history, self._bound_ns(experiment))
        write_results(plan, ran, broken, trials, history, directory, self.command)
        self.evidence[experiment.name] = ExperimentEvidence(
            name=experiment.name,
            trials=tuple(trials),
            voids=tuple(ran.voids),
            controls=tuple(self._control(control, plan) for control in experiment.controls),
            broken=broken,
            directory=str(directory),
            named=frozenset(kind for claim in self.chosen if experiment.name in claim.experiments for kind in claim.anomalies),
        )

    def judge(self, claim: Claim) -> None:
        """Judge a claim by what there is."""
        absent = next((self.absent[name] for name in claim.experiments if name in self.absent), None)
        self.judgements[claim.id] = judge(claim, self.evidence) if absent is None else self._left_out(claim, absent)
        self.listener.judged(self.judgements[claim.id])

    def _left_out(self, claim: Claim, absent: str) -> Judgement:
        needed, _, remedy = absent.partition("; ")
        return left_out(claim, needed, remedy or None, asked=self.settings.asked or not self.failed.isdisjoint(claim.experiments))

    def _bound_ns(self, experiment: Experiment) -> int | None:
        # An experiment that is another's control for late grants is judged by that claim's bound.
        users = {experiment.name}
        users |= {name for name, each in self.claims.experiments.items() if experiment.name in {c.experiment for c in each.controls}}
        bounds = [claim.bound.ns for claim in self.claims.claims if claim.bound is not None and users & set(claim.experiments)]
        return min(bounds, default=None)

    def _control(self, control: Control, plan: Plan) -> ControlResult:
        if control.experiment is not None:
            return _by_experiment(control.check, control.experiment, self.evidence)
        assert control.mutant is not None
        memo = (plan.backend, control.check, control.mutant)
        if memo not in self._controls:
            self._controls[memo] = _by_mutant(control.check, control.mutant, plan, self.settings, self.listener)
        return self._controls[memo]


def _by_experiment(check: str, name: str, done: Mapping[str, ExperimentEvidence]) -> ControlResult:
    planted = f"experiment {name}"
    evidence = done.get(name)
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
        options = {name: plan.options[name] for name in workloads if name in plan.options}
        control = Plan(
            plan.backend,
            plan.variant,
            workloads,
            (quiet,) * CONTROL_EPISODES,
            seed,
            mutant=mutant,
            on=plan.on,
            rate=CONTROL_RATE,
            options=options,
        )
        directory = settings.out / "controls" / f"{plan.backend}-{check}-{mutant}-{seed}"
        directory.mkdir(parents=True)
        listener.step(f"control: {mutant} on {plan.backend}")
        _, broken = carry_out_plan(control, directory, listener)
        trials = judge_trials(load_if_there(directory / store.HISTORY))
        hits = [trial.n for trial in trials if _condemned(check, trial.verdicts)]
        detail = broken or f"condemned in {len(hits)} of {len(trials)} quiet trials, seed {seed}"
        if hits:
            return ControlResult(check, f"mutant {mutant}", condemned=True, detail=detail)
    return ControlResult(check, f"mutant {mutant}", condemned=False, detail=detail)


def _condemned(check: str, found: Mapping[str, Verdict]) -> bool:
    return found.get(check, unknown("not checked")).status is Status.INVALID


def _results(claims: Claims, chosen: Sequence[Claim], done: _Done, *, strict: bool, command: str, seconds: float) -> dict[str, Any]:
    judgements = [done.judgements[claim.id] for claim in chosen]
    rows = table(claims, judgements)
    settings = done.settings
    return {
        "holdwater": 1,
        "kind": "verify",
        "profile": settings.profile,
        "seed": settings.seed,
        "on": settings.on,
        "strict": strict,
        "seconds": seconds,
        "finished": store.now(),
        "exit": exit_code(judgements, strict=strict),
        "headline": headline(rows),
        "claims_file": Path(claims.source).name,
        "claims_sha256": claims.sha256,
        "contradicts": any(judgement.verdict == "violated" for judgement in judgements),
        "command": command,
        "directory": str(settings.out),
        "rows": [
            {
                "name": row.name,
                "cells": [
                    {
                        "column": cell.column,
                        "quote": cell.quote,
                        "verdict": cell.verdict,
                        "claims": [judgement.claim.id for judgement in cell.judgements],
                    }
                    for cell in row.cells
                ],
            }
            for row in rows
        ],
        "claims": [_claim(judgement, claims, done) for judgement in judgements],
        "elsewhere": list(claims.elsewhere),
        "failures": {name: evidence.broken for name, evidence in done.evidence.items() if evidence.broken is not None},
        "versions": done.versions,
        "environment": store.environment(),
    }


def _claim(judgement: Judgement, claims: Claims, done: _Done) -> dict[str, Any]:
    claim, rate = judgement.claim, judgement.rate
    contradicting = _first_first(judgement.contradicting)
    seen = [*contradicting, *_first_first([each for each in judgement.anomalies if each not in judgement.contradicting])]
    return {
        "id": claim.id,
        "cell": list(claim.cell),
        "quote": claim.quote,
        "sentence": claim.sentence,
        "conditions": claim.conditions,
        "document": claim.document,
        "verdict": str(judgement.verdict),
        "expected": judgement.expected,
        "expect": [str(word) for word in claim.expect],
        "unit": claim.unit,
        "rate": rate and {"k": rate.k, "n": rate.n, "low": rate.low, "high": rate.high, "upper": rate.upper},
        "said": judgement.sentence,
        "missing": list(judgement.missing),
        "remedy": judgement.remedy,
        "absent": judgement.absent,
        "infrastructure": judgement.infrastructure,
        "bug": judgement.bug,
        "gates": list(judgement.gates),
        "numbers": judgement.numbers,
        "anomalies": [_seen(each) for each in seen[:MOST_SHOWN]],
        "excused": [_seen(each) for each in judgement.excused[:MOST_SHOWN]],
        "voids": list(judgement.voids),
        "controls": list(judgement.controls),
        "experiments": list(judgement.directories),
        "evidence": _texts(
            {each.anomaly.kind for each in contradicting or seen},
            [done.evidence[name] for name in claim.experiments if name in done.evidence],
        ),
        "repeat": _repeat(claim, claims, done) if claim.experiments else None,
    }


def _first_first(seen: Sequence[Seen]) -> list[Seen]:
    """Order what was seen by trial, in each as its texts are: the first of the worst kind leads."""
    trials: dict[tuple[str, int], list[Seen]] = {}
    for each in seen:
        trials.setdefault((each.experiment, each.trial), []).append(each)
    of = {id(each.anomaly): each for each in seen}
    return [of[id(anomaly)] for found in trials.values() for anomaly in of_each_kind_first([each.anomaly for each in found])]


def _texts(kinds: set[str], evidence: Sequence[ExperimentEvidence]) -> list[str]:
    """Name the first text of one of these kinds that each experiment's reports write: of its first trial with an anomaly."""
    paths = []
    for each in evidence:
        found = next((anomalies for trial in each.trials if (anomalies := combine(trial.verdicts).all_anomalies())), [])
        numbers = [n for n, anomaly in enumerate(of_each_kind_first(found), 1) if anomaly.kind in kinds]
        paths += [f"{each.directory}/anomalies/{number}.txt" for number in numbers[:1]]
    return paths


def _seen(seen: Seen) -> dict[str, Any]:
    anomaly = seen.anomaly
    return {"experiment": seen.experiment, "trial": seen.trial, "kind": anomaly.kind, "key": anomaly.key, "message": anomaly.message}


def _repeat(claim: Claim, claims: Claims, done: _Done) -> str:
    """Give the command that repeats a claim's first experiment, one trial of it."""
    plan = plan_of(claims.experiments[claim.experiments[0]], done.settings)
    episode = plan.episodes[0]
    words = [*program.words(), "run", ",".join(plan.workloads), "--backend", plan.backend]
    if episode.faults:
        words += ["--fault", ",".join(str(spec) for spec in episode.faults)]
    options = {"variant": plan.variant, "quiet_s": episode.quiet_s, "fault_s": episode.fault_s, "after_s": episode.after_s}
    options |= {"grants": episode.grants} if episode.grants else {}
    options |= {"deadline_s": plan.deadline_s} if plan.deadline_s != DEFAULT_DEADLINE_S else {}
    options |= {name: value for given in plan.options.values() for name, value in given.items()}
    words += [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    words += ["--rate", f"{plan.rate:g}", "--concurrency", str(plan.concurrency), "--seed", str(plan.seed)]
    return shlex.join(words)
