"""The timeline of one trial, or of a whole short run, as a PNG: faults, roles, and who was entitled to what.

One row to scan for each lock: how many were entitled at each instant. Below it the lanes of its clients,
ordered by side, so that one dashed line shows where a partition runs. Marks, colours and sizes are those
of the visual language: colour is for what is wrong, and nothing is said by colour alone. Nothing is
smaller than 17 px on 1600, so that the picture can be read at half its size.

Rejected (each drawn and looked at): bars coloured per client (hid the overlap), overlap by colour alone
(vanished in greyscale), lanes of the two clients concerned only (looked clean where it was not).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.history import History
from harness.verdict import Status, Verdict
from reports import rows
from reports.frame import GAP, MARGIN, RIGHT, Frame, axis
from reports.groups import Board, board
from reports.legend import legend
from reports.marks import (
    FLAG,
    INK,
    INK2,
    INK3,
    PAPER,
    SMALLEST_PX,
    WIDTH_PX,
    Box,
    Mark,
    Words,
    line,
    middle,
    render,
    shorten,
    text_width,
    wrap,
)
from reports.phrases import seconds
from reports.scene import FaultSeen, NodeSeen, faults, has_nemesis, nodes, trial_starts, window

TITLE_PX, SUBTITLE_PX = 26, 18
FLAG_PX = 32
GUTTER = (112, 250)


@dataclass(frozen=True, slots=True)
class Title:
    """The finding, in one sentence, and what it was found in."""

    finding: str
    subtitle: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A figure before it is drawn: its marks, its height, and the rows that they come from."""

    marks: tuple[Mark, ...]
    height_px: int
    board: Board


def draw(history: History, verdict: Verdict, path: Path, title: Title) -> None:
    """Draw one trial, or a whole short run, to a PNG of 1600 px width; its height follows from what there is to show.

    O(n log n) in operations; about a second for ten thousand. Draws any history, an empty one too.
    """
    sheet = layout(history, verdict, title)
    render(sheet.marks, sheet.height_px, path)


def layout(history: History, verdict: Verdict, title: Title) -> Sheet:
    """Give the figure as marks."""
    start, end = window(history)
    rows_of = board(history, verdict, end)
    seen, known = faults(history), nodes(history, end)
    frame = Frame(start, end, _gutter(rows_of, known))
    first = min((anomaly.at for anomaly in verdict.all_anomalies()), default=None) if verdict.status is Status.INVALID else None

    marks, y = _heading(title)
    flag_y = y + 8
    y = flag_y + (FLAG_PX if first is not None else 0)
    top = y
    above, y = _surroundings(history, (seen, known), frame, y)
    marks += above
    for group in rows_of.groups:
        marks += rows.group_rows(group, seen, frame, y)
        y += rows.group_height(group)
    below, y = _remainder(rows_of, frame, y)
    marks += below
    if not rows_of.groups:
        marks.append(Words(frame.left + 12, middle(y, y + 60), "no operations", colour=INK2))
        y += 60
    y += 6
    marks += [*rows.tints(seen, frame, top, y), *rows.turn_lines(known, frame, top, y), *axis(frame, top, y)]
    if first is not None:
        marks += _flag(frame.x(first), f"first violation {seconds(first)} s", flag_y, y)
    marks += legend((rows_of, seen, known), frame, y + 40)
    return Sheet(tuple(marks), int(y + 40 + 34), rows_of)


def _gutter(rows_of: Board, known: Sequence[NodeSeen]) -> float:
    labels = [node.name for node in known] + ["seconds 00.0", "fault"]
    labels += [lane.label for group in (*rows_of.groups, *rows_of.strips) for lane in group.lanes]
    widths = [text_width(shorten(label, GUTTER[1]), SMALLEST_PX) for label in labels]
    widths += [
        text_width(shorten(group.name, GUTTER[1], bold=True), SMALLEST_PX, bold=True) for group in rows_of.groups if group.steps is not None
    ]
    return float(MARGIN + GAP + min(max(*widths, GUTTER[0]), GUTTER[1]) + 4)


def _heading(title: Title) -> tuple[list[Mark], float]:
    marks: list[Mark] = []
    y = 12.0
    for text in wrap(title.finding, WIDTH_PX - 2 * MARGIN, TITLE_PX, bold=True)[:3]:
        y += 33
        marks.append(Words(MARGIN, y - 6, text, TITLE_PX, INK, bold=True))
    for text in wrap(title.subtitle, WIDTH_PX - 2 * MARGIN, SUBTITLE_PX)[:3]:
        y += 26
        marks.append(Words(MARGIN, y - 3, text, SUBTITLE_PX, INK2))
    return marks, y + 8


def _surroundings(history: History, around: tuple[list[FaultSeen], list[NodeSeen]], frame: Frame, y: float) -> tuple[list[Mark], float]:
    """Give the rows of trials, faults and roles, where there are any."""
    seen, known = around
    marks: list[Mark] = []
    trials = trial_starts(history)
    if len(trials) > 1:
        marks += _trials(trials, frame, y)
        y += 27
    if has_nemesis(history):
        marks.append(frame.label(y, y + rows.FAULT_PX - 3, "fault"))
        bars, count = rows.fault_rows(history, seen, frame, y)
        marks += bars if seen else [Words(frame.left + 7, middle(y, y + rows.FAULT_PX - 3), "none", colour=INK2)]
        y += count * rows.FAULT_PX + 2
    for node in known:
        marks += rows.node_row(node, frame, y)
        y += rows.NODE_PX
    return marks, y + 6


def _trials(trials: Sequence[tuple[int, int]], frame: Frame, y: float) -> Iterator[Mark]:
    yield frame.label(y, y + 27, "trial")
    free = 0.0
    for n, at in trials:
        x = frame.x(at)
        yield line(x, y + 4, x, y + 24, INK3, 1.4)
        if x + 5 > free and x + 5 + text_width(str(n), SMALLEST_PX) < RIGHT:
            yield Words(x + 5, middle(y, y + 27), str(n), colour=INK2)
            free = x + 12 + text_width(str(n), SMALLEST_PX)


def _remainder(rows_of: Board, frame: Frame, y: float) -> tuple[list[Mark], float]:
    marks, height = rows.rest_rows(rows_of, frame, y)
    y += height
    if rows_of.strips:
        marks.append(line(MARGIN, y, RIGHT, y, INK3, 1))
    for strip in rows_of.strips:
        marks += rows.strip_row(strip, frame, y)
        y += rows.STRIP_PX
    return marks, y


def _flag(x: float, text: str, top: float, bottom: float) -> Iterator[Mark]:
    width = text_width(text, SMALLEST_PX, bold=True) + 20
    left = x if x + width <= RIGHT else x - width
    yield line(x, top, x, bottom, FLAG, 2.6, 5)
    yield Box(left, top, left + width, top + FLAG_PX - 6, FLAG, 7)
    yield Words(left + 10, middle(top, top + FLAG_PX - 6), text, colour=PAPER, bold=True, z=9)
