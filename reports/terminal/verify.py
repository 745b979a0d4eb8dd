"""What `verify` shows: contradictions, the documented tables, every claim, what is in doubt, and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from harness.claims.counting import ENDED
from harness.claims.results import Judgement, Verify
from harness.claims.table import place
from reports import phrases
from reports.terminal.documented import TAG, documented
from reports.terminal.lines import (
    A_BUG,
    GAP,
    INDENT,
    LOUD,
    MARKS,
    NOT_USABLE,
    REASONS,
    STRONG,
    Lines,
    and_more,
    clean,
    cleaned,
    command_lines,
    fact_lines,
    gate_words,
    labelled,
    lasting,
    mark,
    packed,
    padded,
    path_lines,
    place_lines,
    reason_lines,
    rendered,
    spaced,
    stripped,
    versions_said,
    wrapped,
)

DOUBT = ("inconclusive", "unavailable")
SHOWN = ("violated", "finding", "as-documented")
MOST_PICTURES = 5


def table(results: Verify, *, colour: bool, width: int = 80) -> str:
    """Show what `verify` found: contradictions, the documented tables, every claim, what is in doubt, and the exit code."""
    claims = sorted(results.claims, key=lambda claim: list(MARKS).index(claim.verdict))
    sections = [
        _headline(results, claims, width),
        _contradictions(results, claims, width),
        *documented(results, width),
        _claims(claims, width),
        _findings(results, claims, width),
        _doubts(claims, width),
        reason_lines("THE MACHINE FAILED", [f"{name}: {reason}" for name, reason in results.failures.items()], width),
        reason_lines("VOID TRIALS, REPEATED", [void for claim in claims for void in claim.voids], width),
        reason_lines("REPEATED ALONE, IN DOUBT SIDE BY SIDE", [f"{name}: {why}" for name, why in results.repeated.items()], width),
        _verify_end(results, claims, width),
    ]
    return rendered(spaced(sections), colour=colour)


def _headline(results: Verify, claims: Sequence[Judgement], width: int) -> Lines:
    words = [claim.verdict for claim in claims if not (claim.verdict == "unavailable" and claim.expected)]
    if results.contradicts:
        shape, style = MARKS["violated"][0], LOUD
    else:
        shape, style = MARKS[next((word for word in words if word in ("inconclusive", "unavailable", "finding")), "holds")][0], STRONG
        shape = shape if claims else MARKS["not judged"][0]
    return wrapped(cleaned(f"{shape} {results.headline}", style), width, 2)


def _contradictions(results: Verify, claims: Sequence[Judgement], width: int) -> Lines:
    lines: Lines = []
    cell: object = None
    for claim in claims:
        if claim.verdict != "violated":
            continue
        if (claim.table, claim.cell) != cell:
            lines += [Text("")] if lines else []
            lines += wrapped(Text.assemble("  ", cleaned(_place(results, claim, "claimed: "))), width, INDENT)
            cell = (claim.table, claim.cell)
        lines += wrapped(Text.assemble("  ", (MARKS["violated"][0], LOUD), " ", cleaned(f"{claim.id}: {claim.sentence}")), width, INDENT)
        lines += _facts(claim, width)
        lines += command_lines("repeat", claim.repeat, width) if claim.repeat else []
    return [Text("CONTRADICTS THE DOCUMENT", STRONG), *lines] if lines else []


def _findings(results: Verify, claims: Sequence[Judgement], width: int) -> Lines:
    lines: Lines = []
    for claim in claims:
        if claim.verdict == "finding":
            shape, style = MARKS["finding"]
            head = Text.assemble("  ", (shape, style), " ", cleaned(f"{claim.id}: {claim.sentence}"))
            lines += [*wrapped(head, width, INDENT), *labelled("cell", _place(results, claim), width), *_facts(claim, width)]
    return [Text("FINDINGS, OF WHICH THE DOCUMENT IS SILENT", STRONG), *lines] if lines else []


def _place(results: Verify, claim: Judgement, before: str = "") -> str:
    quote = f", {before}“{claim.quote}”" if claim.quote else ""
    return f"{place(claim.cell, claim.table, results.tables)}{quote}"


def _facts(claim: Judgement, width: int) -> Lines:
    """Give what was observed of a claim, under what conditions, and where the evidence is."""
    lines = [*labelled("under", claim.conditions, width), *labelled("observed", _observed(claim), width)]
    if claim.anomalies:
        first = claim.anomalies[0]
        lines += labelled("first", f"{first.kind} in trial {first.trial}: {first.message}", width)
    lines += _missing(claim, width)
    for number, path in enumerate(claim.evidence):
        lines += path_lines("" if number else "evidence", path, width)
    return lines


def _observed(claim: Judgement) -> str:
    counted = claim.rate
    if counted is None or str(counted) in claim.said:
        return str(claim.said)
    return f"{counted} {claim.unit}, 95 % interval {counted.interval}; {claim.said}"


@dataclass(frozen=True, slots=True)
class _Count:
    """A claim's row in numbers: "5 of 5", "failovers", "47–100 %"."""

    of: str
    unit: str
    interval: str


def _count(claim: Judgement) -> _Count:
    counted = claim.rate
    if counted is not None:
        return _Count(str(counted), clean(claim.unit), counted.interval)
    return _Count("–", "not run" if claim.verdict == "unavailable" else "no trial", "")


def _claims(claims: Sequence[Judgement], width: int) -> Lines:
    counts = [_count(claim) for claim in claims]
    beside = _columns(claims, counts, width)
    column = 2 + TAG + GAP
    lines = [beside.header()] if beside else [Text.assemble(("CLAIMS", STRONG), ", broken in k of n, 95 % interval")]
    for claim, count in zip(claims, counts, strict=True):
        head = Text.assemble("  ", padded(mark(claim.verdict), TAG + GAP), cleaned(claim.id))
        if beside:
            lines.append(stripped(Text.assemble(padded(head, column + beside.names + GAP), beside.numbers(count))))
        else:
            short = f"{count.of} {count.unit}" + (f", {count.interval}" if count.interval else "")
            lines += [*wrapped(head, width, column), *wrapped(Text.assemble(" " * column, cleaned(short)), width, column)]
        if not claim.expected:
            lines += wrapped(Text.assemble(" " * column, cleaned(f"not as expected: {' or '.join(claim.expect)}", STRONG)), width, column)
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


def _columns(claims: Sequence[Judgement], counts: Sequence[_Count], width: int) -> _Columns | None:
    """Give the widths, None where a claim's name or unit is too long for one line."""
    found = _Columns(
        names=max((cell_len(clean(claim.id)) for claim in claims), default=0),
        of=max((len(count.of) for count in counts), default=0),
        unit=max([6, *(cell_len(count.unit) for count in counts)]),
        interval=max((len(count.interval) for count in counts), default=0),
    )
    return found if found.header().cell_len <= width else None


def _doubts(claims: Sequence[Judgement], width: int) -> Lines:
    lines: Lines = []
    for word in DOUBT:
        of_word = [claim for claim in claims if claim.verdict == word]
        if not of_word:
            continue
        lines += [Text("")] if lines else []
        lines.append(Text(word.upper(), STRONG))
        for claim in of_word:
            shape, style = MARKS[word]
            lines += wrapped(Text.assemble("  ", (shape, style), " ", cleaned(f"{claim.id}: {claim.sentence}")), width, INDENT)
            lines += labelled("under", claim.conditions, width)
            lines += _missing(claim, width) or labelled("missing", claim.said, width)
            lines += labelled("remedy", claim.remedy or "", width)
    return lines


def _missing(claim: Judgement, width: int) -> Lines:
    """Tell what stood in the way, and each gate that was not met with what it needed and measured."""
    told = [clean(reason) for reason in claim.missing]
    for gate in claim.gates if claim.verdict == "inconclusive" else ():
        words = f"{gate_words(gate.name)}: {gate.measured:,}, needed {gate.needed:,}"
        known = f"{gate.name.replace('_', ' ')}: {gate.measured}, needed {gate.needed}"
        if not gate.met and not any(known in reason or words in reason for reason in told):
            told.append(words)
    lines = [line for n, reason in enumerate(told[:REASONS]) for line in labelled("" if n else "missing", reason, width)]
    more = labelled("", f"and {len(told) - REASONS} more, in results.json", width) if len(told) > REASONS else []
    return [*lines, *more]


def _verify_end(results: Verify, claims: Sequence[Judgement], width: int) -> Lines:
    counts = Counter(str(claim.verdict) for claim in claims)
    tally = [Text.assemble("  ", mark(word), f" {counts[word]}") for word in MARKS if counts[word]]
    controls: dict[tuple[str, str], bool] = {}  # what is planted for a check counts once, and only if it was condemned wherever it was
    for each in (control for claim in claims for control in claim.controls):
        name = (each.check, each.planted)
        controls[name] = controls.get(name, True) and bool(each.condemned)
    lines = packed([padded(Text(phrases.counted(len(claims), "claim")), 10), *tally], width, 10)
    told = f"{sum(controls.values())} of {len(controls)} condemned by their checks: planted bugs and weaker settings" if controls else ""
    lines += fact_lines("controls", told, width)
    if elsewhere := results.elsewhere:
        lines += fact_lines(
            "elsewhere", f"{phrases.counted(len(elsewhere), 'claim')} that only another profile judges: {', '.join(elsewhere)}", width
        )
    lines += fact_lines("took", f"{lasting(results.seconds)}; profile {results.profile}, {seeds(results)}, {results.on}", width)
    lines += fact_lines("servers", versions_said(results), width)
    lines += place_lines(results, width)
    for number, picture in enumerate(_pictures(claims)[:MOST_PICTURES]):
        lines += path_lines("" if number else "pictures", str(picture), width, 0)
    lines += command_lines("again", results.command, width, 0)
    for said in left_out(claims):
        lines += wrapped(cleaned(said), width, 2)
    return lines + wrapped(cleaned(f"exit {results.exit}: {meaning(results)}", STRONG if results.exit else ""), width, 2)


def _pictures(claims: Sequence[Judgement]) -> list[Path]:
    """Give the pictures of what was seen, contradictions first; only those that were drawn."""
    found = []
    for claim in sorted(claims, key=lambda claim: list(MARKS).index(claim.verdict)):
        seen_in = {anomaly.experiment for anomaly in claim.anomalies} if claim.verdict in SHOWN else set()
        found += [Path(each) / "timeline.png" for each in claim.experiments if Path(each).name in seen_in]
    return [picture for picture in dict.fromkeys(found) if picture.exists()]


def seeds(results: Verify) -> str:
    """Say with what seed it ran, with which ones where shards were joined."""
    found = sorted({str(shard.seed) for shard in results.shards})
    return f"seeds {phrases.listed(found)}" if len(found) > 1 else f"seed {found[0] if found else results.seed}"


def left_out(claims: Sequence[Judgement]) -> list[str]:
    """Say which claims this machine could not judge, what it lacks, and how to get that: a line for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for claim in claims:
        if claim.absent:
            reasons.setdefault((", ".join(claim.missing), claim.remedy or ""), []).append(claim.id)
    return [
        f"left out on this machine: {phrases.counted(len(names), 'claim')} ({', '.join(names)}): {reason.removesuffix(' on this machine')}"
        + (f"; get it: {remedy}" if remedy else "")
        for (reason, remedy), names in reasons.items()
    ]


def meaning(results: Verify) -> str:
    """Say what the exit code says of a table, in a sentence."""
    code, claims = results.exit, results.claims
    surprising = [claim for claim in claims if not claim.expected]
    told = [f"{claim.id} is {claim.verdict}, expected {' or '.join(claim.expect)}" for claim in surprising]
    if code == 0:
        wrong = sum(claim.verdict == "violated" for claim in claims)
        more = f", {phrases.counted(wrong, 'contradiction')} of the document included" if wrong else ""
        more += ", but for what was left out" if any(claim.absent for claim in claims) else ""
        return f"every verdict is one that its claim expects{more}"
    if code == 1:
        firm = [text for text, claim in zip(told, surprising, strict=True) if claim.verdict not in DOUBT]
        return and_more(firm) if firm else "contradicts the document, and --strict was given"
    if code == 2:
        return and_more(told) if told else "nothing was judged"
    if code == 3 and (why := [claim.infrastructure for claim in claims if claim.infrastructure]) and all(ENDED in each for each in why):
        return f"cut short: {ENDED}; run it again"
    return {3: "the machine or a server failed; run it again", 64: NOT_USABLE, 70: A_BUG}.get(code, "interrupted")
