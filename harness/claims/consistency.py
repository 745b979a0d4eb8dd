"""Whether what a results.json concludes goes with what it counted: its claims, its table, its exit code.

What must be is concluded again from what the file holds, by the functions that judge (`harness.claims.judging`,
`harness.claims.table`): no second set of rules. Only that counts go together is said here. A claim without an account, as an
earlier version wrote it, is held to what it tells beside its verdict: its rate, its anomalies, its gates and controls.
Sentences are for people and not compared: another version may word them otherwise, and a store of nights must stay readable.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from harness.claims.claim import Word
from harness.claims.counting import numbers
from harness.claims.judging import MOST_SHOWN, rate_of, word
from harness.claims.results import Account, Judgement, Results, Run, Seen, TableRow, TrialResult, Verify, joined, verdict_of
from harness.claims.table import cell, exit_code, exit_code_of_shards
from harness.judging import trials
from harness.judging.statistics import Rate
from harness.judging.verdict import Status
from harness.record.history import History

T = TypeVar("T")
FINISHED = "%Y-%m-%dT%H:%M:%SZ"
OF_TRIALS = ("rate", "gates", "numbers", "anomalies", "excused", "controls", "account")
"""What a claim has only where something was run for it."""
NEAR = 1e-6
"""By how much two libraries may compute the bound of an interval differently."""


def contradictions(found: Results) -> Iterator[str]:
    """Say in what results contradict themselves, and what must be there instead."""
    if isinstance(found, Verify):
        yield from _verify(found)
    elif isinstance(found, Run):
        yield from _run(found)


# The main job


def _verify(found: Verify) -> Iterator[str]:
    if (twice := _twice(claim.id for claim in found.claims)) is not None:
        yield f"claim {twice} stands twice, must stand once"
    for claim in found.claims:
        for told in _claim(claim):
            yield f"claim {claim.id} {told}"
    yield from _tables(found)
    yield from _table(found.rows, found.claims)
    violated = any(claim.verdict is Word.VIOLATED for claim in found.claims)
    if found.contradicts != violated:
        yield f"contradicts is {found.contradicts}, must be {violated} by its claims"
    yield from _shards(found)
    code = exit_code(found.claims, strict=found.strict)
    if found.shards:
        code = exit_code_of_shards(code, [shard.exit for shard in found.shards], found.failures)
    if found.exit != code:
        surprising = next((f": claim {claim.id} is {claim.verdict}, not expected" for claim in found.claims if not claim.expected), "")
        yield f"exit is {found.exit}, must be {code} by its claims{surprising}"
    yield from _finished(found.finished)


def _finished(finished: str | None) -> Iterator[str]:
    try:
        if finished:
            datetime.strptime(finished, FINISHED)
    except ValueError:
        yield f"finished is {finished!r}, must be a time such as 2026-11-24T04:12:07Z"


def _shards(found: Verify) -> Iterator[str]:
    """Compare shards with what was joined: each has a seed of its own, or other claims."""
    if not found.shards:
        if not isinstance(found.seed, int):
            yield f"seed is {found.seed!r}, must be a whole number"
        return
    for shard in found.shards:
        if not isinstance(shard.seed, int):
            yield f"seed of shard {shard.directory} is {shard.seed!r}, must be a whole number"
    if found.seed != (seed := joined(shard.seed for shard in found.shards)):
        yield f"seed is {found.seed!r}, must be {seed!r} by its shards"
    judged = [(name, shard.seed) for shard in found.shards for name in shard.claims]
    if (twice := _twice(judged)) is not None:
        yield f"claim {twice[0]} of seed {twice[1]} is in two shards, must be in one: trials must not count twice"
    if other := {name for name, _ in judged} ^ {claim.id for claim in found.claims}:
        yield f"claim {sorted(other)[0]} is in its claims or in its shards, must be in both"


def _tables(found: Verify) -> Iterator[str]:
    names = [table.name for table in found.tables]
    if (twice := _twice(names)) is not None:
        yield f"table {twice} stands twice, must stand once"
    for row in found.rows:
        if row.table is not None and row.table not in names:
            yield f"row {row.name} is of the table {row.table}, must be in tables"


def _table(rows: Sequence[TableRow], claims: Sequence[Judgement]) -> Iterator[str]:
    cells = [(row.table, row.name, each) for row in rows for each in row.cells]
    if (twice := _twice((table, row, each.column) for table, row, each in cells)) is not None:
        yield f"cell {', '.join(filter(None, twice))} stands twice, must stand once"
    there = {(table, (row, each.column)) for table, row, each in cells}
    if (lost := next((claim for claim in claims if (claim.table, claim.cell) not in there), None)) is not None:
        yield f"claim {lost.id} is of the cell {', '.join(filter(None, (lost.table, *lost.cell)))}, must be in rows"
    for table, row, found in cells:
        mine = [claim for claim in claims if (claim.table, claim.cell) == (table, (row, found.column))]
        names = tuple(claim.id for claim in mine)
        if found.claims != names:
            yield f"claims of the cell {row}, {found.column} are {', '.join(found.claims)!r}, must be {', '.join(names)!r}"
        both = set(found.unjudged or ()) & {claim.id for claim in claims}
        if both:
            yield f"claim {sorted(both)[0]} is judged, and stands in unjudged of {row}, {found.column}: must stand in one"
        # An earlier version does not say whether a claim of a cell was left out.
        unjudged = [("another",), ()] if found.unjudged is None else [found.unjudged]
        words = [cell(found.column, found.quote, mine, each).verdict for each in unjudged]
        if found.verdict not in words:
            yield f"verdict of the cell {row}, {found.column} is {found.verdict}, must be {words[-1]} by its claims"


def _twice(values: Iterable[T]) -> T | None:
    counts = Counter(values)
    return next((value for value, times in counts.items() if times > 1), None)


# A claim


def _claim(claim: Judgement) -> Iterator[str]:
    excused = claim.absent and claim.verdict is Word.UNAVAILABLE and Word.UNAVAILABLE not in claim.expect
    if claim.expected != (claim.verdict in claim.expect) and not excused:
        yield f"is {claim.verdict}, expected {claim.expected}, must be {not claim.expected}: it expects {' or '.join(claim.expect)}"
    if claim.absent and claim.verdict is not Word.UNAVAILABLE:
        yield f"is {claim.verdict} and absent, must be unavailable where the machine lacks what it needs"
    if claim.verdict is Word.UNAVAILABLE:
        yield from _unavailable(claim)
        return
    counted = _as_told(claim) if claim.account is None else claim.account
    yield from _account(claim, counted)
    if not _alike(claim.rate, must := rate_of(counted)):
        yield f"has the rate {_shown(claim.rate)}, must be {_shown(must)} by its account"
    concluded = _word(claim, counted)
    if claim.verdict is not concluded:
        yield f"is {claim.verdict}, must be {concluded} by its account, gates and controls"
    elif claim.account is not None:
        yield from _numbers(claim, claim.account)


def _unavailable(claim: Judgement) -> Iterator[str]:
    for name in OF_TRIALS:
        if getattr(claim, name):
            yield f"is unavailable and has {name}, must have none: nothing of it was run"


def _word(claim: Judgement, counted: Account) -> Word:
    """Give what a claim comes to by its account and what it tells beside it: gates not met, controls not condemned or missing."""
    gates = tuple(str(gate) for gate in claim.gates if not gate.met or 0 < gate.measured < gate.needed)
    missed = tuple(control.check for control in claim.controls if not control.condemned)
    lacking = () if claim.controls else ("no positive control",)
    return word(claim.document, replace(counted, unknown=counted.unknown + missed, unmet=counted.unmet + gates + lacking))


def _account(claim: Judgement, found: Account) -> Iterator[str]:
    """Compare the numbers of an account with each other, and with the anomalies that are listed."""
    if found.hits > found.n:
        yield f"has hits {found.hits} of n {found.n} in its account, must be at most n"
    classes = Counter(found.contradicting) + Counter(found.counted)
    if not found.n and (classes or found.excused):
        yield "has anomalies and n 0 in its account, must have trials that they were seen in"
    stray = {"promises": found.counted, "silent": found.contradicting}.get(claim.document)
    if stray:
        yield f"has {_classes(Counter(stray))} that it cannot have, must have none: its document {claim.document}"
    if empty := [name for name, values in found.numbers.items() if not values]:
        yield f"has no value of {empty[0]} in its account, must have one"
    hitting = sum((found.contradicting if claim.document == "promises" else found.counted).values())
    if not (found.hits <= hitting and bool(found.hits) == bool(hitting)):
        yield f"has {found.hits} trials with an anomaly that counts, must have {1 if hitting else 0} to {hitting}, the anomalies"
    if claim.account is not None:
        yield from _listed("anomalies", claim.anomalies, classes)
        yield from _listed("excused", claim.excused, Counter(found.excused))


def _listed(name: str, listed: Sequence[Seen], counted: Counter[str]) -> Iterator[str]:
    kinds = Counter(each.kind for each in listed)
    if not kinds <= counted or kinds.total() != min(MOST_SHOWN, counted.total()):
        yield f"lists {name} {_classes(kinds)}, must be {_classes(counted)} by its account, at most {MOST_SHOWN}"


def _classes(counts: Counter[str]) -> str:
    return ", ".join(f"{times} {kind}" for kind, times in sorted(counts.items())) or "none"


def _numbers(claim: Judgement, counted: Account) -> Iterator[str]:
    """Compare the numbers of a claim with its account, those that this version makes too."""
    made = numbers(counted)
    for name in sorted(claim.numbers.keys() & made.keys()):
        if claim.numbers[name] != made[name]:
            yield f"has the number {name} {claim.numbers[name]}, must be {made[name]} by its account"


def _as_told(claim: Judgement) -> Account:
    """Give an account of what a claim tells that has none."""
    listed = Counter(each.kind for each in claim.anomalies)
    told = claim.numbers.get("anomalies")
    seen = dict(listed | Counter({kind: int(times) for kind, times in told.items()})) if isinstance(told, dict) else dict(listed)
    hits = claim.rate.k if claim.rate else 0
    doubtful = claim.verdict is Word.INCONCLUSIVE
    found = Account(
        n=claim.rate.n if claim.rate else 0,
        hits=hits,
        counted=seen,
        unknown=claim.missing if doubtful else (),
        excluded=() if doubtful else claim.missing,
    )
    if claim.document == "promises":
        return replace(found, contradicting=seen, counted={})
    if claim.document == "warns" and claim.verdict is Word.VIOLATED:  # by which of them is not told
        return replace(found, contradicting=seen, counted=seen if hits else {})
    return found


def _alike(told: Rate | None, must: Rate | None) -> bool:
    if told is None or must is None:
        return told is must
    ends = [(told.low, must.low), (told.high, must.high), (told.upper or 0, 0 if told.upper is None else must.bound)]
    return (told.k, told.n) == (must.k, must.n) and all(math.isclose(a, b, abs_tol=NEAR) for a, b in ends)


def _shown(found: Rate | None) -> str:
    return "no trial" if found is None else f"{found} ({found.low:.3g} to {found.high:.3g}, at most {found.bound:.3g})"


# A run


def _run(found: Run) -> Iterator[str]:
    statuses = []
    for trial in found.trials:
        for name, check in trial.checks.items():
            if check.anomalies and check.status != "invalid":
                yield f"trial {trial.n}: check {name} is {check.status}, must be invalid by its anomalies"
        statuses.append(_status(trial))
        if trial.status is not None and trial.status != str(statuses[-1]):
            yield f"trial {trial.n} is {trial.status}, must be {statuses[-1]} by its checks"
    status = max(statuses, default=Status.UNKNOWN)
    cut_short = found.broken is not None and status is Status.VALID  # then it is unknown; valid where an earlier version wrote it
    if found.status != str(status) and not (cut_short and found.status == "unknown"):
        yield f"status is {found.status}, must be {status} by its trials"
    code = trials.exit_code(status, found.broken, History(()))
    if found.exit not in (code, 70):  # a bug of ours is only in the history
        yield f"exit is {found.exit}, must be {code} by its status"
    yield from _finished(found.finished)


def _status(trial: TrialResult) -> Status:
    """Give what a trial comes to by its checks; one that was not valid may be unknown whatever was seen in it."""
    if trial.status == "unknown" and not all(gate.met for gate in trial.gates):
        return Status.UNKNOWN
    return verdict_of(trial.checks).status
