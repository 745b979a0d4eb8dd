"""Shards of the main job joined into one table: each verify judged some rows, or some trials of the same claims.

Only results.json files are read, and no history is judged again. A claim of one shard is taken as it is. Of a claim
of several the accounts add up, and word, sentence and cell are made of the sum by the functions that judge: as if all
trials had run on one machine. A machine that lacked what a claim needs adds no trial and no doubt.

Trials must be different ones to add up: a shard twice, or two of one seed, is refused. So is a claim of several shards of
which one has no account, since an earlier version wrote it. A shard that is not there or not readable is named among the
failures and makes the exit code 3: what it would have found is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from harness import program
from harness.claims import reading
from harness.claims.claim import Word
from harness.claims.counting import numbers, together, worst
from harness.claims.judging import MOST_SHOWN, SHARDS_DIFFER, missing, rate_of, said, word
from harness.claims.results import FORMAT, Account, Cell, Judgement, Plain, Table, TableRow, Verify, exit_of, joined
from harness.claims.results import Shard as Part
from harness.claims.table import cell, exit_code, exit_code_of_shards, headline
from harness.errors import UsageError
from harness.record import store

DEFINITION = ("table", "cell", "quote", "sentence", "conditions", "document", "unit", "expect")
EVIDENCE = "evidence"
UNKNOWN = ("another claim of this cell",)
"""What an earlier version's cell lacks where it is in doubt, and none of its claims is."""
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Shard:
    """What a directory held: its results, or why there are none."""

    directory: Path
    results: Verify | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class There:
    """A shard that has results."""

    directory: Path
    results: Verify

    @property
    def path(self) -> Path:
        """Give the file that they are in."""
        return self.directory / store.RESULTS


def read(directory: Path) -> Shard:
    """Read a shard; what is missing or broken is told and not raised. Raises UsageError where it contradicts itself."""
    try:
        return Shard(directory, reading.read_verify(directory))
    except reading.Contradiction:
        raise
    except UsageError as error:
        return Shard(directory, None, str(error))


def merge(shards: Sequence[Shard], *, directory: Path, command: str) -> Verify:
    """Join shards into the results of one verify; raise UsageError where they do not belong together, or none is there."""
    there = [There(shard.directory, shard.results) for shard in shards if shard.results is not None]
    if not there:
        raise UsageError(f"no shard has results: {shards[0].failure if shards else 'none was named'}")
    _check_same_settings(there)
    judgements = {name: _joined_claim(parts) for name, parts in _parts(there).items()}
    every = [each.results for each in there]
    tables, rows = _tables(every), _rows(every, judgements)
    failures = _failures(shards, there)
    parts = tuple(part for each in there for part in _described(each))
    code = exit_code(list(judgements.values()), strict=any(each.strict for each in every))
    return Verify(
        holdwater=FORMAT,
        profile=every[0].profile,
        seed=joined(part.seed for part in parts),
        on=str(joined(each.on for each in every)),
        strict=any(each.strict for each in every),
        seconds=max(each.seconds for each in every),
        finished=max(each.finished or "" for each in every) or None,
        exit=exit_of(exit_code_of_shards(code, [part.exit for part in parts], failures)),
        headline=_absent(headline(rows, judgements, tables), shards),
        contradicts=any(each.verdict is Word.VIOLATED for each in judgements.values()),
        command=command,
        directory=str(directory),
        claims_file=every[0].claims_file,
        claims_sha256=every[0].claims_sha256,
        tables=tables,
        rows=rows,
        claims=tuple(judgements.values()),
        elsewhere=tuple(sorted({name for each in every for name in each.elsewhere} - set(judgements))),
        failures=failures,
        jobs=max(each.jobs for each in every),
        repeated={name: why for each in reversed(every) for name, why in each.repeated.items()},
        versions={name: str(value) for name, value in _joined_values(each.versions for each in every).items()},
        environment=_joined_values(each.environment for each in every),
        shards=parts,
    )


def _failures(shards: Sequence[Shard], there: Sequence[There]) -> dict[str, str]:
    failures = {str(shard.directory): shard.failure for shard in shards if shard.failure is not None}
    for shard in there:
        for name, reason in shard.results.failures.items():
            failures[f"{name} in {shard.directory}" if name in failures else name] = reason
    return failures


def _absent(text: str, shards: Sequence[Shard]) -> str:
    """Give the headline with the shards of which there is nothing."""
    absent = [str(shard.directory) for shard in shards if shard.failure is not None]
    return f"{text} {len(absent)} of {len(shards)} shards left no results: {', '.join(absent)}." if absent else text


def _described(shard: There) -> tuple[Part, ...]:
    """Say what a shard was; one that was joined from others is as many as these."""
    found = shard.results
    if found.shards:
        return found.shards
    return (
        Part(
            directory=str(shard.directory),
            seed=found.seed,
            exit=found.exit,
            command=found.command,
            seconds=found.seconds,
            finished=found.finished,
            versions=found.versions,
            environment=found.environment,
            claims=tuple(claim.id for claim in found.claims),
        ),
    )


def _check_same_settings(there: Sequence[There]) -> None:
    first = there[0]
    for shard in there[1:]:
        if shard.results.profile != first.results.profile:
            told = f"profile {shard.results.profile!r}, expected {first.results.profile!r} as in {first.path}"
            raise UsageError(f"{shard.path}: {told}")
        if shard.results.claims_sha256 != first.results.claims_sha256:
            told = f"judged {_document(shard.results)}, expected {_document(first.results)} as in {first.path}: one document"
            raise UsageError(f"{shard.path}: {told}")
    seen: dict[tuple[str, int | str | None], Path] = {}
    for shard in there:
        for part in _described(shard):
            for name in part.claims:
                if (before := seen.setdefault((name, part.seed), shard.directory)) is not shard.directory:
                    told = f"claim {name} of seed {part.seed} is in {before / store.RESULTS} too, expected another seed or other rows"
                    raise UsageError(f"{shard.path}: {told}: trials must not count twice")


def _document(found: Verify) -> str:
    digest = found.claims_sha256
    return f"{found.claims_file} (SHA-256 {digest[:12]}...)" if digest else "a claims file that it does not name"


def texts(shards: Sequence[Shard], joined: Verify) -> dict[str, str]:
    """Give the evidence of what was joined that is a plain file inside its shard, each path with its name in the folder of all.

    Raises UsageError where a link leads to one.
    """
    found: dict[str, str] = {}
    for number, claim in enumerate(joined.claims):
        for n, path in enumerate(claim.evidence):
            if path.endswith(".txt") and any(store.is_plain(Path(path), shard.directory) for shard in shards):
                found[path] = f"{EVIDENCE}/{number}-{n}.txt"
    return found


def gather(joined: Verify, found: Mapping[str, str], directory: Path) -> Verify:
    """Copy these texts into the folder of what was joined, which then goes from machine to machine as one."""
    for path, name in found.items():
        (directory / name).parent.mkdir(exist_ok=True)
        store.save(directory / name, store.read_text(Path(path)))
    moved = {path: str(directory / name) for path, name in found.items()}
    claims = (replace(claim, evidence=tuple(moved.get(path, path) for path in claim.evidence)) for claim in joined.claims)
    return replace(joined, claims=tuple(claims))


# Claims


def _parts(there: Sequence[There]) -> dict[str, list[tuple[There, Judgement]]]:
    """Give each claim as its shards hold it, with the paths as they are now; raise UsageError where two define it differently."""
    parts: dict[str, list[tuple[There, Judgement]]] = {}
    for shard in there:
        for claim in shard.results.claims:
            mine = replace(claim, evidence=_moved(claim.evidence, shard), experiments=_moved(claim.experiments, shard))
            of = parts.setdefault(claim.id, [])
            if of:
                _check_same_definition(of[0], (shard, claim))
            of.append((shard, mine))
    return parts


def _moved(paths: Iterable[str], shard: There) -> tuple[str, ...]:
    return tuple(str(store.moved(each, shard.results.directory, shard.directory)) for each in paths)


def _check_same_definition(first: tuple[There, Judgement], other: tuple[There, Judgement]) -> None:
    for name in DEFINITION:
        found, expected = getattr(other[1], name), getattr(first[1], name)
        if found != expected:
            raise UsageError(f"{other[0].path}: claim {other[1].id} has {name} {found!r}, expected {expected!r} as in {first[0].path}")


def _joined_claim(parts: Sequence[tuple[There, Judgement]]) -> Judgement:
    """Give a claim joined from all shards that judged it."""
    every = [claim for _, claim in parts]
    if len(every) == 1:
        return every[0]
    there = [(shard, claim) for shard, claim in parts if not claim.absent]
    if all(claim.verdict is Word.UNAVAILABLE for _, claim in there):
        return _evidence_of(every, _unavailable(every))
    counted = together([_account(shard, claim) for shard, claim in there])
    first = there[0][1]
    concluded = word(first.document, counted)
    differ = {str(claim.verdict) for claim in every} != {str(concluded)}
    shares = ", ".join(f"{shard.directory}: {claim.verdict}" for shard, claim in parts)
    joined = replace(
        first,
        verdict=concluded,
        expected=concluded in first.expect,
        rate=rate_of(counted),
        said=said(first, concluded, counted) + (f"{SHARDS_DIFFER}{shares}" if differ else ""),
        missing=missing(concluded, counted),
        remedy=next((claim.remedy for claim in every if claim.verdict is concluded and claim.remedy), None),
        numbers=numbers(counted),
        account=counted,
    )
    return _evidence_of(every, joined)


def _account(shard: There, claim: Judgement) -> Account:
    """Give what a shard counted; raise UsageError where an earlier version wrote no account."""
    if claim.verdict is Word.UNAVAILABLE:
        return Account(unknown=claim.missing)
    if claim.account is None:
        again = program.command("judge", str(shard.directory), "--save")
        raise UsageError(f"{shard.path}: claim {claim.id} has no account, an earlier version wrote it; judge it again first: {again}")
    return claim.account


def _unavailable(every: Sequence[Judgement]) -> Judgement:
    """Give a claim that no shard could judge: as expected where all say so, and where one lacks nothing as that one says."""
    first = next((claim for claim in every if not claim.absent), every[0])
    return replace(
        first,
        expected=Word.UNAVAILABLE in first.expect or (first.absent and all(claim.expected for claim in every)),
        missing=tuple(dict.fromkeys(reason for claim in every for reason in claim.missing)),
        remedy=next((claim.remedy for claim in every if claim.remedy), None),
    )


def _evidence_of(every: Sequence[Judgement], joined: Judgement) -> Judgement:
    """Give a joined claim what all shards found."""
    return replace(
        joined,
        absent=all(claim.absent for claim in every),
        infrastructure=next((claim.infrastructure for claim in every if claim.infrastructure), None),
        bug=next((claim.bug for claim in every if claim.bug), None),
        gates=worst(gate for claim in every for gate in claim.gates),
        anomalies=_all(claim.anomalies for claim in every)[:MOST_SHOWN],
        excused=_all(claim.excused for claim in every)[:MOST_SHOWN],
        voids=_all(claim.voids for claim in every),
        controls=_all(claim.controls for claim in every),
        experiments=_all(claim.experiments for claim in every),
        evidence=_all(claim.evidence for claim in every),
    )


def _all(parts: Iterable[tuple[V, ...]]) -> tuple[V, ...]:
    return tuple(each for part in parts for each in part)


# The tables


def _tables(found: Sequence[Verify]) -> tuple[Table, ...]:
    """Give the tables of all shards; raise UsageError where two shards have one differently."""
    tables: dict[str, Table] = {}
    for table in (table for each in found for table in each.tables):
        if (first := tables.setdefault(table.name, table)) != table:
            raise UsageError(f"shards have the table {table.name} as {table} and as {first}, expected one document")
    return tuple(tables.values())


def _rows(found: Sequence[Verify], judgements: Mapping[str, Judgement]) -> tuple[TableRow, ...]:
    """Give the rows of all shards in the order in which they are first met, each cell with the worst of its claims."""
    rows: dict[tuple[str | None, str], list[TableRow]] = {}
    for row in (row for each in found for row in each.rows):
        rows.setdefault((row.table, row.name), []).append(row)
    return tuple(_row(same, judgements) for same in rows.values())


def _row(same: Sequence[TableRow], judgements: Mapping[str, Judgement]) -> TableRow:
    first = same[0]
    columns: dict[str, list[Cell]] = {}
    for row in same:
        if row.says != first.says:
            raise UsageError(f"shards quote {row.name} as {row.says} and as {first.says}, expected one document")
        for part in row.cells:
            columns.setdefault(part.column, []).append(part)
    return replace(first, cells=tuple(_cell(first.name, parts, judgements) for parts in columns.values()))


def _cell(row: str, same: Sequence[Cell], judgements: Mapping[str, Judgement]) -> Cell:
    quotes = list(dict.fromkeys(part.quote for part in same if part.quote))
    if len(quotes) > 1:
        raise UsageError(f"shards quote {row}, {same[0].column} as {quotes[1]!r} and as {quotes[0]!r}, expected one document")
    mine = [judgements[name] for name in dict.fromkeys(name for part in same for name in part.claims) if name in judgements]
    judged = {each.id for each in mine}
    parts = [part for part in same if part.claims]
    left = [each for part in parts for each in _unjudged(part, judgements) if each not in judged]
    if any(not _unjudged(part, judgements) for part in parts):
        left = []  # a shard judged all of its claims
    return cell(same[0].column, quotes[0] if quotes else None, mine, tuple(dict.fromkeys(left)))


def _unjudged(part: Cell, judgements: Mapping[str, Judgement]) -> tuple[str, ...]:
    """Name the claims of a cell that a shard did not choose; of an earlier version's cell it is known only that there are some."""
    if part.unjudged is not None:
        return part.unjudged
    doubted = any(judgements[name].verdict is Word.INCONCLUSIVE for name in part.claims if name in judgements)
    return UNKNOWN if part.verdict == "inconclusive" and not doubted else ()


def _joined_values(found: Iterable[Mapping[str, Plain]]) -> dict[str, Plain]:
    every = list(found)
    names = dict.fromkeys(name for each in every for name in each)
    return {name: joined(each[name] for each in every if name in each) for name in names}
