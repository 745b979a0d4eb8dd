"""Claims as data: guarantees.toml read into records, or refused with file, line and the nearest right word.

A cell of the documented table is prose; a claim is the falsifiable statement behind it. The file is
strict: a misspelt field, class, gate, workload's need or name is an error before anything runs, since
an open map would let a claim hold by never being asked. Format: docs/claims.md; judging: `harness.claims.judging`.

Rejected: claims as Python (users write their own table, and a table is reviewed as a table), YAML (`no`
is a boolean, and so is the failover of Norway).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec

from harness import registry
from harness.errors import UsageError
from harness.judging import gates
from harness.judging.check import check_of, every_check, workloads_of
from harness.judging.counts import needs_bound
from harness.judging.kind import every_kind
from harness.record import store
from harness.registry import nearest

FORMAT = 1
MOST_GRANTS = 1000
MOST_BYTES = 10_000_000
LONGEST_CHAIN = 20  # of tables that are like each other
SHOWN = 100  # characters of a line in an error
COLUMNS = {"mutual_exclusion": "Mutual exclusion", "failover_safety": "Failover safety", "recommendation": "Recommendation"}
TIMELINE = ("quiet_s", "fault_s", "after_s", "grants")
PROFILES = ("quick", "nightly")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Trials = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=3600)] | Annotated[float, msgspec.Meta(ge=0, le=3600)]
Phase = Literal["begin", "active", "healing", "healed", "settled"]


class BadClaims(UsageError):
    """A user's mistake in a claims file: one line with file, line number, what was found and what was expected. Exit 64."""


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
    """A falsifiable statement behind a cell. `anomalies` count; `excuses` are reported; `gates` are its own numbers."""

    id: Text
    cell: tuple[Text, Text]
    sentence: Text
    conditions: Text
    document: Literal["promises", "warns", "silent"]
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


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of the documented table, in the document's own words."""

    name: Text
    mutual_exclusion: Text | None = None
    failover_safety: Text | None = None
    recommendation: Text | None = None

    @property
    def quotes(self) -> dict[str, str | None]:
        """Give what the document says, by column."""
        return {column: getattr(self, field) for field, column in COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class Claims:
    """A claims file: the documented table, the experiments by name in the file's order, and the claims."""

    source: str
    rows: tuple[Row, ...]
    experiments: Mapping[str, Experiment]
    claims: tuple[Claim, ...]
    elsewhere: tuple[str, ...] = ()  # claims that only another profile judges
    sha256: str = ""  # of the file: shards of one document have the same


DOCUMENTS, WINDOW = ("promises", "warns", "silent"), ("steady", *get_args(Phase))
WORDS: Mapping[str, tuple[str, ...]] = {
    "expect": tuple(map(str, Word)),
    "document": DOCUMENTS,
    "window.from": WINDOW,
    "window.to": WINDOW[1:],
    "bound.from": WINDOW[1:2],
}
"""The words that a field may hold."""

EXPECTED: Mapping[str, str] = {
    "cell": "a row and a column, two texts",
    **dict.fromkeys(("deployment", "variant"), "a name, see: holdwater list backends"),
    "workloads": 'a list of at least one name, such as ["lock"]',
    "faults": 'a list of names, such as ["cut", "kill"]',
    "timeline": "a table of seconds from 0 to 3600, such as { quiet_s = 1.0, fault_s = 2.0, after_s = 1.0 }",
    "trials": "a table of whole numbers from 1 to 10000, such as { quick = 4, nightly = 40 }",
    "controls": 'a list of tables, such as [{ check = "lease", mutant = "ttl-early" }]',
    "options": "a table, such as { rate = 30, lock = { anchors = 2 } }",
    "document": f"one of: {', '.join(DOCUMENTS)}",
    "expect": f"a list of at least one of: {', '.join(Word)}",
    **dict.fromkeys(("experiments", "anomalies", "excuses"), "a list of names"),
    "window": 'a table, such as { from = "begin", to = "settled" }',
    "bound": 'a table with seconds above 0 and at most 3600, such as { from = "begin", seconds = 3.0 }',
    "gates": "a table of whole numbers from 0 to 1000000, such as { held_across = 2 }",
}
"""What each field holds; a text that is not empty where it is not here."""

NESTED: Mapping[str, type[msgspec.Struct]] = {"window": Window, "bound": Bound, "controls": Control}


def needed_checks(claim: Claim, experiment: Experiment) -> tuple[str, ...]:
    """Give the checks of a claim that an experiment serves: those of its workloads; a workload not known here serves all."""
    strange = not set(experiment.workloads) <= set(registry.names("workloads"))
    return tuple(check for check in claim.checks if strange or set(workloads_of(check)) & set(experiment.workloads))


def row_word(name: str) -> str:
    """Give a row's name as a word of a command line: "Redis (Sentinel)" is redis-sentinel, and "Redis (single)" plain redis."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").removesuffix("-single")


def rows_by_word(claims: Claims) -> dict[str, list[str]]:
    """Give the rows of a table by the words that name them: their own, and the deployments that they are judged on."""
    names = list(dict.fromkeys([*(row.name for row in claims.rows), *(claim.cell[0] for claim in claims.claims)]))
    found = {row_word(name): [name] for name in names}
    for claim in claims.claims:
        for deployment in [claims.experiments[name].deployment for name in claim.experiments]:
            if deployment not in map(row_word, names) and claim.cell[0] not in found.setdefault(deployment, []):
                found[deployment].append(claim.cell[0])
    return found


def of_profile(claims: Claims, profile: str) -> Claims:
    """Give the claims that can be judged in a profile: those whose experiments all have trials there, and those without any."""
    kept = [claim for claim in claims.claims if all(profile in claims.experiments[name].trials for name in claim.experiments)]
    return replace(claims, claims=tuple(kept), elsewhere=tuple(claim.id for claim in claims.claims if claim not in kept))


def shipped() -> Claims:
    """Give the documented table that comes with Holdwater."""
    return load(Path(__file__).resolve().parents[1] / "guarantees.toml")


def load(path: Path) -> Claims:
    """Read a claims file; raise BadClaims in one line where it cannot be used."""
    try:
        with path.open("rb") as file:  # a device has no end
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise BadClaims(f"{path}: {error.strerror}, expected a claims file") from None
    except UnicodeDecodeError as error:
        raise BadClaims(f"{path}: not UTF-8 at byte {error.start}") from None
    if len(data) > MOST_BYTES:
        raise BadClaims(f"{path}: more than {MOST_BYTES} bytes, expected a claims file")
    return parse(text, str(path))


def parse(text: str, source: str = "guarantees.toml") -> Claims:
    """Read claims from TOML; see `load`."""
    return _File(text, source).claims()


Record = TypeVar("Record", Row, Experiment, Claim)


class _File:
    """A file being read: its tables, and where each of them stands."""

    def __init__(self, text: str, source: str) -> None:
        self.lines, self.source = text.splitlines(), source
        try:
            self.tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)|\(at end of document\)", str(error))
            line = int(place[1]) if place and place[1] else max(1, len(self.lines))
            reason = re.sub(r"\s*\(at [^)]*\)", "", str(error))
            raise BadClaims(f"{source}:{line}: no TOML: {' '.join(reason.split())}") from None
        except ValueError:  # more digits than Python reads
            raise BadClaims(f"{source}: no TOML: a whole number of thousands of digits") from None
        except RecursionError:
            raise BadClaims(f"{source}: values are nested too deep, expected a claims file") from None
        if store.is_deep(self.tables):
            raise BadClaims(f"{source}: values are nested more than {store.DEEPEST} deep, expected a claims file")
        if (huge := _huge(self.tables)) is not None:
            raise self.bad(self._line_of(huge), f"{huge} is a whole number beyond 64 bits, expected one that TOML has")

    def claims(self) -> Claims:
        self._top()
        rows = self._array("row", Row, "name")
        experiments = self._experiments()
        claims = self._array("claim", Claim, "id")
        for claim in claims:
            self._check_claim(claim, rows, experiments)
        digest = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
        return Claims(self.source, tuple(rows), experiments, tuple(claims), sha256=digest)

    # Reading

    def _top(self) -> None:
        known = ("format", "row", "experiment", "claim")
        for name in self.tables:
            if name not in known:
                raise self.bad(self._line_of(name), f"unknown field {name!r}, {nearest(name, known)}")
        if type(self.tables.get("format")) is not int or self.tables["format"] != FORMAT:
            raise self.bad(self._line_of("format"), f"format {self.tables.get('format')!r}, expected {FORMAT}")
        if not self.tables.get("claim"):
            raise self.bad(len(self.lines), "no [[claim]], expected at least one")

    def _array(self, kind: str, record: type[Record], name: str) -> list[Record]:
        tables = self.tables.get(kind, [])
        if not isinstance(tables, list):
            raise self.bad(self._line_of(kind), f"{kind} is no list of tables, expected [[{kind}]]")
        if not all(isinstance(table, dict) for table in tables):
            raise self.bad(self._line_of(kind), f"{kind} is a list of values, expected [[{kind}]]")
        found: dict[str, Record] = {}
        by_name = {str(table.get(name, number + 1)): table for number, table in enumerate(tables)}
        for number, table in enumerate(tables):
            line = self._header(kind, number)
            label = str(table.get(name, number + 1))
            if kind == "claim" and by_name[label] is table:
                table = self._inherited(kind, label, by_name, ())
            value = self._convert(table, record, line, f"{kind} {label}")
            identity = getattr(value, name)
            if kind == "claim":
                self._check_name(kind, identity, line)
            if identity in found:
                raise self.bad(line, f"{kind} {identity} stands twice")
            found[identity] = value
        return list(found.values())

    def _experiments(self) -> dict[str, Experiment]:
        tables = self.tables.get("experiment", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise self.bad(self._line_of("experiment"), "expected a table [experiment.NAME] for each experiment")
        found: dict[str, Experiment] = {}
        for name in tables:
            line = self._header("experiment", name)
            self._check_name("experiment", name, line)
            merged = {**self._inherited("experiment", name, tables, ()), "name": name}
            found[name] = self._convert(merged, Experiment, line, f"experiment {name}")
            self._check_experiment(found[name], found)
        return found

    def _inherited(self, kind: str, name: str, tables: Mapping[str, Any], heirs: tuple[str, ...]) -> dict[str, Any]:
        own = dict(tables[name])
        other = own.pop("like", None)
        if other is None:
            return own
        line = self._line_of("like", self._header(kind, name if kind == "experiment" else list(tables).index(name)))
        if not isinstance(other, str) or other not in tables:
            raise self.bad(line, f"{kind} {name} is like {other!r}, {nearest(str(other), tables)}")
        if other == name or other in heirs:
            raise self.bad(line, f"{kind} {name} is like {other}, which is like {name}")
        if len(heirs) > LONGEST_CHAIN:
            raise self.bad(line, f"{kind} {name} is like {other}, the end of a chain of more than {LONGEST_CHAIN}")
        return {**self._inherited(kind, other, tables, (*heirs, name)), **own}

    def _check_name(self, kind: str, name: str, line: int) -> None:
        try:
            store.check_name(kind, name)
        except UsageError as error:
            raise self.bad(line, str(error)) from None

    def _convert(self, table: Any, record: type[Record], line: int, label: str) -> Record:
        try:
            return msgspec.convert(table, record, strict=True)
        except msgspec.ValidationError as error:
            said, _, path = str(error).partition(" - at ")
            steps = re.findall(r"\.([\w-]+)|\[(\d+)\]", path.strip("`"))
            names = [name for name, _ in steps if name]
            place = self._line_of(_lacking(said) or (names or [""])[0], line)
            written = f", in: {self.lines[place - 1].strip()[:SHOWN]}" if names else ""
            raise self.bad(place, f"{label}: {_mistake(said, table, record, steps)}{written}") from None

    # Checking

    def _check_experiment(self, experiment: Experiment, earlier: Mapping[str, Experiment]) -> None:
        def bad(key: str, reason: str) -> BadClaims:
            return self.bad(self._line_of(key, self._header("experiment", experiment.name)), f"experiment {experiment.name}: {reason}")

        if (twice := _twice(experiment.workloads)) is not None:
            raise bad("workloads", f"workload {twice} stands twice, expected each once; its share is the option weight")
        for key in experiment.timeline:
            if key not in TIMELINE:
                raise bad("timeline", f"unknown field {key!r} of timeline, {nearest(key, TIMELINE)}")
        grants = experiment.timeline.get("grants", 0)
        if not isinstance(grants, int) or grants > MOST_GRANTS:
            raise bad("timeline", f"grants {grants!r} of timeline, expected a whole number from 0 to {MOST_GRANTS}")
        for key in experiment.trials:
            if key not in PROFILES:
                raise bad("trials", f"unknown profile {key!r}, {nearest(key, PROFILES)}")
        if not experiment.trials:
            raise bad("trials", f"no number of trials, expected one for {' or '.join(PROFILES)}")
        for control in experiment.controls:
            if control.check not in every_check():
                raise bad("controls", f"unknown check {control.check!r} of a control, {nearest(control.check, every_check())}")
            if (control.mutant is None) == (control.experiment is None):
                raise bad("controls", f"the control of {control.check} needs a mutant or an experiment, one of the two")
            if control.mutant is not None and every_check()[control.check].needs_fault:
                said = f"mutant {control.mutant} runs without a fault, and {control.check} judges nothing there"
                raise bad("controls", f"{said}; expected a control with an experiment")
            others = [name for name in earlier if name != experiment.name]
            if control.experiment is not None and control.experiment not in others:
                raise bad(
                    "controls", f"control experiment {control.experiment!r} does not stand above it, {nearest(control.experiment, others)}"
                )

    def _check_claim(self, claim: Claim, rows: Sequence[Row], experiments: Mapping[str, Experiment]) -> None:
        start = next(self._header("claim", n) for n, table in enumerate(self.tables["claim"]) if table["id"] == claim.id)
        for key, reason in _mistakes(claim, rows, experiments):
            raise self.bad(self._line_of(key, start), f"claim {claim.id}: {reason}")

    # Places

    def bad(self, line: int, reason: str) -> BadClaims:
        return BadClaims(f"{self.source}:{line}: {reason}")

    def _header(self, kind: str, which: int | str) -> int:
        """Give the line of the n-th [[kind]], or of [kind.name]; 1 where it is written in another way."""
        if isinstance(which, int):
            found = [number for number, line in enumerate(self.lines, 1) if re.match(rf"\s*\[\[\s*{kind}\s*\]\]", line)]
            return found[which] if which < len(found) else 1
        name = re.escape(which)
        found = [n for n, line in enumerate(self.lines, 1) if re.match(rf"""\s*\[\s*{kind}\s*\.\s*["']?{name}["']?\s*\]""", line)]
        return found[0] if found else 1

    def _line_of(self, key: str, start: int = 0) -> int:
        """Give the line of a key inside the table that begins at `start`; the table's own line if it is not there.

        0 stands for the whole file. A field inside an inline table, or inherited, is looked for by its name alone.
        """
        pattern = re.compile(rf"""(^|[\s{{,\[.]){re.escape(key)}["']?\s*([=\].]|$)""")
        for number, line in enumerate(self.lines[start:], start + 1):
            if start and re.match(r"\s*\[", line) and not re.match(rf"\s*\[\[?\s*\w+\.[\w.-]*{re.escape(key)}", line):
                break
            if key and pattern.search(line.split("#")[0]):
                return number
        return max(1, start)


def _lacking(said: str) -> str | None:
    """Give the field that is unknown, of what msgspec says."""
    unknown = re.search(r"unknown field `(.*)`", said)
    return unknown[1] if unknown else None


def _mistake(said: str, table: Any, record: type[msgspec.Struct], steps: Sequence[tuple[str, str]]) -> str:
    """Say in plain words what msgspec has found: which field, what it holds, what was expected."""
    names = [name for name, _ in steps if name]
    of = f" of {names[0]}" if names else ""
    if (unknown := _lacking(said)) is not None:
        known = [field.encode_name for field in msgspec.structs.fields(NESTED.get(names[0], record) if names else record)]
        return f"unknown field {unknown!r}{of}, {nearest(unknown, known)}"
    if missing := re.search(r"missing required field `(.*)`", said):
        return f"field {missing[1]!r}{of} is missing"
    if not names:
        return f"{said}, expected a table"
    value = table[names[0]]
    found: Any = table
    for name, number in steps:
        found = found[name or int(number)]
    words = WORDS.get(".".join(names))
    if isinstance(found, str) and words is not None and (names != ["expect"] or len(steps) > 1):
        return f"unknown word {found!r} of {'.'.join(names)}, {nearest(found, words)}"
    expected = EXPECTED.get(names[0], "a text that is not empty")
    if isinstance(value, dict) and names[0] in ("trials", "timeline", "gates"):
        for key in [key for key, each in value.items() if _misfit(names[0], each)]:
            return f"{key} of {names[0]} is {repr(value[key])[:SHOWN]}, expected {expected}"
    return f"{names[0]} is {repr(value)[:SHOWN]}, expected {expected}"


def _misfit(field: str, value: Any) -> bool:
    kinds: Any = {"trials": Trials, "timeline": Seconds, "gates": Count}[field]
    try:
        msgspec.convert(value, kinds, strict=True)
    except msgspec.ValidationError:
        return True
    return False


def _huge(value: Any, name: str = "") -> str | None:
    """Give the name of a whole number that is none of TOML's, which no error could even print."""
    if isinstance(value, int):
        return name if abs(value) >= 2**1000 else None
    parts = value.items() if isinstance(value, dict) else [(name, each) for each in value] if isinstance(value, list) else []
    return next((found for key, each in parts if (found := _huge(each, key)) is not None), None)


def _mistakes(claim: Claim, rows: Sequence[Row], experiments: Mapping[str, Experiment]) -> Iterable[tuple[str, str]]:
    """Give each mistake of a claim as the key that it concerns and what is wrong."""
    yield from _cell_mistakes(claim, rows)
    for key in ("experiments", "anomalies", "excuses"):
        if (twice := _twice(getattr(claim, key))) is not None:
            yield key, f"{twice} stands twice: it would count twice"
    for name in claim.experiments:
        if name not in experiments:
            yield "experiments", f"unknown experiment {name!r}, {nearest(name, experiments)}"
    for key in ("anomalies", "excuses"):
        for kind in getattr(claim, key):
            if kind not in every_kind():
                yield key, f"unknown class {kind!r} of anomalies, {nearest(kind, every_kind())}"
    if both := set(claim.anomalies) & set(claim.excuses):
        yield "excuses", f"{sorted(both)[0]} both counts and is excused"
    for name in claim.gates:
        if name not in gates.names():
            yield "gates", f"unknown gate {name!r}, {nearest(name, gates.names())}"
        elif needs_bound(name) and claim.bound is None:
            yield "gates", f"gate {name} needs a bound"
    for kind in claim.anomalies:
        if claim.bound is None and (check := check_of(kind)) is not None and check.needs_bound:
            yield "anomalies", f"{kind} needs a bound"
    if claim.document != "warns" and (claim.excuses or claim.window is not None):
        yield "excuses" if claim.excuses else "window", f"only a document that warns excuses anything; this one {_stance(claim)}"
    yield from _run_mistakes(claim, experiments)


def _twice(names: Sequence[str]) -> str | None:
    """Give the first name that stands twice."""
    return next((name for number, name in enumerate(names) if name in names[:number]), None)


def _stance(claim: Claim) -> str:
    return "promises" if claim.document == "promises" else "is silent"


def _cell_mistakes(claim: Claim, rows: Sequence[Row]) -> Iterable[tuple[str, str]]:
    if not rows:
        return
    row, column = claim.cell
    quotes = {each.name: each.quotes for each in rows}
    if row not in quotes:
        yield "cell", f"unknown row {row!r}, {nearest(row, quotes)}"
    elif column not in quotes[row]:
        yield "cell", f"unknown column {column!r}, {nearest(column, quotes[row])}"
    elif claim.quote is not None and claim.quote != quotes[row][column]:
        yield "quote", f"quote {claim.quote!r}, but the document's cell says {quotes[row][column]!r}"


def _run_mistakes(claim: Claim, experiments: Mapping[str, Experiment]) -> Iterable[tuple[str, str]]:
    if not claim.experiments:
        for key in ("requires", "remedy"):
            if getattr(claim, key) is None:
                yield "id", f"without experiments it cannot run, and needs requires and remedy; {key} is missing"
        return
    if claim.requires is not None:
        yield "requires", "it has experiments, and requires is for what cannot run"
    if not claim.anomalies:
        yield "experiments", "no anomalies, expected the classes that count"
    if claim.document == "warns" and claim.window is None:
        yield "document", "a document that warns needs the window in which what it warns of may be"
    served = {check for name in claim.experiments for check in needed_checks(claim, experiments[name])}
    for kind in (*claim.anomalies, *claim.excuses):
        check = check_of(kind)
        if check is not None and check.name not in served:
            wanted = " or ".join(workloads_of(check.name))
            yield "anomalies", f"class {kind} needs workload {wanted}, which none of its experiments drives"
