"""Judging directories: a run, an experiment of a claims file, its controls, and the table that they come to.

Only run.json and history.jsonl are read, so that `verify` judges what it has just run as `holdwater judge` judges what
was run long ago. What was killed in the middle is judged as far as it came: a counterexample stands, and nothing else
is concluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from harness import registry
from harness.claims import asked, reading, recording, results
from harness.claims.asked import VerifyRecord
from harness.claims.claim import Claim, Claims, Control, Word
from harness.claims.counting import ExperimentEvidence
from harness.claims.judging import decided, judge, left_out
from harness.claims.outcome import broken, outcome, voids
from harness.claims.results import FORMAT, ControlResult, Judgement, Run, Verify
from harness.claims.table import exit_code, headline, table
from harness.deploy import launch
from harness.deploy.launch import RunRecord
from harness.driving.plan import Plan
from harness.judging.check import Terms
from harness.judging.trials import TrialEvidence, judge_trials
from harness.judging.verdict import Status, unknown
from harness.record import store
from harness.record.history import History

EXPERIMENTS, CONTROLS, ALONE = "experiments", "controls", "alone"
"""Folders of a verify; `alone` holds the first two again, of experiments that were repeated one at a time."""
BY_EXPERIMENT = "experiment "  # how what a control planted begins where it is an experiment on a weaker setting


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run directory after judging: what was recorded, each trial with its verdicts, and the results."""

    record: RunRecord
    history: History
    trials: Sequence[TrialEvidence]
    results: Run

    @property
    def broken(self) -> str | None:
        """Say what cut it short, None where nothing did."""
        return self.results.broken


# A run


def judge_run(directory: Path, terms: Terms | None = None) -> JudgedRun:
    """Judge a run directory on the terms of the claims that it serves. Raises as `recording.read` does."""
    read, history = recording.read(directory)
    record = _with_former(read, directory)
    trials = judge_trials(history, terms)
    return JudgedRun(record, history, trials, outcome(record, history, trials, directory))


def _with_former(record: RunRecord, directory: Path) -> RunRecord:
    """Fill in what an earlier version wrote into results.json only."""
    if record.command is not None:
        return record
    former = former_results(directory)
    if not isinstance(former, Run):
        return replace(record, command=asked.repeat(record.plan))
    return replace(record, command=former.command, finished=former.finished)


def former_results(directory: Path) -> results.Results | None:
    """Read the results that a directory has, None where it has none."""
    return reading.read(directory) if (directory / store.RESULTS).is_file() else None


# An experiment of a claims file


@dataclass(frozen=True, slots=True)
class Bench:
    """What the experiments of a verify are judged by: the claims, those of them that were chosen, and where the directories are."""

    claims: Claims
    chosen: Sequence[Claim]
    directory: Path

    def experiment(self, name: str) -> tuple[ExperimentEvidence, JudgedRun]:
        """Judge an experiment's directory, without its controls."""
        directory = self.directory / EXPERIMENTS / name
        judged = judge_run(directory, self._terms(name))
        evidence = ExperimentEvidence(
            name=name,
            trials=tuple(judged.trials),
            voids=voids(judged.record, judged.history),
            broken=judged.broken,
            directory=str(directory),
            named=frozenset(kind for claim in self.chosen if name in claim.experiments for kind in claim.anomalies),
        )
        return evidence, judged

    def _terms(self, name: str) -> Terms:
        """Give what the claims set that an experiment serves, by itself or as a control of another."""
        users = {name}
        users |= {other for other, each in self.claims.experiments.items() if name in {control.experiment for control in each.controls}}
        served = [claim for claim in self.claims.claims if users & set(claim.experiments)]
        bounds = [claim.bound.ns for claim in served if claim.bound is not None]
        return Terms(bound_ns=min(bounds, default=None), requested=frozenset(check for claim in served for check in claim.checks))


# Controls


def by_experiment(check: str, name: str, done: Mapping[str, ExperimentEvidence]) -> ControlResult:
    """Say whether a check condemned a trial of an experiment on a weaker setting."""
    planted = f"{BY_EXPERIMENT}{name}"
    evidence = done.get(name)
    if evidence is None or not evidence.trials:
        return ControlResult(check, planted, condemned=False, detail="the experiment has no trial")
    hits = [trial.n for trial in evidence.trials if _condemned(check, trial)]
    return ControlResult(check, planted, condemned=bool(hits), detail=f"condemned in {len(hits)} of {len(evidence.trials)} trials")


def by_mutant(check: str, mutant: str, directory: Path) -> ControlResult:
    """Say whether a check condemned a trial of a run of a planted bug."""
    record, history = recording.read(directory)
    trials = judge_trials(history, Terms(requested=frozenset({check})))
    hits = [trial.n for trial in trials if _condemned(check, trial)]
    detail = broken(record, history) or f"condemned in {len(hits)} of {len(trials)} quiet trials, seed {record.plan.seed}"
    return ControlResult(check, f"mutant {mutant}", condemned=bool(hits), detail=detail)


def no_control(check: str, mutant: str, plan: Plan) -> ControlResult:
    """Say why a control with a planted bug has no run."""
    drives = asked.judged_by(check, plan.workloads)
    detail = "it was not run" if drives else "no workload of the experiment is judged by it"
    return ControlResult(check, f"mutant {mutant}", condemned=False, detail=detail)


def control_directory(directory: Path, plan: Plan, control: Control, seed: int) -> Path:
    """Give where a control with a planted bug runs."""
    return directory / CONTROLS / f"{plan.backend}-{control.check}-{control.mutant}-{seed}"


def _condemned(check: str, trial: TrialEvidence) -> bool:
    return trial.verdicts.get(check, unknown("not checked")).status is Status.INVALID


def control_on_disk(control: Control, plan: Plan, done: Mapping[str, ExperimentEvidence], directory: Path) -> ControlResult:
    """Judge a control by what is on disk: the first of its runs that condemns, else the last."""
    if control.experiment is not None:
        return by_experiment(control.check, control.experiment, done)
    assert control.mutant is not None
    found = no_control(control.check, control.mutant, plan)
    for seed in range(plan.seed, plan.seed + asked.CONTROL_TRIES):
        run = control_directory(directory, plan, control, seed)
        if (run / store.RUN).is_file():
            unlike = _unlike_any(run, [asked.planted(control.check, control.mutant, each, seed) for each in _ran(directory, plan, control)])
            found = by_mutant(control.check, control.mutant, run) if unlike is None else replace(found, detail=unlike)
        if found.condemned:
            break
    return found


def _ran(directory: Path, plan: Plan, control: Control) -> list[Plan]:
    """Give the plans for which a control may have been run: that of its experiment, and of every other that was run on its deployment.

    It is run once for a deployment, check and mutant, for the first experiment that names it.
    """
    there = [launch.read_record(path.parent).plan for path in sorted((directory / EXPERIMENTS).glob(f"*/{store.RUN}"))]
    same = [each for each in there if (each.backend, each.seed, each.on) == (plan.backend, plan.seed, plan.on)]
    known = [each for each in (plan, *same) if set(each.workloads) <= set(registry.names("workloads"))]
    return [each for each in known if asked.judged_by(control.check, each.workloads)]


def _unlike_any(directory: Path, wanted: Sequence[Plan]) -> str | None:
    """Say in what a control was not run as verify runs it, None where it was run so for one of the experiments."""
    ran = launch.read_record(directory).plan
    unlike = [recording.difference(ran, each) for each in wanted]
    if None in unlike:
        return None
    return f"{directory.name} is no run of it: {unlike[0] if unlike else 'no experiment needs it'}"


# A verify


def results_of(bench: Bench, record: VerifyRecord, judgements: Sequence[Judgement], runs: Mapping[str, Run]) -> Verify:
    """Give the results of the main job: its tables, its claims, and what ran, by experiment."""
    rows = table(bench.claims, judgements)
    tables = results.tables_of(bench.claims)
    code = exit_code(judgements, strict=record.strict)
    return Verify(
        holdwater=FORMAT,
        profile=record.profile,
        seed=record.seed,
        on=record.on,
        strict=record.strict,
        seconds=sum(run.seconds for run in runs.values()) if record.seconds is None else record.seconds,
        finished=record.finished,
        exit=results.exit_of(code),
        headline=headline(rows, {each.id: each for each in judgements}, tables),
        claims_file=record.claims_file,
        claims_sha256=record.claims_sha256,
        contradicts=any(each.verdict is Word.VIOLATED for each in judgements),
        command=record.command,
        directory=str(bench.directory),
        tables=tables,
        rows=rows,
        claims=tuple(judgements),
        elsewhere=bench.claims.elsewhere,
        failures={name: run.broken for name, run in runs.items() if run.broken is not None},
        versions={server: version for run in runs.values() for server, version in run.versions.items()},
        environment=record.environment,
        jobs=record.jobs,
        repeated=record.repeated,
    )


def conclude(
    claim: Claim, bench: Bench, record: VerifyRecord, done: Mapping[str, ExperimentEvidence], alone: Mapping[str, ExperimentEvidence]
) -> Judgement:
    """Judge a claim by what was run, and where its experiments were repeated alone by that too."""
    first = judge_claim(claim, bench, record, done)
    if alone.keys().isdisjoint(claim.experiments):
        return first
    return decided(first, judge_claim(claim, bench, record, {**done, **alone}))


def judge_claim(claim: Claim, bench: Bench, record: VerifyRecord, done: Mapping[str, ExperimentEvidence]) -> Judgement:
    """Judge a claim by what there is, or say what its experiment lacks: what was run all the same is judged."""
    lacks = [record.absent[name] for name in claim.experiments if name in record.absent and name not in done]
    if lacks:
        failed = any(lack.failed for lack in lacks)
        found = left_out(claim, lacks[0].needed, lacks[0].remedy, asked=record.asked or failed)
    else:
        found = judge(claim, done)
    if not claim.experiments:
        return found
    plan = asked.plan_of(bench.claims.experiments[claim.experiments[0]], record.settings(bench.directory))
    return replace(found, repeat=asked.repeat(plan))
