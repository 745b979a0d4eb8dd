"""The timeline of one trial, or of a whole short run, as a PNG: faults, roles, and who was entitled to what.

One row to scan for each lock: how many were entitled at each instant. Below it the lanes of its clients,
ordered by side, so that one dashed line shows where a partition runs. Marks, colours and sizes are those
of the visual language: colour is for what is wrong, and nothing is said by colour alone. Nothing is
smaller than 17 px on 1600, so that the picture can be read at half its size.

Rejected (each drawn and looked at): bars coloured per client (hid the overlap), overlap by colour alone
(vanished in greyscale), lanes of the two clients concerned only (looked clean where it was not).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.judging.verdict import Verdict
from harness.record.history import History
from reports import rows
from reports.frame import GAP, MARGIN, RIGHT, Frame, axis
from reports.groups import Board, board
from reports.legend import items, legend
from reports.marks import INK2, INK3, SMALLEST_PX, Mark, Words, line, middle, render, shorten, text_width
from reports.scene import NodeSeen, nodes, window
from reports.sheet import FLAG_PX, Title, flag, flag_line, flagged, heading, surroundings

GUTTER = (112, 250)


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
    seen, known = history.faults, nodes(history, end)
    frame = Frame(start, end, _gutter(rows_of, known))
    first = flagged(verdict)

    marks, y = heading(title)
    flag_y = y + 8
    y = flag_y + (FLAG_PX if first is not None else 0)
    top = y
    above, y = surroundings(history, seen, frame, y)
    roles, y = _roles(known, frame, y)
    marks += [*above, *roles]
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
        marks += [*flag(first, frame, flag_y), flag_line(first, frame, flag_y, y)]
    marks += legend(items((rows_of, seen, known), frame), frame.left, y + 40)
    return Sheet(tuple(marks), int(y + 40 + 34), rows_of)


def _gutter(rows_of: Board, known: Sequence[NodeSeen]) -> float:
    labels = [node.name for node in known] + ["seconds 00.0", "fault"]
    labels += [lane.label for group in (*rows_of.groups, *rows_of.strips) for lane in group.lanes]
    widths = [text_width(shorten(label, GUTTER[1]), SMALLEST_PX) for label in labels]
    widths += [
        text_width(shorten(group.name, GUTTER[1], bold=True), SMALLEST_PX, bold=True) for group in rows_of.groups if group.steps is not None
    ]
    return float(MARGIN + GAP + min(max(*widths, GUTTER[0]), GUTTER[1]) + 4)


def _roles(known: Sequence[NodeSeen], frame: Frame, y: float) -> tuple[list[Mark], float]:
    """Give a row for each node."""
    marks: list[Mark] = []
    for node in known:
        marks += rows.node_row(node, frame, y)
        y += rows.NODE_PX
    return marks, y + 6


def _remainder(rows_of: Board, frame: Frame, y: float) -> tuple[list[Mark], float]:
    marks, height = rows.rest_rows(rows_of, frame, y)
    y += height
    if rows_of.strips:
        marks.append(line((MARGIN, y), (RIGHT, y), INK3, 1))
    for strip in rows_of.strips:
        marks += rows.strip_row(strip, frame, y)
        y += rows.STRIP_PX
    return marks, y
