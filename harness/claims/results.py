"""results.json: what was concluded, as one definition for all that write, read, join, judge and draw it.

A value of a wrong kind, or a rate above 1, is refused. Unknown fields are passed over, since fields may be added under the
same number. Fields with a default are those that an earlier version did not write. Files are read by `harness.claims.reading`.

The JSON Schema in docs/ is made of these types (`schema`). Rejected: the schema as the source (types, checks and readers would
be written by hand all the same). Meaning of the fields: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from harness.claims.claim import Claims, Document, Side, Text, Word
from harness.driving.plan import Plan
from harness.judging.gates import Gate
from harness.judging.statistics import Rate
from harness.judging.verdict import Anomaly, Verdict, combine
from harness.judging.verdict import Status as Order

FORMAT: Literal[1] = 1
P = TypeVar("P", bound=str | int | float | bool | None)
STATUSES = {str(each): each for each in Order}
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Status = Literal["valid", "unknown", "invalid"]
Exit = Literal[0, 1, 2, 3, 64, 70, 130]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**9)] | Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
Plain = str | int | float | bool | None
Classes = dict[str, Annotated[int, msgspec.Meta(ge=1, le=2**53)]]
Shown = Literal["violated", "inconclusive", "unavailable", "finding", "not-seen", "as-documented", "holds", "not judged"]
Numbers = dict[str, Number] | list[Number]


# One run


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a check made of a trial."""

    status: Status
    summary: str
    numbers: dict[str, Any]
    anomalies: tuple[Anomaly, ...]


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that is not void. `status` is the worst of its checks, unknown where it was not valid."""

    n: Count
    checks: dict[str, CheckResult]
    status: Status | None = None
    faults: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """When and by which commit of Holdwater something was judged again; `environment` is what ran it."""

    at: str
    commit: str | None


class Run(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="run"):
    """What was concluded of a run."""

    holdwater: Literal[1]
    status: Status
    exit: Exit
    command: str
    directory: str
    plan: Plan
    seconds: Seconds
    trials: tuple[TrialResult, ...]
    versions: dict[str, str] = {}
    finished: str | None = None
    late_us: dict[str, Number] = {}
    voids: tuple[str, ...] = ()
    broken: str | None = None
    operations: dict[str, Count] = {}
    again: Again | None = None


def verdict_of(checks: Mapping[str, CheckResult]) -> Verdict:
    """Give what the checks of a trial come to, with the anomalies of each."""
    return combine(
        {name: Verdict(STATUSES[each.status], each.summary, each.anomalies, numbers=each.numbers) for name, each in checks.items()}
    )


# The main job


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted for a claim. Accounts of shards add up, and word, sentence and numbers are made of the sum.

    `contradicting`, `counted` (those that count and contradict nothing) and `excused` are anomalies by class, each once.
    The reasons stand in the way: `unknown` of every verdict but a counterexample, `excluded` (trials that do not count),
    `doubts` and `unmet` of a verdict that nothing was seen. `numbers` are what checks reported, a value a trial.
    """

    n: Count = 0
    hits: Count = 0
    counted: Classes = {}
    contradicting: Classes = {}
    excused: Classes = {}
    unknown: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    numbers: dict[str, tuple[Number, ...]] = {}
    cuts_s: tuple[Number, ...] = ()
    ttls_ms: tuple[Number, ...] | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An anomaly and where it was seen."""

    experiment: str
    trial: Count
    kind: str
    message: str
    key: str | None = None


class ControlResult(msgspec.Struct, frozen=True):
    """Whether a check condemned what was planted."""

    check: str
    planted: str
    condemned: bool
    detail: str = ""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What we conclude of a claim: its definition, the word, and all that was counted.

    `rate` is of valid trials with an anomaly that counts; `gates` hold the worst trial's measurement of each. `missing` says
    what stood in the way of a verdict, or of counting a trial. `anomalies` are the first ones, those that contradict before the
    others; `excused` were seen and not counted. `bug` is an error of ours: exit 70. `absent`: this machine lacks what it needs,
    another one may not. `account` None: nothing was counted, or an earlier version wrote it.
    """

    id: Text
    cell: tuple[Text, Text]
    table: str | None = None
    sentence: Text
    conditions: Text
    document: Document
    expect: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)]
    unit: Text
    verdict: Word
    expected: bool
    said: str
    quote: str | None = None
    rate: Rate | None
    missing: tuple[str, ...]
    remedy: str | None
    absent: bool = False
    infrastructure: str | None = None
    bug: str | None = None
    gates: tuple[Gate, ...]
    numbers: dict[str, Numbers]
    anomalies: tuple[Seen, ...]
    excused: tuple[Seen, ...] = ()
    voids: tuple[str, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    experiments: tuple[str, ...]
    evidence: tuple[str, ...]
    repeat: str | None = None
    account: Account | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of a documented table: the document's words, the worst of its claims, and their ids.

    `unjudged` are claims of this cell that were not chosen; None where an earlier version wrote it.
    """

    column: str
    quote: str | None
    verdict: Shown
    claims: tuple[str, ...]
    unjudged: tuple[str, ...] | None = None


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a documented table. `table` None: the one that has no name. `says`: the document's words on the row, by column."""

    name: str
    cells: tuple[Cell, ...]
    table: str | None = None
    says: dict[str, str] = {}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A documented table that has a name: the title of its first column, and which side names the backends."""

    name: Text
    row: Text
    backends: Side = "rows"


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One verify of several that were joined."""

    directory: str
    seed: int | str | None
    exit: Exit
    seconds: Seconds
    claims: tuple[str, ...]
    command: str | None = None
    finished: str | None = None
    versions: dict[str, str] = {}
    environment: dict[str, Plain] = {}


def tables_of(claims: Claims) -> tuple[Table, ...]:
    """Give the named tables of a claims file."""
    return tuple(Table(name=table.name, row=table.row, backends=table.backends) for table in claims.tables)


class Verify(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verify"):
    """What was concluded of the documented tables. `broken`: why it could not be drawn, in what is printed and not on disk.

    `jobs` experiments ran at once; those in `repeated` were run again alone, with what was in doubt at first.
    """

    holdwater: Literal[1]
    profile: str
    seed: int | str | None
    on: str
    strict: bool = False
    seconds: Seconds
    finished: str | None = None
    exit: Exit
    headline: str
    claims_file: str | None = None
    claims_sha256: str | None = None
    contradicts: bool
    command: str
    directory: str
    tables: tuple[Table, ...] = ()
    rows: tuple[TableRow, ...]
    claims: tuple[Judgement, ...]
    elsewhere: tuple[str, ...] = ()
    failures: dict[str, str] = {}
    versions: dict[str, str] = {}
    environment: dict[str, Plain] = {}
    jobs: Count = 1
    repeated: dict[str, str] = {}
    shards: tuple[Shard, ...] = ()
    again: Again | None = None
    broken: str | None = None


# The planted bugs


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one workload saw of a mutant: in how many trials, and how soon (s, the median)."""

    detected: Count
    first_s: Number | None


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """A mutant (None: the reference) of a backend, in quiet or under a fault: in how many trials it was condemned, by which checks, when.

    `by`: what each workload saw of it. A mutant was `found` in a seed where one of that seed's trials condemned it. `broken`: what the
    machine lacked in a run that would have been needed.
    """

    backend: str
    mutant: str | None
    trials: Count
    detected: Count
    checks: tuple[str, ...]
    first_s: Number | None
    fault: str | None = None
    seeds: Count = 1
    found: Count = 0
    by: dict[str, Share] = {}
    broken: str | None = None

    @property
    def good(self) -> bool:
        """Say whether a mutant was found in 9 of 10 seeds, or the reference condemned in none."""
        if self.mutant is None:
            return self.detected == 0 and self.trials > 0 and self.broken is None
        found = max(self.found, int(self.detected > 0))  # a result of before there were seeds does not say it
        return 10 * found >= 9 * self.seeds > 0


class SelfTest(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="selftest"):
    """The detection matrix."""

    holdwater: Literal[1]
    detections: tuple[Detection, ...]

    @property
    def bad(self) -> tuple[Detection, ...]:
        """Give the references that were condemned, and the mutants that no row found: one fault that shows a mutant is enough."""
        return tuple(each for each in self._in_doubt if each.broken is None or (each.mutant is None and each.detected))

    @property
    def broken(self) -> tuple[Detection, ...]:
        """Give what the machine left open."""
        return tuple(each for each in self._in_doubt if each not in self.bad)

    @property
    def _in_doubt(self) -> tuple[Detection, ...]:
        found = {(each.backend, each.mutant) for each in self.detections if each.good and each.mutant is not None}
        return tuple(each for each in self.detections if not each.good and (each.backend, each.mutant) not in found)


Results = Run | Verify | SelfTest


def convert(value: Any) -> Results:
    """Give the results that JSON's dicts and lists hold; raise msgspec.ValidationError where they are none."""
    found: Results = msgspec.convert(value, Results)
    return found


def kind(results: Results) -> str:
    """Give the word for what was done: run, verify or selftest."""
    return str(results.__struct_config__.tag)


def exit_of(code: int) -> Exit:
    """Give an exit code that results may hold."""
    return next(each for each in get_args(Exit) if each == code)


def joined(values: Iterable[P]) -> P | str:
    """Give the one value that all shards have, else the different ones as a text."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else ", ".join(map(str, found))


def schema() -> Mapping[str, Any]:
    """Give the JSON Schema of a results.json."""
    made = msgspec.json.schema(Results)
    return {"$schema": DIALECT, "title": "results.json of Holdwater, format 1", **made}
