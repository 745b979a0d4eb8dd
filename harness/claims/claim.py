"""Claims as values: the documented tables, what is run, and the falsifiable statements behind the cells.

A cell of a documented table is prose; a claim is the statement behind it that a counterexample can refute.
Format of the file: docs/claims.md; reading: `harness.claims.file`; judging: `harness.claims.judging`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

from harness import registry
from harness.errors import UsageError
from harness.judging.check import check_of, workloads_of
from harness.registry import nearest

COLUMNS = {"mutual_exclusion": "Mutual exclusion", "failover_safety": "Failover safety", "recommendation": "Recommendation"}

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Trials = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=3600)] | Annotated[float, msgspec.Meta(ge=0, le=3600)]
Phase = Literal["begin", "active", "healing", "healed", "settled"]
Document = Literal["promises", "warns", "silent"]
Side = Literal["rows", "columns"]


class Word(StrEnum):
    """The verdicts on a claim, worst first."""

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    UNAVAILABLE = "unavailable"
    FINDING = "finding"
    NOT_SEEN = "not-seen"
    AS_DOCUMENTED = "as-documented"
    HOLDS = "holds"

    @property
    def rank(self) -> int:
        """Order from 0, the worst."""
        return list(Word).index(self)


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A planted bug, or an experiment on a weaker setting, that a check must condemn."""

    check: str
    mutant: str | None = None
    experiment: str | None = None


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run, shared by claims. `options` by workload, and plain ones for the run (rate, concurrency, deadline_s)."""

    name: Text
    deployment: Text
    variant: Text
    workloads: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    faults: tuple[Text, ...] = ()
    timeline: dict[str, Seconds]
    trials: dict[str, Trials]
    controls: tuple[Control, ...] = ()
    options: dict[str, Any] = {}


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Between which phases what an anomaly concerns must have been live to be what the document warns of.

    From `begin` where a fault loses what is acknowledged during it (a split brain), from `steady` where
    it loses all that was there (a restart without a disk). Nothing that stood before the fault is excused.
    """

    since: Literal["steady"] | Phase = "begin"
    until: Phase = "settled"


class Bound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """So many seconds after the fault's begin nothing more may happen."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    since: Literal["begin"] = "begin"

    @property
    def ns(self) -> int:
        """Give the bound in nanoseconds."""
        return round(self.seconds * 1_000_000_000)


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A falsifiable statement behind a cell. `anomalies` count; `excuses` are reported; `gates` are its own numbers.

    `table` is the one that its row is in, None where that has no name; once a file is read it is always known.
    """

    id: Text
    cell: tuple[Text, Text]
    table: Text | None = None
    sentence: Text
    conditions: Text
    document: Document
    expect: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1)]
    quote: str | None = None
    experiments: tuple[Text, ...] = ()
    unit: Text = "trials"
    anomalies: tuple[Text, ...] = ()
    excuses: tuple[Text, ...] = ()
    window: Window | None = None
    bound: Bound | None = None
    gates: dict[str, Count] = {}
    requires: Text | None = None
    remedy: Text | None = None

    @property
    def checks(self) -> tuple[str, ...]:
        """Give the checks that its classes need, excused ones included."""
        return tuple(dict.fromkeys(check.name for kind in (*self.anomalies, *self.excuses) if (check := check_of(kind)) is not None))


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A documented table: `row` is the title of its first column, each cell of `columns` gets a verdict.

    `about` are the columns that only say what a row is. `backends` says which side names them.
    """

    name: Text
    row: Text = "Backend"
    about: tuple[Text, ...] = ()
    columns: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    backends: Side = "rows"


UNNAMED = Table(name="", columns=tuple(COLUMNS.values()))
"""The table of the rows that name none."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of a documented table, in the document's own words. Three columns have a field; `says` has any."""

    name: Text
    table: Text | None = None
    mutual_exclusion: Text | None = None
    failover_safety: Text | None = None
    recommendation: Text | None = None
    says: dict[Text, Text] = {}

    @property
    def quotes(self) -> dict[str, str]:
        """Give what the document says, by column."""
        given = {column: getattr(self, field) for field, column in COLUMNS.items()}
        return {column: words for column, words in given.items() if words is not None} | self.says


@dataclass(frozen=True, slots=True)
class Claims:
    """A claims file: the documented tables, the experiments by name in the file's order, and the claims."""

    source: str
    rows: tuple[Row, ...]
    experiments: Mapping[str, Experiment]
    claims: tuple[Claim, ...]
    elsewhere: tuple[str, ...] = ()  # claims that only another profile judges
    sha256: str = ""  # of the file: shards of one document have the same
    text: str = field(default="", repr=False)
    tables: tuple[Table, ...] = ()

    def table(self, name: str | None) -> Table:
        """Give a table by its name, None for that of the rows that name none."""
        return next((table for table in self.tables if table.name == name), UNNAMED)

    def backend(self, claim: Claim) -> str:
        """Give the backend that a claim speaks of, as its table calls it."""
        row, column = claim.cell
        return row if self.table(claim.table).backends == "rows" else column


def needed_checks(claim: Claim, experiment: Experiment) -> tuple[str, ...]:
    """Give the checks of a claim that an experiment serves: those of its workloads; a workload not known here serves all."""
    strange = not set(experiment.workloads) <= set(registry.names("workloads"))
    return tuple(check for check in claim.checks if strange or set(workloads_of(check)) & set(experiment.workloads))


def in_its_table(claim: Claim, rows: Sequence[Row]) -> Claim:
    """Give a claim with the table that its row is in, where it does not name one itself."""
    found = [row.table for row in rows if row.name == claim.cell[0]]
    return claim if claim.table is not None or not found else msgspec.structs.replace(claim, table=found[0])


def row_word(name: str) -> str:
    """Give a name of a table as a word of a command line: "Redis (Sentinel)" is redis-sentinel, and "Redis (single)" plain redis."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removesuffix("-single")


def names_by_word(claims: Claims) -> dict[str, list[str]]:
    """Give the rows and the backends of the tables by the words that name them: their own, and the deployments they are judged on."""
    backends = [claims.backend(claim) for claim in claims.claims]
    columns = [column for table in claims.tables if table.backends == "columns" for column in table.columns]
    names = list(dict.fromkeys([*(row.name for row in claims.rows), *(claim.cell[0] for claim in claims.claims), *columns]))
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(row_word(name), []).append(name)
    for claim, backend in zip(claims.claims, backends, strict=True):
        for deployment in [claims.experiments[name].deployment for name in claim.experiments]:
            if deployment not in map(row_word, names) and backend not in found.setdefault(deployment, []):
                found[deployment].append(backend)
    return found


def of_profile(claims: Claims, profile: str) -> Claims:
    """Give the claims that can be judged in a profile: those whose experiments all have trials there, and those without any."""
    kept = [claim for claim in claims.claims if all(profile in claims.experiments[name].trials for name in claim.experiments)]
    return replace(claims, claims=tuple(kept), elsewhere=tuple(claim.id for claim in claims.claims if claim not in kept))


def choose(claims: Claims, rows: Sequence[str], tables: Sequence[str] = ()) -> list[Claim]:
    """Give the claims of these rows or backends in these tables, all where none is named; raise UsageError on an unknown one."""
    names = _meant("row", rows, names_by_word(claims))
    of = _meant("table", tables, {row_word(table.name): [table.name] for table in claims.tables})
    return [
        claim
        for claim in claims.claims
        if (not rows or claim.cell[0] in names or claims.backend(claim) in names) and (not tables or claim.table in of)
    ]


def _meant(kind: str, said: Sequence[str], by_word: Mapping[str, Sequence[str]]) -> set[str]:
    """Give the names that are meant by what was said: each a name, or a word for one or several."""
    found: set[str] = set()
    for each in said:
        word = each if each in by_word else row_word(each)
        if word not in by_word:
            raise UsageError(f"unknown {kind} {each!r}, {nearest(word, by_word)}")
        found |= set(by_word[word])
    return found
