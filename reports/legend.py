"""The legend: one row, with the marks that the figure really has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from harness.record.history import RecordedFault
from reports import rows
from reports.frame import MARGIN, RIGHT, Frame
from reports.groups import Board
from reports.marks import (
    EDGE,
    INFO,
    INK2,
    MAY,
    MUST,
    OK,
    OVERLAP,
    PAPER,
    SMALLEST_PX,
    TINT,
    Box,
    Mark,
    Shape,
    Stroke,
    Words,
    cross,
    diamond,
    hatch,
    line,
    middle,
    text_width,
    triangle,
)
from reports.scene import NodeSeen

HEIGHT = 28
Draw = Callable[[float, float], list[Mark]]
Item = tuple[Draw, int, str, str]  # the mark at (x, middle), its width, its words, fewer words


def legend(items: Sequence[Item], left: float, y: float) -> list[Mark]:
    """Give the row; with fewer words, the last first, then closer together, where it would be too wide."""
    for short in range(len(items) + 1):  # as few as needed
        words = [item[3] if n >= len(items) - short else item[2] for n, item in enumerate(items)]
        total = sum(_width(item, text) for item, text in zip(items, words, strict=True))
        if total + 28 * (len(items) - 1) <= RIGHT - MARGIN:
            break
    apart = min(28.0, (RIGHT - MARGIN - total) / max(len(items) - 1, 1))
    x = min(left, RIGHT - total - apart * (len(items) - 1)) if items else left
    marks: list[Mark] = []
    for item, text in zip(items, words, strict=True):
        mark, width = item[0], item[1]
        marks += mark(x, y + HEIGHT / 2)
        marks.append(Words(x + width + 8, middle(y, y + HEIGHT), text, colour=INK2))
        x += _width(item, text) + apart
    return marks


def _width(item: Item, words: str) -> float:
    return item[1] + 8 + text_width(words, SMALLEST_PX)


def items(drawn: tuple[Board, Sequence[RecordedFault], Sequence[NodeSeen]], frame: Frame) -> list[Item]:
    """Give what a timeline's legend explains."""
    board, seen, known = drawn
    groups = (*board.groups, *board.rest)
    lanes = [lane for group in (*board.groups, *board.strips) for lane in group.lanes]
    hatched = any(frame.x(b) - frame.x(a) >= 2.5 for lane in lanes for a, b in lane.may)
    cut = any(map(rows.cuts_a_side, seen))
    sides = any(before.side != after.side for group in board.groups for before, after in pairwise(group.lanes))
    every: list[tuple[bool, Item]] = [
        (any(lane.must for lane in lanes), (_must, 34, "must hold", "must hold")),
        (hatched, (_may, 34, "may hold", "may hold")),
        (any(lane.endless is not None for lane in lanes), (_endless, 38, "may hold, no end", "no end")),
        (any(group.overlaps for group in groups), (_overlap, 34, "two owners at once", "two owners")),
        (any(group.seen for group in groups), (_seen, 16, "evidence", "evidence")),
        (any(lane.ok for lane in lanes), (_ok, 15, "ok", "ok")),
        (any(lane.fail for lane in lanes), FAIL),
        (any(lane.info for lane in lanes), UNSURE),
        (cut and sides, (_cut, 32, "the cut", "cut")),
        (any(at > frame.start for node in known for at, _ in node.changes), TURN),
    ]
    return [item for present, item in every if present]


def _must(x: float, y: float) -> list[Mark]:
    return [Box(x, y - 7, x + 34, y + 7, MUST, 3)]


def _may(x: float, y: float) -> list[Mark]:
    return hatch(x, y - 7, x + 34, y + 7)


def _endless(x: float, y: float) -> list[Mark]:
    return [Stroke(((x, y), (x + 30, y)), MAY, 3, 4, dash=(3, 2.5)), Shape(((x + 29, y - 5), (x + 38, y), (x + 29, y + 5)), MAY, 4)]


def _overlap(x: float, y: float) -> list[Mark]:
    return [Box(x, y - 8, x + 34, y + 8, OVERLAP, 4), line((x, y), (x + 34, y), PAPER, 2.4, 5)]


def _seen(x: float, y: float) -> list[Mark]:
    return [diamond(x + 8, y)]


def _ok(x: float, y: float) -> list[Mark]:
    return [line((x + n, y - 4), (x + n, y + 4), OK, 1.4) for n in (2, 7, 12)]


def _fail(x: float, y: float) -> list[Mark]:
    return cross(x + 7, y)


def _info(x: float, y: float) -> list[Mark]:
    return [Words(x + 6, y + 8, "?", 21, INFO, bold=True, align="center", halo=True)]


def _cut(x: float, y: float) -> list[Mark]:
    return [Stroke(((x, y), (x + 32, y)), EDGE, 2.2, 5, dash=(9, 5))]


def _turn(x: float, y: float) -> list[Mark]:
    return [triangle(x + 8, y + 7)]


def _tinted(x: float, y: float) -> list[Mark]:
    return [
        Box(x, y - 9, x + 30, y + 9, TINT, 2),
        line((x, y - 9), (x, y + 9), EDGE, 1.4),
        line((x + 30, y - 9), (x + 30, y + 9), EDGE, 1.4),
    ]


FAIL: Item = (_fail, 14, "fail: no effect", "fail")
UNSURE: Item = (_info, 12, "info: may have happened", "info")
TURN: Item = (_turn, 16, "role change", "role change")
TINTED: Item = (_tinted, 30, "fault on, as proved", "fault on")
