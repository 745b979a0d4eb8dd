"""What every screen is made of: marks, wrapped lines, facts under labels, commands and paths that can be copied.

Each text has at most `width` columns, with or without colour; printing is the command line's. A word is never
said by its colour alone: each verdict has a shape of its own, and only `violated` is filled. Lines are wrapped
here and not by the terminal, by cells and not by characters, since quotes and keys are the user's. What came
from outside is shown with its control characters spelt out: a key of a foreign history must not steer the terminal.

Rejected: rich's tables (their wrapping breaks commands and marks), a pager, boxes around everything.
"""

from __future__ import annotations

import io
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from harness.claims.results import Run, Verify
from harness.record.store import printable

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
"""Shape and style of each word, the verdicts on claims worst first, then those of checks."""
GAP = 2
INDENT = 4
A_BUG = "a bug of Holdwater or of a plug-in; it says nothing of the system"
NOT_USABLE = "a file or a plug-in could not be used; it is named in a line of its own"
REASONS = 5  # shown of each claim; all are in results.json
Lines = list[Text]


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


def wrapped(text: Text, width: int, indent: int) -> Lines:
    """Wrap a text into lines of at most `width` cells, all but the first indented; a word longer than a line is broken."""
    console, text = Console(file=io.StringIO(), width=width), stripped(text)
    folded = text.wrap(console, width, overflow="fold")
    if len(folded) < 2:
        return [text]
    end = len(folded[0].plain)
    while text.plain[end].isspace():
        end += 1
    rest = text[end:].wrap(console, max(width - indent, 1), overflow="fold")
    return [stripped(folded[0]), *(stripped(Text.assemble(" " * indent, line)) for line in rest)]


def stripped(text: Text) -> Text:
    line = text.copy()
    line.rstrip()
    return line


def cleaned(value: object, style: str = "") -> Text:
    return Text(clean(value), style)


def clean(value: object) -> str:
    """Spell out what is not printable, and let every white space be one space."""
    return printable(" ".join(str(value).split()))


def padded(text: Text, width: int) -> Text:
    return Text.assemble(text, " " * max(width - text.cell_len, 0))


def labelled(label: str, text: object, width: int, indent: int = INDENT) -> Lines:
    """Give a fact under its label; nothing where there is none."""
    if not str(text):
        return []
    head = _label(label, indent)
    return wrapped(Text.assemble(head, cleaned(text)), width, len(head))


def _label(label: str, indent: int) -> str:
    return f"{'':{indent}}{label:<{8 if indent else 10}}{'':{GAP}}"


def path_lines(label: str, path: str, width: int, indent: int = INDENT) -> Lines:
    """Give a path beside its label, or below it where it does not fit, whole whatever its length: in two lines it cannot be copied."""
    if len(_label(label, indent)) + cell_len(clean(path)) <= width:
        return labelled(label, path, width, indent)
    before = [Text(f"{'':{indent}}{label}")] if label else []
    return [*before, Text.assemble(" " * max(indent, GAP), cleaned(path))]


def command_lines(label: str, command: str, width: int, indent: int = INDENT) -> Lines:
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
    for word in map(printable, words):
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


def spaced(sections: Iterable[Lines]) -> Lines:
    lines: Lines = []
    for section in filter(None, sections):
        lines += [Text(""), *section] if lines else section
    return lines


def rendered(lines: Lines, *, colour: bool) -> str:
    if not colour:
        return "\n".join(line.plain.rstrip() for line in lines)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", no_color=False, legacy_windows=False)
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    return out.getvalue().rstrip("\n")


def counted_words(words: Iterable[str]) -> str:
    counts = Counter(words)
    return ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def reason_lines(title: str, reasons: Sequence[str], width: int) -> Lines:
    told = list(dict.fromkeys(reasons))
    lines = [line for reason in told[:REASONS] for line in wrapped(Text.assemble("  ", cleaned(reason)), width, INDENT)]
    more = [Text(f"  and {len(told) - REASONS} more, in results.json")] if len(told) > REASONS else []
    return [Text(title, STRONG), *lines, *more] if told else []


def gate_words(name: str) -> str:
    words, _, workload = name.replace("_", " ").partition(":")
    return f"{words} ({workload})" if workload else words


def little(results: Run) -> str:
    """Say beside the word of a valid run which counts were too low: what was hardly exercised shows little."""
    unmet = [gate for trial in results.trials for gate in trial.gates if not gate.met]
    told = [f"{gate_words(gate.name)} {gate.measured:,}, needed {gate.needed:,}" for gate in unmet]
    return f", but little was exercised ({and_more(told)})" if told and results.status == "valid" else ""


def fact_lines(label: str, text: object, width: int) -> Lines:
    return labelled(label, text, width, 0)


def versions_said(results: Run | Verify) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(results.versions.items()))


def place_lines(results: Run | Verify, width: int) -> Lines:
    directory = Path(results.directory)
    found = [name for name in ("timeline.png", "anomalies/1.txt") if (directory / name).exists()]
    lines = path_lines("results", f"{directory}/results.json", width, 0)
    for number, name in enumerate(found):
        lines += path_lines("" if number else "look", f"{directory}/{name}", width, 0)
    return lines


def and_more(told: Sequence[str]) -> str:
    return told[0] + (f" (and {len(told) - 1} more)" if len(told) > 1 else "")


def status_meaning(word: str) -> str:
    return {"valid": "no violation was seen", "invalid": "not valid: a counterexample exists", "unknown": "no verdict"}[word]
