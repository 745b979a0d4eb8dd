"""What `check` and `list` show: the verdict on a stored history, and names with what each is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from harness.judging.verdict import Anomaly, Status, Verdict, of_each_kind_first
from reports import phrases
from reports.terminal.lines import (
    GAP,
    INDENT,
    LOUD,
    STRONG,
    Lines,
    clean,
    cleaned,
    counted_words,
    labelled,
    mark,
    padded,
    path_lines,
    rendered,
    spaced,
    status_meaning,
    wrapped,
)

EXIT_OF_STATUS = {Status.VALID: 0, Status.UNKNOWN: 2, Status.INVALID: 1}
ANOMALIES = 5


def verdict(verdict: Verdict, source: str, *, colour: bool, width: int = 80) -> str:
    """Show what `check` found of a stored history: each check, the first anomalies, and the exit code."""
    word = str(verdict.status)
    parts = verdict.parts or (("all", verdict),)
    anomalies = verdict.all_anomalies()
    checks: Lines = []
    for name, part in parts:
        checks += wrapped(Text.assemble("  ", mark(str(part.status)), "  ", cleaned(f"{name}: {part.summary}")), width, INDENT)
        checks += labelled("of these", counted_words(str(each.status) for _, each in part.parts), width) if part.parts else []
        checks += labelled("numbers", _numbers(part), width)
    sections = [
        wrapped(Text.assemble(mark(word), cleaned(f": {verdict.summary}", STRONG)), width, 2),
        path_lines("history", source, width, 0),
        [Text("CHECKS", STRONG), *checks],
        _anomalies(anomalies, width),
        wrapped(cleaned(f"exit {EXIT_OF_STATUS[verdict.status]}: {status_meaning(word)}"), width, 2),
    ]
    return rendered(spaced(sections), colour=colour)


def listing(title: str, rows: Sequence[tuple[str, ...]], *, colour: bool, width: int = 80) -> str:
    """Show names and what each is, wrapped beside the name; below it where names are long."""
    names = max((cell_len(clean(row[0])) for row in rows), default=0)
    beside = names <= (width - 2) // 2
    lines: Lines = [Text(title.upper(), STRONG)]
    for name, *sentences in rows:
        column = 2 + names + GAP if beside else INDENT
        head = padded(cleaned(name, STRONG), names) if beside else cleaned(name, STRONG)
        lines += [] if beside and sentences else wrapped(Text.assemble("  ", head), width, INDENT)
        for number, sentence in enumerate(sentences):
            before = Text.assemble("  ", head, " " * GAP) if beside and number == 0 else Text(" " * column)
            lines += wrapped(Text.assemble(before, cleaned(sentence)), width, column)
    return rendered(lines if rows else [*lines, Text("  none")], colour=colour)


def _numbers(part: Verdict) -> str:
    plain = {name.replace("_", " "): value for name, value in part.numbers.items() if type(value) in (int, float)}
    return ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:,.6g}" for name, value in plain.items())


def _anomalies(found: Sequence[Anomaly], width: int) -> Lines:
    if not found:
        return []
    lines: Lines = [Text("ANOMALIES", STRONG)]
    lines += wrapped(Text.assemble("  ", cleaned(f"{len(found):,}: {counted_words(each.kind for each in found)}")), width, INDENT)
    for number, anomaly in enumerate(of_each_kind_first(found)[:ANOMALIES], 1):
        key = "the object" if anomaly.key is None else anomaly.key
        told = f"{anomaly.kind} on {key} at {phrases.moment(anomaly.at)}: {anomaly.message}"
        lines += wrapped(Text.assemble("  ", (f"{number}", LOUD), "  ", cleaned(told)), width, 5)
    more = [Text(f"  and {len(found) - ANOMALIES:,} more: --json shows all")] if len(found) > ANOMALIES else []
    return [*lines, *more]
