"""Judging again what was run long ago: a run directory or a whole verify, by today's checkers and, where asked, by another claims file.

Of results.json only what an earlier version recorded nowhere else is read: what was asked for, and what the machine lacked.
An experiment counts for another claims file only where it was run as that file says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec

from harness import heartbeat, program
from harness.claims import asked, results
from harness.claims.asked import CLAIMS, Lack, Settings, VerifyRecord
from harness.claims.bench import CONTROLS, EXPERIMENTS, Bench, control_on_disk, former_results, judge_claim, judge_run, results_of
from harness.claims.claim import Claim, Claims, Experiment, of_profile
from harness.claims.counting import ExperimentEvidence
from harness.claims.file import load, shipped
from harness.claims.results import FORMAT, Again, Run, Verify
from harness.driving.plan import Plan
from harness.errors import UsageError
from harness.record import store
from harness.record.history import History

SHORT = 12  # characters of a digest


@dataclass(frozen=True, slots=True)
class Judged:
    """A directory that was judged again: its results and, of a verify, those of its experiments; by directory, its own last."""

    directory: Path
    runs: Mapping[Path, Run]
    results: Run | Verify
    history: History | None = None


def judge_again(directory: Path, claims_file: Path | None = None) -> Judged:
    """Judge a run directory or a whole verify directory again, a verify by another claims file where one is named.

    Nothing is written. Raises UsageError where there is nothing to judge, or nothing that says what was asked for.
    """
    store.check_plain(directory)
    if _is_verify(directory):
        found = _verify_again(directory, claims_file)
    elif claims_file is None:
        found = _run_again(directory)
    else:
        raise UsageError(f"{directory} is no verify, expected no claims file with it")
    commit = store.environment()["commit"]
    again = Again(at=store.now(), commit=None if commit is None else str(commit))
    runs = {path: msgspec.structs.replace(run, again=again) for path, run in found.runs.items()}
    return replace(found, runs=runs, results=msgspec.structs.replace(found.results, again=again))


def _is_verify(directory: Path) -> bool:
    if (directory / EXPERIMENTS).is_dir():
        return True
    if (directory / store.RUN).is_file():
        record = store.read(directory / store.RUN)
        return isinstance(record, dict) and record.get("kind") == "verify"
    return isinstance(former_results(directory), Verify)


def _run_again(directory: Path) -> Judged:
    former = None if (directory / store.RUN).is_file() else former_results(directory)
    if former is not None:
        raise UsageError(f"{directory} has no {store.RUN} and is of kind {results.kind(former)!r}, expected a run or a verify")
    with heartbeat.doing(f"judging {directory}"):
        judged = judge_run(directory)
    return Judged(directory, {directory: judged.results}, judged.results, judged.history)


def _verify_again(directory: Path, claims_file: Path | None) -> Judged:
    record = _record(directory)
    claims = _claims(directory, record, claims_file)
    same = claims.sha256 == record.claims_sha256
    if not (directory / store.RUN).is_file():
        record = msgspec.structs.replace(record, absent=_formerly_absent(directory, claims))
    if not same:
        record = msgspec.structs.replace(record, claims_file=Path(claims.source).name, claims_sha256=claims.sha256)
    chosen = _chosen(claims, record, directory, same=same)
    bench = Bench(claims, chosen, directory)
    for folder in [directory / CONTROLS, *(directory / CONTROLS).glob("*/")]:
        store.check_plain(folder)
    done: dict[str, ExperimentEvidence] = {}
    runs: dict[str, Run] = {}
    for experiment in asked.experiments_of(chosen, claims.experiments):
        folder = directory / EXPERIMENTS / experiment.name
        store.check_plain(folder)
        if not (folder / store.RUN).is_file():
            continue
        plan = asked.plan_of(experiment, record.settings(directory))
        with heartbeat.doing(f"judging {folder}"):
            evidence, judged = bench.experiment(experiment.name)
            controls = tuple(control_on_disk(control, plan, done, directory) for control in experiment.controls)
        unlike = None if same else _unlike(experiment, judged.record.plan, record.settings(directory))
        trials = () if unlike else evidence.trials
        done[experiment.name] = replace(evidence, trials=trials, controls=controls, unlike=unlike)
        runs[experiment.name] = judged.results
    judgements = [judge_claim(claim, bench, record, done) for claim in chosen]
    found = results_of(bench, record, judgements, runs)
    return Judged(directory, {directory / EXPERIMENTS / name: run for name, run in runs.items()}, found)


def _record(directory: Path) -> VerifyRecord:
    """Read what was asked for; of an earlier version's verify it is made from its results."""
    if (directory / store.RUN).is_file():
        return asked.read_record(directory)
    former = former_results(directory)
    if former is None:
        one = program.command("judge", f"{directory / EXPERIMENTS}/NAME")
        raise UsageError(
            f"{directory} has no {store.RUN} and no {store.RESULTS}: nothing says what was asked for; judge one experiment: {one}"
        )
    if not isinstance(former, Verify) or not isinstance(former.seed, int) or former.shards:
        raise UsageError(f"{directory / store.RESULTS} was joined from others, expected a verify that ran; judge each of its shards")
    return VerifyRecord(
        holdwater=FORMAT,
        profile=former.profile,
        seed=former.seed,
        on=former.on,
        trials=None,
        asked=False,
        strict=former.strict,
        command=former.command,
        claims_file=former.claims_file,
        claims_sha256=former.claims_sha256,
        chosen=tuple(claim.id for claim in former.claims),
        environment=former.environment,
        seconds=former.seconds,
        finished=former.finished,
    )


def _formerly_absent(directory: Path, claims: Claims) -> dict[str, Lack]:
    """Say what the machine lacked, by experiment, as an earlier version's results have it by claim."""
    former = former_results(directory)
    left_out = {each.id: each for each in former.claims if each.absent} if isinstance(former, Verify) else {}
    return {
        name: Lack(needed=found.missing[0], remedy=found.remedy, failed=not found.expected)
        for claim in claims.claims
        if (found := left_out.get(claim.id)) is not None and found.missing
        for name in claim.experiments
        if not (directory / EXPERIMENTS / name).is_dir()
    }


def _claims(directory: Path, record: VerifyRecord, claims_file: Path | None) -> Claims:
    """Read the claims: those that are named, else those that the verify kept, else ours if they are the ones that it judged."""
    if claims_file is not None:
        return of_profile(load(claims_file), record.profile)
    if (directory / CLAIMS).is_file():
        try:
            return of_profile(load(directory / CLAIMS), record.profile)
        except UsageError as error:
            raise UsageError(f"{error}; the verify was run by this file: perhaps a plug-in that it needs is not installed now") from None
    ours = shipped()
    if ours.sha256 != record.claims_sha256:
        judged = f"{record.claims_file or 'a claims file'} (SHA-256 {(record.claims_sha256 or 'not recorded')[:SHORT]})"
        raise UsageError(f"{directory} was judged by {judged}, not by the table of this version; name a claims file with --claims")
    return of_profile(ours, record.profile)


def _chosen(claims: Claims, record: VerifyRecord, directory: Path, *, same: bool) -> list[Claim]:
    """Give the claims that were chosen; of another file those of which an experiment was run, and those that have none."""
    if same:
        return [claim for claim in claims.claims if claim.id in record.chosen]

    def ran(claim: Claim) -> bool:
        return any(name in record.absent or (directory / EXPERIMENTS / name).is_dir() for name in claim.experiments)

    if not any(map(ran, claims.claims)):
        raise UsageError(f"{claims.source}: no claim of profile {record.profile} has an experiment that is in {directory / EXPERIMENTS}")
    return [claim for claim in claims.claims if ran(claim) or not claim.experiments]


def _unlike(experiment: Experiment, ran: Plan, settings: Settings) -> str | None:
    """Say in what a run differs from an experiment of another claims file, None where only the number of trials does."""
    wanted = asked.plan_of(experiment, replace(settings, trials=len(ran.episodes)))
    other = [each.name for each in fields(Plan) if getattr(ran, each.name) != getattr(wanted, each.name)]
    if not other:
        return None
    if other[0] == "episodes":
        return "its faults or its timeline were others"
    return f"{other[0]} was {getattr(ran, other[0])!r}, expected {getattr(wanted, other[0])!r}"


def save(judged: Judged) -> list[Path]:
    """Replace the results.json of a directory and of its experiments; give where the former ones are kept, beside them."""
    kept = []
    for directory, found in {**judged.runs, judged.directory: judged.results}.items():
        path = directory / store.RESULTS
        if path.is_file():
            former = _free(directory)
            store.save(former, store.read_plain(path))
            kept.append(former)
        store.write(path, found)
    return kept


def _free(directory: Path) -> Path:
    names = (directory / f"results-{n}.json" for n in range(1, 10_000))
    return next(path for path in names if not path.exists())
