"""What a terminal shows: the documented table, a run, a stored history's verdict, lists, and what the machine can do.

Every function takes what results.json holds and gives text, of at most `width` columns, with or without
colour; printing is the command line's. A word is never said by its colour alone: each verdict has a shape
of its own, and only `violated` is filled. Lines are wrapped here and not by the terminal, by cells and not
by characters, since quotes and keys are the user's. What came from outside is shown with its control
characters spelt out: a key of a foreign history must not steer the terminal.

Rejected: rich's tables (their wrapping breaks commands and marks), a pager, boxes around everything.
"""

from __future__ import annotations

import io
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from harness.history import History
from harness.statistics import Rate
from harness.verdict import Anomaly, Status, Verdict, combine
from reports import phrases
from reports.explain import FINDINGS, explain, finding
from reports.scene import FaultSeen, NodeSeen, faults, nodes

FILLED, LOUD, QUIET, STRONG = "bold bright_white on red", "bold red", "dim", "bold"
MARKS: Mapping[str, tuple[str, str]] = {
    "violated": ("✗", FILLED),
    "inconclusive": ("?", "magenta"),
    "unavailable": ("–", QUIET),
    "finding": ("◆", "yellow"),
    "not-seen": ("○", "yellow"),
    "as-documented": ("△", "yellow"),
    "holds": ("✓", "green"),
    "not judged": ("·", QUIET),
    "invalid": ("✗", LOUD),
    "unknown": ("?", "magenta"),
    "valid": ("✓", "green"),
}
"""Shape and style of each word, the verdicts on claims worst first (SPEC 8), then those of checks."""

DOUBT = ("inconclusive", "unavailable")
EXIT_OF_STATUS = {Status.VALID: 0, Status.UNKNOWN: 2, Status.INVALID: 1}
TAG = 15  # columns of the longest tag, "△ as-documented"
GAP = 2
INDENT = 4
REASONS = 5  # shown of each claim; all are in results.json
ANOMALIES = 5
HEALED = {
    "kill": "{node} started again",
    "restart": "{node} started again",
    "restart-empty": "{node} left running",
    "pause": "{node} goes on",
    "hold-back-replication": "replication from {node} let through",
}
NS_PER_S = 1_000_000_000

Lines = list[Text]
Results = Mapping[str, Any]


# What the commands print


def table(results: Results, *, colour: bool, width: int = 80) -> str:
    """Show what `verify` found: contradictions, the documented table, every claim, what is in doubt, and the exit code."""
    claims = sorted(results["claims"], key=lambda claim: list(MARKS).index(claim["verdict"]))
    sections = [
        _headline(results, claims, width),
        _contradictions(results, claims, width),
        _documented(results["rows"], claims, width),
        _claims(claims, width),
        _findings(results, claims, width),
        _doubts(claims, width),
        _reasons("THE MACHINE FAILED", [f"{name}: {reason}" for name, reason in results.get("failures", {}).items()], width),
        _reasons("VOID TRIALS, REPEATED", [void for claim in claims for void in claim.get("voids") or ()], width),
        _verify_end(results, claims, width),
    ]
    return _render(_spaced(sections), colour=colour)


def outcome(results: Results, history: History | None, *, colour: bool, width: int = 80) -> str:
    """Show what `run` found: the timeline of the first trial with an anomaly, the verdict, the first anomaly explained, counts."""
    chosen = _chosen(results["trials"])
    recorded = _recorded(history, chosen)
    found = combine({name: _check(check) for name, check in chosen["checks"].items()}) if chosen else None
    sections = [
        _plan(results, chosen, width),
        _timeline(recorded, width) if recorded else [],
        _run_verdict(results, recorded, found, width),
        _explained(recorded, found, width),
        _checks(results["trials"], width),
        _run_end(results, width),
    ]
    return _render(_spaced(sections), colour=colour)


def verdict(verdict: Verdict, source: str, *, colour: bool, width: int = 80) -> str:
    """Show what `check` found of a stored history: each check, the first anomalies, and the exit code."""
    word = str(verdict.status)
    parts = verdict.parts or (("all", verdict),)
    anomalies = verdict.all_anomalies()
    checks: Lines = []
    for name, part in parts:
        checks += wrapped(Text.assemble("  ", mark(str(part.status)), "  ", _text(f"{name}: {part.summary}")), width, INDENT)
        checks += _labelled("of these", _counted(str(each.status) for _, each in part.parts), width) if part.parts else []
        checks += _labelled("numbers", _numbers(part), width)
    sections = [
        wrapped(Text.assemble(mark(word), _text(f": {verdict.summary}", STRONG)), width, 2),
        _path("history", source, width, 0),
        [Text("CHECKS", STRONG), *checks],
        _anomalies(anomalies, width),
        wrapped(_text(f"exit {EXIT_OF_STATUS[verdict.status]}: {_status_meaning(word)}"), width, 2),
    ]
    return _render(_spaced(sections), colour=colour)


def listing(title: str, rows: Sequence[tuple[str, ...]], *, colour: bool, width: int = 80) -> str:
    """Show names and what each is, wrapped beside the name; below it where names are long."""
    names = max((cell_len(clean(row[0])) for row in rows), default=0)
    beside = names <= (width - 2) // 2
    lines: Lines = [Text(title.upper(), STRONG)]
    for name, *sentences in rows:
        column = 2 + names + GAP if beside else INDENT
        head = _padded(_text(name, STRONG), names) if beside else _text(name, STRONG)
        lines += [] if beside and sentences else wrapped(Text.assemble("  ", head), width, INDENT)
        for number, sentence in enumerate(sentences):
            before = Text.assemble("  ", head, " " * GAP) if beside and number == 0 else Text(" " * column)
            lines += wrapped(Text.assemble(before, _text(sentence)), width, column)
    return _render(lines if rows else [*lines, Text("  none")], colour=colour)


def doctor(results: Results, *, colour: bool, width: int = 80) -> str:
    """Show what this machine can run, each fault on each backend, and the remedy where something is missing."""
    remedies = _remedies(results)
    sections = [
        _machine(results, width),
        _servers(results["servers"], remedies, width),
        _matrix(results["backends"], remedies, width),
        _numbered(results, remedies, width),
        _impossible(results["backends"], width),
        _doctor_end(results, width),
    ]
    return _render(_spaced(sections), colour=colour)


def mark(word: str) -> Text:
    """Give a verdict as it is printed everywhere: its shape, its word, its style."""
    shape, style = MARKS[word]
    return Text(f"{shape} {word}", style)


def lasting(seconds: float) -> str:
    """Say a duration of the harness's own work: 12 s, 6 min 12 s, 1 h 02 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"


# Lines


def wrapped(text: Text, width: int, indent: int) -> Lines:
    """Wrap a text into lines of at most `width` cells, all but the first indented; a word longer than a line is broken."""
    console, text = Console(file=io.StringIO(), width=width), _stripped(text)
    folded = text.wrap(console, width, overflow="fold")
    if len(folded) < 2:
        return [text]
    end = len(folded[0].plain)
    while text.plain[end].isspace():
        end += 1
    rest = text[end:].wrap(console, max(width - indent, 1), overflow="fold")
    return [_stripped(folded[0]), *(_stripped(Text.assemble(" " * indent, line)) for line in rest)]


def _stripped(text: Text) -> Text:
    line = text.copy()
    line.rstrip()
    return line


def _text(value: object, style: str = "") -> Text:
    return Text(clean(value), style)


def clean(value: object) -> str:
    """Spell out what is not printable, and let every white space be one space."""
    return _printable(" ".join(str(value).split()))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _padded(text: Text, width: int) -> Text:
    return Text.assemble(text, " " * max(width - text.cell_len, 0))


def _labelled(label: str, text: object, width: int, indent: int = INDENT) -> Lines:
    """Give a fact under its label; nothing where there is none."""
    if not str(text):
        return []
    head = _label(label, indent)
    return wrapped(Text.assemble(head, _text(text)), width, len(head))


def _label(label: str, indent: int) -> str:
    return f"{'':{indent}}{label:<{8 if indent else 10}}{'':{GAP}}"


def _path(label: str, path: str, width: int, indent: int = INDENT) -> Lines:
    """Give a path beside its label, or below it where it does not fit: a path in two lines cannot be copied."""
    if len(_label(label, indent)) + cell_len(clean(path)) <= width:
        return _labelled(label, path, width, indent)
    before = [Text(f"{'':{indent}}{label}")] if label else []
    return [*before, *wrapped(Text.assemble(" " * max(indent, GAP), _text(path)), width, max(indent, GAP))]


def _short(path: str, directory: Path) -> str:
    """Give a file of a run directory by way of `latest`, where that is the same: whole, it is longer than a line."""
    latest = directory.parent / "latest"
    below = Path(path).is_relative_to(directory) and latest.resolve() == directory.resolve()
    return str(latest / Path(path).relative_to(directory)) if below else path


def _command(label: str, command: str, width: int, indent: int = INDENT) -> Lines:
    """Give a command that can be copied as it stands: broken between its options, each line but the last ending in a backslash."""
    head = _label(label, indent)
    prefix = " " * (len(head) + 2)
    lines: list[str] = []
    line = head
    for glue, piece in _pieces(command, width - 2 - len(prefix)):
        space = "" if line in (head, prefix) else glue
        if cell_len(line + space + piece) <= width - 2:
            line += space + piece
        elif line == head:
            lines, line = [head.rstrip()], prefix + piece
        else:
            lines.append(f"{line}{glue}\\")
            line = prefix + piece if glue else piece
    return [Text(each) for each in [*lines, line]]


def _pieces(command: str, room: int) -> Iterator[tuple[str, str]]:
    """Give what stays together on a line, with what joins it to the piece before: an option with its value, a word, a part of one."""
    for group in _groups(command):
        if cell_len(shlex.join(group)) <= room:
            yield " ", shlex.join(group)
            continue
        for word in group:
            glue, part = " ", ""
            for letter in word:
                if part and cell_len(shlex.quote(part + letter)) > room:
                    yield glue, shlex.quote(part)
                    glue, part = "", ""
                part += letter
            yield glue, shlex.quote(part)


def _groups(command: str) -> list[list[str]]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    groups: list[list[str]] = []
    for word in map(_printable, words):
        if groups and not word.startswith("-"):
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def packed(pieces: Iterable[Text], width: int, indent: int) -> Lines:
    """Put pieces that must not be broken into lines; all but the first are indented."""
    lines: Lines = []
    for piece in pieces:
        if lines and lines[-1].cell_len + piece.cell_len <= width:
            lines[-1] = Text.assemble(lines[-1], piece)
        else:
            lines.append(Text.assemble(" " * indent, piece) if lines else piece)
    return [line for each in lines for line in wrapped(each, width, indent)]


def _spaced(sections: Iterable[Lines]) -> Lines:
    lines: Lines = []
    for section in filter(None, sections):
        lines += [Text(""), *section] if lines else section
    return lines


def _render(lines: Lines, *, colour: bool) -> str:
    if not colour:
        return "\n".join(line.plain.rstrip() for line in lines)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", no_color=False, legacy_windows=False)
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    return out.getvalue().rstrip("\n")


def _counted(words: Iterable[str]) -> str:
    counts = Counter(words)
    return ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _reasons(title: str, reasons: Sequence[str], width: int) -> Lines:
    told = list(dict.fromkeys(reasons))
    lines = [line for reason in told[:REASONS] for line in wrapped(Text.assemble("  ", _text(reason)), width, INDENT)]
    more = [Text(f"  and {len(told) - REASONS} more, in results.json")] if len(told) > REASONS else []
    return [Text(title, STRONG), *lines, *more] if told else []


# verify: contradictions, table, claims


def _headline(results: Results, claims: Sequence[Results], width: int) -> Lines:
    words = [claim["verdict"] for claim in claims if not (claim["verdict"] == "unavailable" and claim["expected"])]
    if results["contradicts"]:
        shape, style = MARKS["violated"][0], LOUD
    else:
        shape, style = MARKS[next((word for word in words if word in ("inconclusive", "unavailable", "finding")), "holds")][0], STRONG
        shape = shape if claims else MARKS["not judged"][0]
    return wrapped(_text(f"{shape} {results['headline']}", style), width, 2)


def _contradictions(results: Results, claims: Sequence[Results], width: int) -> Lines:
    lines: Lines = []
    cell: object = None
    for claim in claims:
        if claim["verdict"] != "violated":
            continue
        if claim["cell"] != cell:
            lines += [Text("")] if lines else []
            lines += wrapped(Text.assemble("  ", _text(_place(claim, "claimed: "))), width, INDENT)
            cell = claim["cell"]
        lines += wrapped(
            Text.assemble("  ", (MARKS["violated"][0], LOUD), " ", _text(f"{claim['id']}: {claim['sentence']}")), width, INDENT
        )
        lines += _facts(results, claim, width)
        lines += _command("repeat", claim["repeat"], width) if claim.get("repeat") else []
    return [Text("CONTRADICTS THE DOCUMENT", STRONG), *lines] if lines else []


def _findings(results: Results, claims: Sequence[Results], width: int) -> Lines:
    lines: Lines = []
    for claim in claims:
        if claim["verdict"] == "finding":
            shape, style = MARKS["finding"]
            head = Text.assemble("  ", (shape, style), " ", _text(f"{claim['id']}: {claim['sentence']}"))
            lines += [*wrapped(head, width, INDENT), *_labelled("cell", _place(claim), width), *_facts(results, claim, width)]
    return [Text("FINDINGS, OF WHICH THE DOCUMENT IS SILENT", STRONG), *lines] if lines else []


def _place(claim: Results, before: str = "") -> str:
    row, column = claim["cell"]
    quote = f", {before}“{claim['quote']}”" if claim.get("quote") else ""
    return f"{row}, {column.lower()}{quote}"


def _facts(results: Results, claim: Results, width: int) -> Lines:
    """Give what was observed of a claim, under what conditions, and where the evidence is."""
    lines = [*_labelled("under", claim["conditions"], width), *_labelled("observed", _observed(claim), width)]
    if claim["anomalies"]:
        first = claim["anomalies"][0]
        lines += _labelled("first", f"{first['kind']} in trial {first['trial']}: {first['message']}", width)
    lines += _missing(claim, width)
    for number, path in enumerate(claim["evidence"]):
        lines += _path("" if number else "evidence", _short(path, Path(results["directory"])), width)
    return lines


def _observed(claim: Results) -> str:
    counted = _rate(claim)
    if counted is None or str(counted) in claim["said"]:
        return str(claim["said"])
    return f"{counted} {claim['unit']}, 95 % interval {counted.interval}; {claim['said']}"


def _rate(claim: Results) -> Rate | None:
    given = claim["rate"]
    if not given:
        return None
    upper = given["high"] if given.get("upper") is None else given["upper"]
    return Rate(given["k"], given["n"], given["low"], given["high"], upper)


def _documented(rows: Sequence[Results], claims: Sequence[Results], width: int) -> Lines:
    columns = list(dict.fromkeys(cell["column"] for row in rows for cell in row["cells"]))
    wanted = [max([7, *(cell_len(clean(row["name"])) for row in rows)])]
    for column in columns:
        quotes = [cell_len(clean(cell["quote"])) + 2 for row in rows for cell in row["cells"] if cell["column"] == column and cell["quote"]]
        wanted.append(max([TAG, cell_len(column), *quotes]))
    least = [min(wanted[0], 12), *(TAG for _ in columns)]
    room = width - GAP * len(columns)
    if not rows:
        return []
    if sum(least) > room:
        return _stacked(rows, claims, width)
    while sum(wanted) > room:
        widest = max((n for n in range(len(wanted)) if wanted[n] > least[n]), key=lambda n: wanted[n])
        wanted[widest] -= 1
    header = [wrapped(_text(name.upper(), STRONG), wide, 0) for name, wide in zip(["Backend", *columns], wanted, strict=True)]
    lines = _beside(header, wanted)
    for row in rows:
        cells = {cell["column"]: cell for cell in row["cells"]}
        entries = [_entry(cells[name], claims, wide) if name in cells else [] for name, wide in zip(columns, wanted[1:], strict=True)]
        lines += _beside([wrapped(_text(row["name"]), wanted[0], 2), *entries], wanted)
    return lines


def _entry(cell: Results, claims: Sequence[Results], width: int) -> Lines:
    """Give a cell: the document's words, the verdict of its worst claim, and what cannot be tested beside it."""
    quote = wrapped(_text(f"“{cell['quote']}”"), width, 0) if cell["quote"] else []
    beside = [claim for claim in claims if claim["id"] in cell["claims"] and claim["verdict"] == "unavailable" != cell["verdict"]]
    more = [Text(f"– unavailable {len(beside)}", QUIET)] if beside else []
    return [*quote, mark(cell["verdict"]), *more]


def _beside(cells: Sequence[Lines], widths: Sequence[int]) -> Lines:
    lines: Lines = []
    for parts in zip_longest(*cells, fillvalue=Text("")):
        spaced = [_padded(part, wide + GAP) for part, wide in zip(parts, widths, strict=True)]
        lines.append(_stripped(Text.assemble(*spaced)))
    return lines


def _stacked(rows: Sequence[Results], claims: Sequence[Results], width: int) -> Lines:
    """Give the table of a document with more columns than a line has room for: one cell below the other."""
    lines: Lines = []
    for row in rows:
        lines += wrapped(_text(row["name"], STRONG), width, 2)
        for cell in row["cells"]:
            lines += wrapped(Text.assemble("  ", _text(cell["column"])), width, INDENT)
            lines += [Text.assemble(" " * INDENT, line) for line in _entry(cell, claims, width - INDENT)]
    return lines


@dataclass(frozen=True, slots=True)
class _Count:
    """A claim's row in numbers: "5 of 5", "failovers", "47–100 %"."""

    of: str
    unit: str
    interval: str


def _count(claim: Results) -> _Count:
    counted = _rate(claim)
    if counted is not None:
        return _Count(str(counted), clean(claim["unit"]), counted.interval)
    return _Count("–", "not run" if claim["verdict"] == "unavailable" else "no trial", "")


def _claims(claims: Sequence[Results], width: int) -> Lines:
    counts = [_count(claim) for claim in claims]
    beside = _columns(claims, counts, width)
    column = 2 + TAG + GAP
    lines = [beside.header()] if beside else [Text.assemble(("CLAIMS", STRONG), ", broken in k of n, 95 % interval")]
    for claim, count in zip(claims, counts, strict=True):
        head = Text.assemble("  ", _padded(mark(claim["verdict"]), TAG + GAP), _text(claim["id"]))
        if beside:
            lines.append(_stripped(Text.assemble(_padded(head, column + beside.names + GAP), beside.numbers(count))))
        else:
            short = f"{count.of} {count.unit}" + (f", {count.interval}" if count.interval else "")
            lines += [*wrapped(head, width, column), *wrapped(Text.assemble(" " * column, _text(short)), width, column)]
        if not claim["expected"]:
            lines += wrapped(Text.assemble(" " * column, _text(f"not as expected: {' or '.join(claim['expect'])}", STRONG)), width, column)
    return lines if claims else []


@dataclass(frozen=True, slots=True)
class _Columns:
    """The widths of the list of claims: names, "k of n", units, intervals."""

    names: int
    of: int
    unit: int
    interval: int

    def numbers(self, count: _Count) -> str:
        """Give a claim's numbers, "k of n" and interval to the right."""
        return f"{count.of:>{self.of}} {count.unit:<{self.unit}}{'':{GAP}}{count.interval:>{self.interval}}"

    def header(self) -> Text:
        """Give the titles, each ending where its column does."""
        left = 2 + TAG + GAP + self.names + GAP + self.of
        right = left + 1 + self.unit + GAP + self.interval
        return Text.assemble(("CLAIMS", STRONG), f"{'broken in':>{left - 6}}{'95 % interval':>{right - left}}")


def _columns(claims: Sequence[Results], counts: Sequence[_Count], width: int) -> _Columns | None:
    """Give the widths, None where a claim's name or unit is too long for one line."""
    found = _Columns(
        names=max((cell_len(clean(claim["id"])) for claim in claims), default=0),
        of=max((len(count.of) for count in counts), default=0),
        unit=max([6, *(cell_len(count.unit) for count in counts)]),
        interval=max((len(count.interval) for count in counts), default=0),
    )
    return found if found.header().cell_len <= width else None


def _doubts(claims: Sequence[Results], width: int) -> Lines:
    lines: Lines = []
    for word in DOUBT:
        of_word = [claim for claim in claims if claim["verdict"] == word]
        if not of_word:
            continue
        lines += [Text("")] if lines else []
        lines.append(Text(word.upper(), STRONG))
        for claim in of_word:
            shape, style = MARKS[word]
            lines += wrapped(Text.assemble("  ", (shape, style), " ", _text(f"{claim['id']}: {claim['sentence']}")), width, INDENT)
            lines += _labelled("under", claim["conditions"], width)
            lines += _missing(claim, width) or _labelled("missing", claim["said"], width)
            lines += _labelled("remedy", claim["remedy"] or "", width)
    return lines


def _missing(claim: Results, width: int) -> Lines:
    """Tell what stood in the way, and each gate that was not met with what it needed and measured."""
    told = [clean(reason) for reason in claim["missing"]]
    for gate in claim["gates"] if claim["verdict"] == "inconclusive" else ():
        words = f"{_gate(gate['name'])}: {gate['measured']:,}, needed {gate['needed']:,}"
        known = f"{gate['name'].replace('_', ' ')}: {gate['measured']}, needed {gate['needed']}"
        if not gate["met"] and not any(known in reason or words in reason for reason in told):
            told.append(words)
    lines = [line for n, reason in enumerate(told[:REASONS]) for line in _labelled("" if n else "missing", reason, width)]
    more = _labelled("", f"and {len(told) - REASONS} more, in results.json", width) if len(told) > REASONS else []
    return [*lines, *more]


def _gate(name: str) -> str:
    words, _, workload = name.replace("_", " ").partition(":")
    return f"{words} ({workload})" if workload else words


def _verify_end(results: Results, claims: Sequence[Results], width: int) -> Lines:
    counts = Counter(claim["verdict"] for claim in claims)
    tally = [Text.assemble("  ", mark(word), f" {counts[word]}") for word in MARKS if counts[word]]
    controls = {(each["check"], each["planted"], bool(each["condemned"])) for claim in claims for each in claim.get("controls") or ()}
    lines = packed([_padded(Text(phrases.counted(len(claims), "claim")), 10), *tally], width, 10)
    lines += _fact("controls", f"{sum(each[2] for each in controls)} of {len(controls)} planted bugs condemned" if controls else "", width)
    if elsewhere := results.get("elsewhere"):
        lines += _fact(
            "elsewhere", f"{phrases.counted(len(elsewhere), 'claim')} that only another profile judges: {', '.join(elsewhere)}", width
        )
    lines += _fact("took", f"{lasting(results['seconds'])}; profile {results['profile']}, seed {results['seed']}, {results['on']}", width)
    lines += _fact("servers", _versions(results), width)
    lines += _places(results, width)
    lines += _command("again", results["command"], width, 0)
    return lines + wrapped(_text(f"exit {results['exit']}: {_meaning(results, claims)}", STRONG if results["exit"] else ""), width, 2)


def _fact(label: str, text: object, width: int) -> Lines:
    return _labelled(label, text, width, 0)


def _versions(results: Results) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(results.get("versions", {}).items()))


def _places(results: Results, width: int) -> Lines:
    directory = Path(results["directory"])
    found = [name for name in ("report.html", "timeline.png", "anomalies/1.txt") if (directory / name).exists()]
    lines = _path("results", f"{directory}/results.json", width, 0)
    for number, name in enumerate(found):
        lines += _path("" if number else "look", f"{directory}/{name}", width, 0)
    return lines


def _meaning(results: Results, claims: Sequence[Results]) -> str:
    code = results["exit"]
    surprising = [claim for claim in claims if not claim["expected"]]
    told = [f"{claim['id']} is {claim['verdict']}, expected {' or '.join(claim['expect'])}" for claim in surprising]
    if code == 0:
        wrong = sum(claim["verdict"] == "violated" for claim in claims)
        more = f", {phrases.counted(wrong, 'contradiction')} of the document included" if wrong else ""
        return f"every verdict is one that its claim expects{more}"
    if code == 1:
        firm = [text for text, claim in zip(told, surprising, strict=True) if claim["verdict"] not in DOUBT]
        return _and_more(firm) if firm else "contradicts the document, and --strict was given"
    if code == 2:
        return _and_more(told) if told else "nothing was judged"
    return {3: "the machine or a server failed; run it again", 70: "a bug of ours; it says nothing of the system"}.get(code, "interrupted")


def _and_more(told: Sequence[str]) -> str:
    return told[0] + (f" (and {len(told) - 1} more)" if len(told) > 1 else "")


# run: plan, timeline, verdict, explanation


def _chosen(trials: Sequence[Results]) -> Results | None:
    """Give the first trial with an anomaly, else the first."""
    wrong = [trial for trial in trials if any(check["anomalies"] for check in trial["checks"].values())]
    return next(iter(wrong or trials), None)


def _recorded(history: History | None, chosen: Results | None) -> History | None:
    if history is None or not history.events:
        return None
    trials = {trial.n: trial.history for trial in history.trials()}
    return trials.get(chosen["n"]) if chosen else next(iter(trials.values()), None)


def _check(check: Results) -> Verdict:
    found = tuple(msgspec.convert(anomaly, Anomaly) for anomaly in check["anomalies"])
    return Verdict(Status[check["status"].upper()], check["summary"], found, numbers=check["numbers"])


def _plan(results: Results, chosen: Results | None, width: int) -> Lines:
    plan = results["plan"]
    parts = [f"seed {plan['seed']}", f"{plan['backend']}, variant {plan['variant']}", str(plan.get("on", "local"))]
    parts += [f"mutant {plan['mutant']}"] if plan.get("mutant") else []
    parts += [" + ".join(plan["workloads"]), f"{plan['concurrency']} clients, {plan['rate']:g} operations a second each"]
    if chosen and len(results["trials"]) > 1:
        parts.append(f"trial {chosen['n']} of {len(results['trials'])} is shown")
    return wrapped(_text("; ".join(parts), QUIET), width, 2)


@dataclass(frozen=True, slots=True)
class _Step:
    """A line of the timeline: when (ns), what kind, what, and whether it was proved; None where there is nothing to prove."""

    at: int
    label: str
    text: str
    proved: bool | None = None


def _timeline(history: History, width: int) -> Lines:
    steps = sorted(_steps(history), key=lambda step: step.at)
    seconds = max((len(f"{step.at / NS_PER_S:.1f}") for step in steps), default=0)
    head = max(seconds, 6) + 16
    wide = min(max((cell_len(clean(step.text)) for step in steps), default=0), width - head - 3)
    lines: Lines = []
    before = ""
    for step in steps:
        label = "" if step.label == before and step.label == "fault on" else step.label
        stamp = f"{step.at / NS_PER_S:>{max(seconds, 6)}.1f} s  {label:<12}"
        first, *rest = wrapped(Text.assemble(stamp, _text(step.text)), head + wide, head)
        lines += [Text.assemble(_padded(first, head + wide + GAP), _proved(step.proved)), *rest]
        before = step.label
    return list(map(_stripped, lines))


def _proved(proved: bool | None) -> Text:
    return Text("") if proved is None else Text(*MARKS["valid" if proved else "unknown"])


def _steps(history: History) -> Iterator[_Step]:
    last = history.events[-1].time
    seen, around = faults(history), nodes(history, last)
    for event in history.nemesis():
        if event.f == "trial" and event.value["phase"] == "steady":
            yield _Step(event.time, "steady", _roles(around, event.time), True)
        elif event.f == "trial" and event.value["phase"] == "settled":
            yield _Step(event.time, "settled", f"steady again{_final_reads(history, event.time)}", True)
        elif event.f == "trial" and event.value["phase"] == "void":
            yield _Step(event.time, "void", str(event.value.get("reason") or "no reason given"), False)
    for fault in seen:
        yield from _fault_steps(history, fault)
    for node in around:
        yield from _node_steps(history, node, seen, around)


def _fault_steps(history: History, fault: FaultSeen) -> Iterator[_Step]:
    yield _Step(fault.begin, "fault on", phrases.fault(history, fault), None)
    yield _Step(fault.begin if fault.active is None else fault.active, "fault on", phrases.proof(fault), fault.active is not None)
    if fault.healed is not None:
        healed = HEALED.get(fault.name, "links to {node} open again").format(node=fault.node)
        yield _Step(fault.healed, "healed", f"{healed}; proved", True)
    elif fault.healing is not None:
        yield _Step(fault.healing, "healing", f"{fault.name}: no proof that it healed", False)


def _node_steps(history: History, node: NodeSeen, seen: Sequence[FaultSeen], around: Sequence[NodeSeen]) -> Iterator[_Step]:
    for at, role in node.changes:
        words = f"{node.name} promoted{_after(history, at, seen, around)}" if role == "primary" else f"{node.name} becomes a {role}"
        yield _Step(at, "role", words)
    met = {fault.node for fault in seen}
    for span in node.spans:
        if span.role in ("dead", "paused") and node.name not in met:
            yield _Step(span.start, "role", f"{node.name} is {span.role}")


def _after(history: History, at: int, seen: Sequence[FaultSeen], around: Sequence[NodeSeen]) -> str:
    before = [fault for fault in seen if fault.active is not None and fault.active <= at]
    if not before:
        return ""
    fault = max(before, key=lambda each: each.active or 0)
    roles = {node.name: node.role(fault.begin) for node in around}
    words = phrases.since(history, fault, fault.node if roles.get(fault.node) == "primary" and len(roles) > 1 else None)
    return f", {(at - (fault.active or 0)) / NS_PER_S:.1f} s after {words}"


def _roles(around: Sequence[NodeSeen], at: int) -> str:
    by_role: dict[str, list[str]] = {}
    for node in around:
        by_role.setdefault(node.role(at) or "unseen", []).append(node.name)
    told = [
        f"{phrases.listed(names)} {role}{'s' if role == 'replica' and len(names) > 1 else ''}" for role, names in sorted(by_role.items())
    ]
    return "; ".join(told) or "clients begin"


def _final_reads(history: History, settled: int) -> str:
    keys = {operation.key for operation in history.operations() if operation.f == "get" and operation.start >= settled}
    return f"; final reads of {phrases.counted(len(keys), 'key')}" if keys else ""


def _run_verdict(results: Results, recorded: History | None, found: Verdict | None, width: int) -> Lines:
    word = results["status"]
    if found is not None and recorded is not None and str(found.status) == word != "unknown":
        said = finding(recorded, found)
    elif found is not None:
        said = found.summary
    else:
        said = "no trial was judged"
    style = LOUD if word == "invalid" else STRONG
    lines = wrapped(Text.assemble(mark(word), _text(f": {said}", style)), width, 2)
    lines += _labelled("cut off", results.get("broken") or "", width, 2)
    return lines


def _explained(recorded: History | None, found: Verdict | None, width: int) -> Lines:
    anomalies = found.all_anomalies() if found is not None else []
    if recorded is None or not anomalies:
        return []
    order = list(FINDINGS)
    first = min(anomalies, key=lambda each: order.index(each.kind) if each.kind in order else len(order))  # the kind that the verdict names
    lines: Lines = []
    for line in explain(recorded, first).rstrip("\n").split("\n"):
        drawn = Text(_printable(line))
        for pattern, style in ((r"[░▒]+", "yellow"), (r"[▓╳↑]+|└─*┘|both entitled, [\d.]+ m?s$", "red"), (r"━+|▲", STRONG)):
            drawn.highlight_regex(pattern, style)
        lines += wrapped(drawn, width, 2)
    lines[0].stylize(STRONG)
    return lines


def _checks(trials: Sequence[Results], width: int) -> Lines:
    """Give every check with its worst summary over the trials."""
    order = [str(status) for status in Status]
    by_check: dict[str, list[tuple[int, Results]]] = {}
    for trial in trials:
        for name, check in trial["checks"].items():
            by_check.setdefault(name, []).append((trial["n"], check))
    lines: Lines = []
    for name, found in by_check.items():
        n, worst = max(found, key=lambda each: order.index(each[1]["status"]))
        same = sum(check["status"] == worst["status"] for _, check in found)
        of = f" in {same} of {len(found)} trials. Trial {n}" if len(trials) > 1 else ""
        lines += wrapped(Text.assemble("  ", mark(worst["status"]), "  ", _text(f"{name}{of}: {worst['summary']}")), width, INDENT)
    return [Text("CHECKS", STRONG), *lines] if lines else []


def _run_end(results: Results, width: int) -> Lines:
    operations = results["operations"]
    counts = ", ".join(f"{operations[status]:,} {status}" for status in ("ok", "fail", "info") if operations.get(status))
    late = results.get("late_us") or {}
    lines = _fact("operations", f"{sum(operations.values()):,}" + (f": {counts}" if counts else ""), width)
    lines += _exercised(results["trials"], width)
    for number, void in enumerate(results.get("voids") or ()):
        lines += _fact("" if number else "void", void, width)
    lines += _fact("late by", ", ".join(f"{_microseconds(value)} ({name})" for name, value in late.items()), width)
    lines += _fact("took", lasting(results["seconds"]), width)
    lines += _fact("servers", _versions(results), width)
    lines += _places(results, width)
    lines += _command("repeat", results["command"], width, 0)
    code = results["exit"]
    return lines + wrapped(_text(f"exit {code}: {_run_meaning(results)}", STRONG if code else ""), width, 2)


def _exercised(trials: Sequence[Results], width: int) -> Lines:
    gates = [(trial["n"], gate) for trial in trials for gate in trial["gates"]]
    if not gates:
        return _fact("exercised", "no gate was measured", width)
    met = sum(bool(gate["met"]) for _, gate in gates)
    during, after = ([gate["measured"] for _, gate in gates if gate["name"].startswith(name)] for name in ("attempted", "acknowledged"))
    seen = [f"{sum(during):,} attempted during the fault", f"{sum(after):,} acknowledged after it"] if during else []
    seen = seen or [f"{sum(after):,} acknowledged"] if after else seen
    lines = _fact(
        "exercised", "; ".join([f"{met} of {phrases.counted(len(gates), 'gate')} met", ", ".join(seen)]).removesuffix("; "), width
    )
    unmet = [(n, gate) for n, gate in gates if not gate["met"]]
    for n, gate in unmet[:REASONS]:
        detail = f" ({gate['detail']})" if gate.get("detail") else ""
        told = f"trial {n}: {_gate(gate['name'])}: {gate['measured']:,}, needed {gate['needed']:,}{detail}"
        lines += wrapped(Text.assemble(" " * 12, ("?", MARKS["unknown"][1]), " ", _text(told)), width, 14)
    return lines + (_fact("", f"and {len(unmet) - REASONS} more, in results.json", width) if len(unmet) > REASONS else [])


def _microseconds(value: float) -> str:
    return f"{value:.0f} µs" if value < 1000 else f"{value / 1000:.1f} ms" if value < 1_000_000 else f"{value / 1_000_000:.2f} s"


def _run_meaning(results: Results) -> str:
    code = results["exit"]
    if code == 3:
        return f"the machine or a server failed: {results['broken']}" if results.get("broken") else "the machine or a server failed"
    if code == 70:
        return "a bug of ours; it says nothing of the system"
    return {0: _status_meaning("valid"), 1: _status_meaning("invalid"), 2: _status_meaning("unknown")}.get(code, "interrupted")


def _status_meaning(word: str) -> str:
    return {"valid": "no violation was seen", "invalid": "not valid: a counterexample exists", "unknown": "no verdict"}[word]


# check


def _numbers(part: Verdict) -> str:
    plain = {name.replace("_", " "): value for name, value in part.numbers.items() if type(value) in (int, float)}
    return ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:,.6g}" for name, value in plain.items())


def _anomalies(found: Sequence[Anomaly], width: int) -> Lines:
    if not found:
        return []
    lines: Lines = [Text("ANOMALIES", STRONG)]
    lines += wrapped(Text.assemble("  ", _text(f"{len(found):,}: {_counted(each.kind for each in found)}")), width, INDENT)
    first = {each.kind: each for each in reversed(found)}
    shown = [*sorted(first.values(), key=found.index), *(each for each in found if each is not first[each.kind])][:ANOMALIES]
    for number, anomaly in enumerate(shown, 1):
        key = "the object" if anomaly.key is None else anomaly.key
        told = f"{anomaly.kind} on {key} at {phrases.seconds(anomaly.at)} s: {anomaly.message}"
        lines += wrapped(Text.assemble("  ", (f"{number}", LOUD), "  ", _text(told)), width, 5)
    more = [Text(f"  and {len(found) - ANOMALIES:,} more: --json shows all")] if len(found) > ANOMALIES else []
    return [*lines, *more]


# doctor


def _remedies(results: Results) -> dict[str, list[str]]:
    """Give each remedy with whom it helps, in order of their numbers."""
    found: dict[str, list[str]] = {}
    for backend in results["backends"]:
        if backend["missing"] is not None:
            found.setdefault(clean(backend["missing"]), []).append(backend["name"])
    for server in results["servers"]:
        if server["version"] is None and not any(server["name"] in remedy for remedy in found):
            found[f"no {server['name']} on this machine; run: holdwater install {server['name']}"] = [server["name"]]
    return found


def _number_of(remedies: Mapping[str, list[str]], name: str) -> str:
    return next((str(n) for n, (text, helped) in enumerate(remedies.items(), 1) if name in helped or name in text.split()), "")


def _machine(results: Results, width: int) -> Lines:
    cores = phrases.counted(results["cores"] or 0, "core")
    said = f"Python {results['python']}, {results['system']}, {cores}; run as root: {'yes' if results['root'] else 'no'}"
    ended = results.get("ended") or 0
    more = wrapped(Text(f"ended here: {phrases.counted(ended, 'crashed run')}"), width, 2) if ended else []
    return [*wrapped(_text(said), width, 2), *more]


def _servers(servers: Sequence[Results], remedies: Mapping[str, list[str]], width: int) -> Lines:
    lines: Lines = [Text("SERVERS", STRONG)]
    names = max((cell_len(server["name"]) for server in servers), default=0)
    for server in servers:
        head = Text.assemble("  ", _padded(_text(server["name"]), names + GAP))
        if server["version"] is None:
            lines += wrapped(Text.assemble(head, "not found, remedy ", _number_of(remedies, server["name"])), width, head.cell_len)
            continue
        said = f"{server['product']} {server['version']}, {server['source']}"
        lines += wrapped(Text.assemble(head, _text(said)), width, head.cell_len)
        lines += wrapped(Text.assemble(" " * INDENT, _text(server["path"], QUIET)), width, INDENT)
    return lines if servers else []


def _matrix(backends: Sequence[Results], remedies: Mapping[str, list[str]], width: int) -> Lines:
    """Give fault x backend; backends stand side by side, as many as fit, since their number is small and their names are short."""
    names = list(dict.fromkeys(fault for backend in backends for fault in backend["faults"]))
    first = min(max([cell_len(name) for name in names], default=0) + 2 + GAP, width // 2)
    lines: Lines = []
    for block in _blocks(backends, width - first):
        wide = [cell_len(clean(backend["name"])) for backend in block]
        columns = [_text(backend["name"], STRONG) for backend in block]
        lines += [Text("")] if lines else []
        lines.append(_row(Text("LOCAL" if block[0] is backends[0] else "", STRONG), first, columns, wide))
        for name in names:
            cells = [_feasible(backend, name, remedies) for backend in block]
            lines += [_row(Text.assemble("  ", _text(name)), first, cells, wide)]
    return lines


def _blocks(backends: Sequence[Results], room: int) -> Iterator[list[Results]]:
    block: list[Results] = []
    for backend in backends:
        if block and sum(cell_len(clean(each["name"])) + GAP for each in [*block, backend]) > room + GAP:
            yield block
            block = []
        block.append(backend)
    if block:
        yield block


def _row(head: Text, first: int, cells: Sequence[Text], widths: Sequence[int]) -> Text:
    parts = [_padded(head, first)]
    for cell, wide in zip(cells, widths, strict=True):
        left = (wide - cell.cell_len) // 2
        parts.append(_padded(Text.assemble(" " * left, cell), wide + GAP))
    return _stripped(Text.assemble(*parts))


def _feasible(backend: Results, fault: str, remedies: Mapping[str, list[str]]) -> Text:
    if fault not in backend["faults"] or backend["faults"][fault] is not None:
        return Text(*MARKS["unavailable"])
    if backend["missing"] is not None:
        return Text(_number_of(remedies, backend["name"]), STRONG)
    return Text(*MARKS["holds"])


def _numbered(results: Results, remedies: Mapping[str, list[str]], width: int) -> Lines:
    lines: Lines = []
    for number, (text, helped) in enumerate(remedies.items(), 1):
        lines += wrapped(Text.assemble(f"  {number}  ", _text(f"{', '.join(helped)}: {text}")), width, 5)
    return [Text("REMEDIES", STRONG), *lines] if lines else []


def _impossible(backends: Sequence[Results], width: int) -> Lines:
    """Tell why faults are refused; what differs by the fault's name only is told once."""
    told: dict[tuple[str, str], list[str]] = {}
    for backend in backends:
        for fault, reason in backend["faults"].items():
            if reason is not None:
                told.setdefault((backend["name"], re.sub(rf"(?<![\w-]){re.escape(fault)}(?![\w-])", "\0", reason)), []).append(fault)
    lines: Lines = []
    for (_, reason), refused in told.items():
        words = reason.replace("\0", refused[0] if len(refused) == 1 else phrases.listed(refused))
        lines += wrapped(Text.assemble("  ", ("–", QUIET), "  ", _text(words)), width, 5)
    return [Text("WHAT IS NOT POSSIBLE AT ALL", STRONG), *lines] if lines else []


def _doctor_end(results: Results, width: int) -> Lines:
    claims = results["claims"]
    said = f"{claims['runnable']} of {phrases.counted(claims['total'], 'claim')} can run here"
    lacking = claims["unavailable"]
    said += f"; {len(lacking)} would be unavailable: {', '.join(lacking)}." if lacking else "."
    meaning = "every backend can be started here" if results["exit"] == 0 else "part of the table cannot be judged on this machine"
    return [*wrapped(_text(said), width, 2), *wrapped(_text(f"exit {results['exit']}: {meaning}"), width, 2)]
