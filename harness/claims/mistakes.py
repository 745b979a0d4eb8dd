"""What is wrong in a claims file, in plain words: which field, what it holds, what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import msgspec

from harness import registry
from harness.claims.claim import (
    COLUMNS,
    Bound,
    Claim,
    Claims,
    Control,
    Count,
    Document,
    Experiment,
    Phase,
    Row,
    Seconds,
    Side,
    Table,
    Trials,
    Window,
    Word,
    needed_checks,
)
from harness.judging import gates
from harness.judging.check import check_of, every_check, workloads_of
from harness.judging.counts import needs_bound
from harness.judging.family import functions_known
from harness.judging.kind import every_kind
from harness.registry import nearest

MOST_GRANTS = 1000
SHOWN = 100  # characters of a value in an error
TIMELINE = ("quiet_s", "fault_s", "after_s", "grants")
SCHEDULED = ("quiet_s", "fault_s")  # which a schedule says itself
PROFILES = ("quick", "nightly")
DOCUMENTS, WINDOW = get_args(Document), ("steady", *get_args(Phase))
WORDS: Mapping[str, tuple[str, ...]] = {
    "expect": tuple(map(str, Word)),
    "document": DOCUMENTS,
    "backends": get_args(Side),
    "window.from": WINDOW,
    "window.to": WINDOW[1:],
    "bound.from": WINDOW[1:2],
}
"""The words that a field may hold."""

EXPECTED: Mapping[str, str] = {
    "cell": "a row and a column, two texts",
    **dict.fromkeys(("deployment", "variant"), "a name, see: holdwater list backends"),
    "workloads": 'a list of at least one name, such as ["lock"]',
    "faults": 'a list of names, such as ["cut", "kill"], or of schedules, such as ["latency@1+3,kill@2+1"]',
    "timeline": "a table of seconds from 0 to 3600, such as { quiet_s = 1.0, fault_s = 2.0, after_s = 1.0 }",
    "trials": "a table of whole numbers from 1 to 10000, such as { quick = 4, nightly = 40 }",
    "controls": 'a list of tables, such as [{ check = "lease", mutant = "ttl-early" }]',
    "options": "a table, such as { rate = 30, lock = { anchors = 2 } }",
    "document": f"one of: {', '.join(DOCUMENTS)}",
    "backends": f"one of: {', '.join(get_args(Side))}",
    **dict.fromkeys(("about", "columns"), 'a list of texts, such as ["Memory", "PostgreSQL"]'),
    "says": 'a table of texts, such as { Purpose = "Atomic counter" }',
    "expect": f"a list of at least one of: {', '.join(Word)}",
    **dict.fromkeys(("experiments", "anomalies", "excuses", "functions"), "a list of names"),
    "window": 'a table, such as { from = "begin", to = "settled" }',
    "bound": 'a table with seconds above 0 and at most 3600, such as { from = "begin", seconds = 3.0 }',
    "gates": "a table of whole numbers from 0 to 1000000, such as { held_across = 2 }",
}
"""What each field holds; a text that is not empty where it is not here."""

NESTED: Mapping[str, type[msgspec.Struct]] = {"window": Window, "bound": Bound, "controls": Control}


def unknown_field(said: str) -> str | None:
    """Give the field that is unknown, of what msgspec says."""
    unknown = re.search(r"unknown field `(.*)`", said)
    return unknown[1] if unknown else None


def field(said: str, table: Any, record: type[msgspec.Struct], steps: Sequence[tuple[str, str]]) -> str:
    """Say in plain words what msgspec has found: which field, what it holds, what was expected."""
    names = [name for name, _ in steps if name]
    of = f" of {names[0]}" if names else ""
    if (unknown := unknown_field(said)) is not None:
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


def of_experiment(experiment: Experiment, earlier: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Give each mistake of an experiment as the key that it concerns and what is wrong; `earlier` stand above it in the file."""
    if (twice := _twice(experiment.workloads)) is not None:
        yield "workloads", f"workload {twice} stands twice, expected each once; its share is the option weight"
    for key in experiment.timeline:
        if key not in TIMELINE:
            yield "timeline", f"unknown field {key!r} of timeline, {nearest(key, TIMELINE)}"
        elif key in SCHEDULED and experiment.faults and all("@" in each for each in experiment.faults):
            yield "timeline", f"{key} of timeline, but each fault has a time of its own; expected one of the two"
    grants = experiment.timeline.get("grants", 0)
    if not isinstance(grants, int) or grants > MOST_GRANTS:
        yield "timeline", f"grants {grants!r} of timeline, expected a whole number from 0 to {MOST_GRANTS}"
    for key in experiment.trials:
        if key not in PROFILES:
            yield "trials", f"unknown profile {key!r}, {nearest(key, PROFILES)}"
    if not experiment.trials:
        yield "trials", f"no number of trials, expected one for {' or '.join(PROFILES)}"
    for control in experiment.controls:
        if (reason := _of_control(control, earlier)) is not None:
            yield "controls", reason


def _of_control(control: Control, earlier: Sequence[str]) -> str | None:
    if control.check not in every_check():
        return f"unknown check {control.check!r} of a control, {nearest(control.check, every_check())}"
    if (control.mutant is None) == (control.experiment is None):
        return f"the control of {control.check} needs a mutant or an experiment, one of the two"
    if control.mutant is not None and every_check()[control.check].needs_fault:
        said = f"mutant {control.mutant} runs without a fault, and {control.check} judges nothing there"
        return f"{said}; expected a control with an experiment"
    if control.experiment is not None and control.experiment not in earlier:
        return f"control experiment {control.experiment!r} does not stand above it, {nearest(control.experiment, earlier)}"
    return None


def of_table(table: Table, rows: Sequence[Row]) -> Iterable[tuple[str, str]]:
    """Give each mistake of a documented table as the key that it concerns and what is wrong."""
    if (twice := _twice((*table.about, *table.columns))) is not None:
        yield "columns" if twice in table.columns else "about", f"column {twice} stands twice, expected each once"
    if not any(row.table == table.name for row in rows):
        homeless = [row.name for row in rows if row.table is None]
        told = f"row {homeless[0]} names no table; " if homeless else ""
        yield "name", f"no row of it, {told}expected a [[row]] with table = {table.name!r}"


def of_row(row: Row, claims: Claims) -> Iterable[tuple[str, str]]:
    """Give each mistake of a row as the key that it concerns and what is wrong."""
    names = [table.name for table in claims.tables]
    if row.table is not None and row.table not in names:
        yield "table", f"unknown table {row.table!r}, {nearest(row.table, names)}"
        return
    table = claims.table(row.table)
    columns = (*table.about, *table.columns)
    wanted = " or ".join(map(repr, names))
    instead = f"; it names no table, expected table = {wanted}, if it is of one of these" if row.table is None and names else ""
    for field, column in COLUMNS.items():
        if getattr(row, field) is not None and column not in columns:
            yield field, f"unknown column {column!r}, {nearest(column, columns)}{instead}"
        elif getattr(row, field) is not None and column in row.says:
            yield field, f"{column!r} stands in says too, expected it once"
    for column in row.says:
        if column not in columns:
            yield "says", f"unknown column {column!r}, {nearest(column, columns)}{instead}"


def of_claim(claim: Claim, claims: Claims) -> Iterable[tuple[str, str]]:
    """Give each mistake of a claim as the key that it concerns and what is wrong."""
    experiments = claims.experiments
    yield from _cell_mistakes(claim, claims)
    for key in ("experiments", "anomalies", "excuses", "functions"):
        if (twice := _twice(getattr(claim, key))) is not None:
            yield key, f"{twice} stands twice: it would count twice"
    for name in claim.experiments:
        if name not in experiments:
            yield "experiments", f"unknown experiment {name!r}, {nearest(name, experiments)}"
    for key in ("anomalies", "excuses"):
        for kind in getattr(claim, key):
            if kind not in every_kind():
                yield key, f"unknown class {kind!r} of anomalies, {nearest(kind, every_kind())}"
    for name in claim.functions:
        if name not in (known := functions_known()):
            yield "functions", f"unknown function {name!r}, {nearest(name, known)}"
        elif idle := [each for each in claim.experiments if each in experiments and not _drives(experiments[each], name)]:
            yield "functions", f"experiment {idle[0]} drives no {name}; expected a workload that does, or another function"
    if both := set(claim.anomalies) & set(claim.excuses):
        yield "excuses", f"{sorted(both)[0]} both counts and is excused"
    for name in claim.gates:
        if name not in gates.names():
            yield "gates", f"unknown gate {name!r}, {nearest(name, gates.names())}"
        elif needs_bound(name) and claim.bound is None:
            yield "gates", f"gate {name} needs a bound"
        elif idle := [each for each in claim.experiments if each in experiments and not _counts(experiments[each], name)]:
            yield "gates", f"gate {name} counts what no workload of experiment {idle[0]} drives; expected one of another check"
    for kind in claim.anomalies:
        if claim.bound is None and (check := check_of(kind)) is not None and check.needs_bound:
            yield "anomalies", f"{kind} needs a bound"
    if claim.document == "warns" and claim.functions:
        said = "what a document warns of is a class, whatever function shows it"
        yield "functions", f"functions stand beside document = {claim.document!r}, but {said}; expected no functions"
    if claim.document != "warns" and (claim.excuses or claim.window is not None):
        yield "excuses" if claim.excuses else "window", f"only a document that warns excuses anything; this one {_stance(claim)}"
    yield from _run_mistakes(claim, experiments)


def _twice(names: Sequence[str]) -> str | None:
    """Give the first name that stands twice."""
    return next((name for number, name in enumerate(names) if name in names[:number]), None)


def _drives(experiment: Experiment, function: str) -> bool:
    there = [name for name in experiment.workloads if name in registry.names("workloads")]
    return len(there) < len(experiment.workloads) or any(function in registry.load("workloads", name).driven_at_most for name in there)


def _counts(experiment: Experiment, gate: str) -> bool:
    """Say whether a gate can be met in an experiment: it is of no check, or of one that a workload of it asks for."""
    asking = {name for check in every_check().values() if gate in check.gates for name in workloads_of(check.name)}
    strange = not set(experiment.workloads) <= set(registry.names("workloads"))
    return not asking or strange or bool(asking & set(experiment.workloads))


def _stance(claim: Claim) -> str:
    return "promises" if claim.document == "promises" else "is silent"


def _cell_mistakes(claim: Claim, claims: Claims) -> Iterable[tuple[str, str]]:
    row, column = claim.cell
    names = [table.name for table in claims.tables]
    if claim.table is not None and claim.table not in names:
        yield "table", f"unknown table {claim.table!r}, {nearest(claim.table, names)}"
        return
    if not claims.rows:
        return
    there = [each for each in claims.rows if claim.table in (None, each.table)]
    found = [each for each in there if each.name == row]
    if not found:
        of = f" of table {claim.table}" if claim.table is not None else ""
        yield "cell", f"unknown row {row!r}{of}, {nearest(row, [each.name for each in there])}"
        return
    if len(found) > 1:
        named = " or ".join(repr(each.table) for each in found if each.table is not None)
        yield "cell", f"row {row!r} is in {len(found)} tables, expected a field table, {named}"
        return
    yield from _words_mistakes(claim, column, found[0], claims.table(found[0].table))


def _words_mistakes(claim: Claim, column: str, row: Row, table: Table) -> Iterable[tuple[str, str]]:
    if column not in table.columns:
        yield "cell", f"unknown column {column!r}, {nearest(column, table.columns)}"
        return
    words = [row.quotes[each] for each in (column, *table.about) if each in row.quotes]
    if claim.quote is not None and claim.quote not in words:
        said = " or ".join(map(repr, words)) or "nothing"
        yield "quote", f"quote {claim.quote!r}, but the document says {said}"


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
