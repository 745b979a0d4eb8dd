"""What every figure of a run has in common: its title, the flag of what the title names, the rows of trials and faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.judging.kind import kind_of
from harness.judging.verdict import Status, Verdict, of_each_kind_first
from harness.record.history import History, RecordedFault
from reports import rows
from reports.frame import MARGIN, RIGHT, Frame
from reports.marks import FLAG, INK, INK2, INK3, PAPER, SMALLEST_PX, WIDTH_PX, Box, Mark, Words, line, middle, text_width, wrap
from reports.phrases import moment

TITLE_PX, SUBTITLE_PX = 26, 18
FLAG_PX, TRIAL_PX = 32, 27


@dataclass(frozen=True, slots=True)
class Title:
    """The finding, in one sentence, and what it was found in."""

    finding: str
    subtitle: str


def heading(title: Title) -> tuple[list[Mark], float]:
    """Give the title, at most three lines of each kind, and where it ends."""
    marks: list[Mark] = []
    y = 12.0
    for text in wrap(title.finding, WIDTH_PX - 2 * MARGIN, TITLE_PX, bold=True)[:3]:
        y += 33
        marks.append(Words(MARGIN, y - 6, text, TITLE_PX, INK, bold=True))
    for text in wrap(title.subtitle, WIDTH_PX - 2 * MARGIN, SUBTITLE_PX)[:3]:
        y += 26
        marks.append(Words(MARGIN, y - 3, text, SUBTITLE_PX, INK2))
    return marks, y + 8


@dataclass(frozen=True, slots=True)
class Flag:
    """Where the anomaly stands that the title speaks of, and what the flag says of it."""

    at: int
    text: str


def flagged(verdict: Verdict) -> Flag | None:
    """Give the flag of the first anomaly of the worst kind; None where a verdict is not invalid."""
    anomalies = verdict.all_anomalies()
    if verdict.status is not Status.INVALID or not anomalies:
        return None
    first = of_each_kind_first(anomalies)[0]
    more = "first " if sum(each.kind == first.kind for each in anomalies) > 1 else ""
    return Flag(first.at, f"{kind_of(first.kind).words}, {more}at {moment(first.at)}")


def flag(first: Flag, frame: Frame, top: float) -> Iterator[Mark]:
    """Give the flag; its line is the figure's."""
    x = frame.x(first.at)
    width = text_width(first.text, SMALLEST_PX, bold=True) + 20
    left = x if x + width <= RIGHT else x - width
    yield Box(left, top, left + width, top + FLAG_PX - 6, FLAG, 7)
    yield Words(left + 10, middle(top, top + FLAG_PX - 6), first.text, colour=PAPER, bold=True, z=9)


def flag_line(first: Flag, frame: Frame, top: float, bottom: float) -> Mark:
    """Give the line of the flag."""
    return line((frame.x(first.at), top), (frame.x(first.at), bottom), FLAG, 2.6, 5)


def surroundings(history: History, seen: Sequence[RecordedFault], frame: Frame, y: float) -> tuple[list[Mark], float]:
    """Give the rows of trials and faults, where there are any, and where they end."""
    marks: list[Mark] = []
    trials = [(mark.n, mark.moment.time) for mark in history.marks if mark.phase == "steady"]
    if len(trials) > 1:
        marks += _trials(trials, frame, y)
        y += TRIAL_PX
    if history.has_nemesis:
        marks.append(frame.label(y, y + rows.FAULT_PX - 3, "fault"))
        bars, count = rows.fault_rows(history, seen, frame, y)
        marks += bars if seen else [Words(frame.left + 7, middle(y, y + rows.FAULT_PX - 3), "none", colour=INK2)]
        y += count * rows.FAULT_PX + 2
    return marks, y


def _trials(trials: Sequence[tuple[int, int]], frame: Frame, y: float) -> Iterator[Mark]:
    yield frame.label(y, y + TRIAL_PX, "trial")
    free = 0.0
    for n, at in trials:
        x = frame.x(at)
        yield line((x, y + 4), (x, y + 24), INK3, 1.4)
        if x + 5 > free and x + 5 + text_width(str(n), SMALLEST_PX) < RIGHT:
            yield Words(x + 5, middle(y, y + TRIAL_PX), str(n), colour=INK2)
            free = x + 12 + text_width(str(n), SMALLEST_PX)
