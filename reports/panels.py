"""Small multiples over one time axis: the frame that latency and rate share with the timeline of the same run.

Above all panels the flag, the faults and the changes of roles, in words; in each panel the tint and the lines that
belong to them. Words stay out of the panels: there they would hide what they speak of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.judging.family import answered_here
from harness.judging.verdict import Verdict
from harness.record.history import History, Operation, RecordedFault
from reports import phrases, rows
from reports.frame import GAP, MARGIN, RIGHT, Frame, axis, grid
from reports.legend import TINTED, TURN, Item, legend
from reports.marks import INK2, SMALLEST_PX, Mark, Words, middle, shorten, text_width, triangle
from reports.scene import NodeSeen, nodes, window
from reports.sheet import FLAG_PX, Flag, Title, flag, flag_line, flagged, heading, surroundings

LEFT = MARGIN + GAP + 116.0  # a timeline's least gutter: all three have the same axis, unless its labels are long
HEAD_PX, GAP_PX = 36, 18
NAME_PX = 20
PROMOTED = {"primary": "promoted", "replica": "demoted"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot: its name, what is told of it beside the name, its height, and its marks within (frame, top, bottom)."""

    name: str
    told: str
    height_px: float
    draw: Callable[[Frame, float, float], list[Mark]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure before it is drawn."""

    marks: tuple[Mark, ...]
    height_px: int


@dataclass(frozen=True, slots=True)
class Run:
    """A history as figures need it: its operations paired, its window in time, and what was around it."""

    history: History
    operations: Sequence[Operation]
    frame: Frame
    faults: Sequence[RecordedFault]
    nodes: Sequence[NodeSeen]
    first: Flag | None

    @property
    def fault(self) -> RecordedFault | None:
        """Give the first fault that was proved on."""
        return next((each for each in self.faults if each.active is not None), None)

    def since(self) -> str:
        """Say what the first proved fault did: "the primary was cut off"."""
        if self.fault is None:
            return "the run began"
        return phrases.since(self.history, self.fault, self.nodes)


def run(history: History, verdict: Verdict) -> Run:
    """Read a history once for a figure; O(n) in events."""
    start, end = window(history)
    return Run(history, history.operations(), Frame(start, end, LEFT), history.faults, nodes(history, end), flagged(verdict))


def served(operations: Iterable[Operation]) -> tuple[list[Operation], list[Operation]]:
    """Part what was asked of the servers from what was asked of the records that locks protect: those are ours, and no server."""
    parts: tuple[list[Operation], list[Operation]] = ([], [])
    ours = answered_here()
    for each in operations:
        parts[each.f in ours].append(each)
    return parts


def outcomes(operations: Iterable[Operation]) -> str:
    """Say how many of each outcome: "20 fail and 4 info"."""
    counts = Counter(each.status for each in operations)
    return phrases.listed([f"{counts[name]:,} {name}" for name in ("ok", "fail", "info") if counts[name]])


def ended(operation: Operation, end: int) -> int:
    """Give when an operation was answered or given up, `end` if neither."""
    answered = operation.end if operation.end is not None else operation.gave_up
    return end if answered is None else answered


def figure(of: Run, title: Title, panels: Sequence[Panel], items: Sequence[Item]) -> Figure:
    """Lay out a figure: its title, what was around, the panels one below the other, the legend."""
    marks, y = heading(title)
    above, y = _above(of, y + 8)
    marks += above
    y += 8
    for n, panel in enumerate(panels):
        top, bottom = y + HEAD_PX, y + HEAD_PX + panel.height_px
        marks += _named(panel, of.frame, y)
        marks += _crossing(of, top, bottom)
        marks += panel.draw(of.frame, top, bottom)
        marks += axis(of.frame, top, bottom) if n == len(panels) - 1 else grid(of.frame, top, bottom)
        y = bottom + GAP_PX
    if not panels:
        marks.append(Words(of.frame.left + 12, middle(y, y + 60), "no operations", colour=INK2))
        marks += axis(of.frame, y, y + 60)
        y += 60 + GAP_PX
    y += 40 - GAP_PX
    tinted = [TINTED] if of.fault is not None else []
    turned = [TURN] if any(at > of.frame.start for node in of.nodes for at, _ in node.changes) else []
    shown = [*items, *tinted, *turned]
    marks += legend(shown, of.frame.left, y)
    return Figure(tuple(marks), int(y + (34 if shown else 4)))


def _above(of: Run, y: float) -> tuple[list[Mark], float]:
    marks: list[Mark] = []
    top = y
    y += FLAG_PX if of.first is not None else 0
    tinted = y
    around, y = surroundings(of.history, of.faults, of.frame, y)
    marks += around
    words, y = _turns(of, y)
    marks += words
    marks += [*rows.tints(of.faults, of.frame, tinted, y), *rows.turn_lines(of.nodes, of.frame, tinted, y)]
    if of.first is not None:
        marks += [*flag(of.first, of.frame, top), flag_line(of.first, of.frame, top, y)]
    return marks, y


def _turns(of: Run, y: float) -> tuple[list[Mark], float]:
    """Give a row with each change of a role, in words where there is room; none without a change."""
    turns = sorted((at, node.name, PROMOTED[role]) for node in of.nodes for at, role in node.changes if at > of.frame.start)
    if not turns:
        return [], y
    marks: list[Mark] = [of.frame.label(y, y + rows.NODE_PX, "role")]
    marks += [triangle(of.frame.x(at), y + rows.NODE_PX - 5, z=8) for at, _, _ in turns]
    taken = [(of.frame.x(at) - 10, of.frame.x(at) + 10) for at, _, _ in turns]
    taken += [(of.frame.x(of.first.at) - 3, of.frame.x(of.first.at) + 3)] if of.first is not None else []
    for at, node, change in turns:
        x, text = of.frame.x(at), f"{shorten(node, 240)} {change}"
        width = text_width(text, SMALLEST_PX)
        for left in (x + 13, x - 13 - width):
            if of.frame.left < left and left + width < RIGHT and all(left + width < a or b < left for a, b in taken):
                marks.append(Words(left, middle(y, y + rows.NODE_PX), text, colour=INK2, halo=True))
                taken.append((left - 8, left + width + 8))
                break
    return marks, y + rows.NODE_PX


def _named(panel: Panel, frame: Frame, y: float) -> list[Mark]:
    room = RIGHT - frame.left
    name = shorten(panel.name, room * 0.5, NAME_PX, bold=True)
    x = frame.left + text_width(name, NAME_PX, bold=True) + 12
    told = shorten(panel.told, RIGHT - x)
    baseline = y + HEAD_PX - 10
    return [Words(frame.left, baseline, name, NAME_PX, bold=True), Words(x, baseline, told, colour=INK2)]


def _crossing(of: Run, top: float, bottom: float) -> list[Mark]:
    marks = [*rows.tints(of.faults, of.frame, top, bottom), *rows.turn_lines(of.nodes, of.frame, top, bottom)]
    return [*marks, flag_line(of.first, of.frame, top, bottom)] if of.first is not None else marks
