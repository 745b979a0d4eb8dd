"""Judging again what was run long ago: a run directory or a whole verify, by today's checkers and, where asked, by another claims file.

Of results.json only what an earlier version recorded nowhere else is read: what was asked for, and what the machine lacked.
An experiment counts for another claims file only where it was run as that file says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from msgspec.structs import replace as replaced

from harness import heartbeat, program
from harness.claims import asked, recording, results
from harness.claims.asked import CLAIMS, Lack, Settings, VerifyRecord
from harness.claims.bench import (
    ALONE,
    CONTROLS,
    EXPERIMENTS,
    Bench,
    JudgedRun,
    conclude,
    control_on_disk,
    former_results,
    judge_run,
    results_of,
)
from harness.claims.claim import Claim, Claims, Experiment, choose, of_profile
from harness.claims.counting import ExperimentEvidence
from harness.claims.file import load, shipped
from harness.claims.results import FORMAT, Again, Run, Verify
from harness.driving.plan import Plan
from harness.errors import UsageError
from harness.record import store
from harness.record.history import History
from harness.registry import nearest

SHORT = 12  # characters of a digest


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verify was asked for, and the claims that it is judged by: the `same` that it was judged by first, or others."""

    record: VerifyRecord
    claims: Claims
    same: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """A directory that was judged again: its results and, of a verify, those of its experiments; by directory, its own last.

    `asked` is what a verify was asked for.
    """

    directory: Path
    runs: Mapping[Path, Run]
    results: Run | Verify
    history: History | None = None
    asked: Asked | None = None


def judge_again(directory: Path, claims_file: Path | None = None, rows: Sequence[str] = (), tables: Sequence[str] = ()) -> Judged:
    """Judge a run directory or a whole verify directory again, a verify by another claims file where one is named.

    `rows` and `tables` are what of them to judge, all where none is named. Nothing is written.
    Raises UsageError where there is nothing to judge, or nothing that says what was asked for.
    """
    store.check_plain(directory)
    if _is_verify(directory):
        found = _verify_again(directory, claims_file, rows, tables)
    elif claims_file is None and not rows and not tables:
        found = _run_again(directory)
    else:
        raise UsageError(f"{directory} is no verify, expected no {'row' if rows else 'table' if tables else 'claims file'} with it")
    commit = store.environment()["commit"]
    again = Again(at=store.now(), commit=None if commit is None else str(commit))
    runs = {path: replaced(run, again=again) for path, run in found.runs.items()}
    return replace(found, runs=runs, results=replaced(found.results, again=again))


def _is_verify(directory: Path) -> bool:
    if (directory / EXPERIMENTS).is_dir():
        return True
    if (directory / store.RUN).is_file():
        record = store.read(directory / store.RUN)
        return isinstance(record, dict) and record.get("kind") == "verify" and "plan" not in record
    return isinstance(former_results(directory), Verify)


def _run_again(directory: Path) -> Judged:
    former = None if (directory / store.RUN).is_file() else former_results(directory)
    if former is not None:
        raise UsageError(f"{directory} has no {store.RUN} and is of kind {results.kind(former)!r}, expected a run or a verify")
    with heartbeat.doing(f"judging {directory}"):
        judged = judge_run(directory)
    return Judged(directory, {directory: judged.results}, judged.results, judged.history)


def _verify_again(directory: Path, claims_file: Path | None, rows: Sequence[str], tables: Sequence[str]) -> Judged:
    was_asked = _record(directory)
    claims = _claims(directory, was_asked, claims_file)
    same = claims.sha256 == was_asked.claims_sha256
    if not (directory / store.RUN).is_file():
        was_asked = replaced(was_asked, absent=_formerly_absent(directory, claims))
    record = was_asked if same else replaced(was_asked, claims_file=Path(claims.source).name, claims_sha256=claims.sha256)
    if rows:
        record = replaced(record, asked=True)
    bench = Bench(claims, _chosen(choose(claims, rows, tables), claims, record, directory, same=same), directory)
    settings = record.settings(directory)
    first = _round_again(bench, settings, {}, same=same)
    alone = _round_again(replace(bench, directory=directory / ALONE), settings, first.evidence, same=same)
    judgements = [conclude(claim, bench, record, first.evidence, alone.evidence) for claim in bench.chosen]
    found = results_of(bench, record, judgements, {**first.runs, **alone.runs})
    return Judged(directory, {**first.by_directory, **alone.by_directory}, found, asked=Asked(was_asked, claims, same=same))


@dataclass(frozen=True, slots=True)
class _Round:
    """What experiments left in one directory, and their results by name."""

    directory: Path
    evidence: Mapping[str, ExperimentEvidence]
    runs: Mapping[str, Run]

    @property
    def by_directory(self) -> Mapping[Path, Run]:
        return {self.directory / EXPERIMENTS / name: run for name, run in self.runs.items()}


def _round_again(bench: Bench, settings: Settings, before: Mapping[str, ExperimentEvidence], *, same: bool) -> _Round:
    """Judge the experiments that are in a directory, and their controls; `before` is what was run before."""
    for folder in [bench.directory / CONTROLS, *(bench.directory / CONTROLS).glob("*/")]:
        store.check_plain(folder)
    done: dict[str, ExperimentEvidence] = {}
    runs: dict[str, Run] = {}
    for experiment in asked.experiments_of(bench.chosen, bench.claims.experiments):
        folder = bench.directory / EXPERIMENTS / experiment.name
        store.check_plain(folder)
        if not (folder / store.RUN).is_file():
            continue
        with heartbeat.doing(f"judging {folder}"):
            done[experiment.name], judged = _experiment_again(experiment, bench, settings, {**before, **done}, same=same)
        runs[experiment.name] = judged.results
    return _Round(bench.directory, done, runs)


def _experiment_again(
    experiment: Experiment, bench: Bench, settings: Settings, done: Mapping[str, ExperimentEvidence], *, same: bool
) -> tuple[ExperimentEvidence, JudgedRun]:
    """Judge an experiment and its controls; it has no trial that counts where it was not run as the claims file says."""
    evidence, judged = bench.experiment(experiment.name)
    plan = asked.plan_of(experiment, settings)
    controls = tuple(control_on_disk(control, plan, done, bench.directory) for control in experiment.controls)
    unlike = _unlike(experiment, judged.record.plan, settings, same=same)
    return replace(evidence, trials=() if unlike else evidence.trials, controls=controls, unlike=unlike), judged


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
    names = ("profile", "seed", "on", "strict", "command", "claims_file", "claims_sha256", "environment", "seconds", "finished")
    told = {name: getattr(former, name) for name in names}
    told |= {"kind": "verify", "holdwater": FORMAT, "trials": None, "asked": False, "chosen": [claim.id for claim in former.claims]}
    try:
        return msgspec.convert(told, VerifyRecord)
    except msgspec.ValidationError as error:
        raise UsageError(f"{directory / store.RESULTS}: {error}; expected the results of a verify") from None


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
            kept = load(directory / CLAIMS)
        except UsageError as error:
            raise UsageError(f"{error}; the verify was run by this file: perhaps a plug-in that it needs is not installed now") from None
        if record.claims_sha256 not in (None, kept.sha256):
            digests = f"SHA-256 {kept.sha256[:SHORT]}, {store.RUN} beside it says {str(record.claims_sha256)[:SHORT]}"
            raise UsageError(f"{directory / CLAIMS} is not the file that was judged: {digests}; judge by another file with --claims")
        return of_profile(kept, record.profile)
    ours = shipped()
    if ours.sha256 != record.claims_sha256:
        judged = f"{record.claims_file or 'a claims file'} (SHA-256 {(record.claims_sha256 or 'not recorded')[:SHORT]})"
        raise UsageError(f"{directory} was judged by {judged}, not by the table of this version; name a claims file with --claims")
    return of_profile(ours, record.profile)


def _chosen(asked_for: list[Claim], claims: Claims, record: VerifyRecord, directory: Path, *, same: bool) -> list[Claim]:
    """Give what is asked for now and was chosen then; of another file all, and at least one of which an experiment is there."""
    if same:
        if (directory / store.RUN).is_file():
            _check_chosen(record.chosen, claims, directory / store.RUN)
        chosen = [claim for claim in asked_for if claim.id in record.chosen]
        if not chosen and len(asked_for) < len(claims.claims):
            told = " or ".join(dict.fromkeys(claim.cell[0] for claim in asked_for))
            raise UsageError(f"{directory} was asked for no claim of {told or 'these'}, expected one of the rows that it judged")
        return chosen
    there = {name for claim in claims.claims for name in claim.experiments if name in record.absent or _is_there(directory, name)}
    if not there:
        raise UsageError(f"{claims.source}: no claim of profile {record.profile} has an experiment that is in {directory / EXPERIMENTS}")
    return asked_for


def _check_chosen(chosen: Sequence[str], claims: Claims, path: Path) -> None:
    """Raise UsageError where these are no claims that verify would have chosen: it takes whole rows, or all of a backend."""
    every = {claim.id: claim for claim in claims.claims}
    for name in chosen:
        if name not in every:
            raise UsageError(f"{path}: chosen claim {name!r}, {nearest(name, every)}")
    for claim in (every[name] for name in chosen):
        same = [each for each in claims.claims if each.table == claim.table]
        row = [each.id for each in same if each.cell[0] == claim.cell[0]]
        backend = [each.id for each in same if claims.backend(each) == claims.backend(claim)]
        if not (set(row) <= set(chosen) or set(backend) <= set(chosen)):
            left = next(each for each in row if each not in chosen)
            raise UsageError(f"{path}: claim {left} is not chosen and {claim.id} is, expected all claims of a row or of a backend, or none")


def _is_there(directory: Path, name: str) -> bool:
    return (directory / EXPERIMENTS / name).is_dir()


def _unlike(experiment: Experiment, ran: Plan, settings: Settings, *, same: bool) -> str | None:
    """Say in what a run differs from an experiment; the number of trials of another claims file, or one not recorded, may be any."""
    ours = same and (settings.out / store.RUN).is_file()
    return recording.difference(ran, asked.plan_of(experiment, settings if ours else replace(settings, trials=len(ran.episodes))))


def save(judged: Judged) -> list[Path]:
    """Replace the results.json of a directory and of its experiments; give where the former ones are kept, beside them.

    What a verify of an earlier version was asked for stands in its results.json only: it is recorded first. Raises UsageError
    where it was judged by another claims file, which does not say what its absent claims needed.
    """
    if judged.asked is not None and not (judged.directory / store.RUN).is_file():
        _record_first(judged.asked, judged.directory)
    kept: list[Path] = []
    for directory, found in {**judged.runs, judged.directory: judged.results}.items():
        path = directory / store.RESULTS
        if path.is_file():
            former = _free(directory)
            store.save(former, store.read_plain(path))
            kept.append(former)
        store.write(path, found)
    return kept


def _record_first(was: Asked, directory: Path) -> None:
    if not was.same:
        told = f"{directory} has no {store.RUN}, and {store.RESULTS} alone tells what was asked for"
        raise UsageError(f"{told}; save it first by {was.record.claims_file or 'its own claims file'}, then by {was.claims.source}")
    _check_chosen(was.record.chosen, was.claims, directory / store.RESULTS)
    store.save(directory / CLAIMS, was.claims.text.encode())
    store.write(directory / store.RUN, was.record)


def _free(directory: Path) -> Path:
    names = (directory / f"results-{n}.json" for n in range(1, 10_000))
    return next(path for path in names if not path.exists())
