"""The rows of a timeline as marks: faults, roles, locks with their lanes. VISUAL 3 says what each mark means.

A × or ? stands for all of its kind within its own width in its lane, a tick for all on its pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from harness.record.history import Effect, History, RecordedFault
from reports import phrases
from reports.frame import MARGIN, RIGHT, Frame
from reports.groups import Board, Group, Interval, Lane, Step
from reports.marks import (
    BAR,
    BAR_TEXT,
    COUNT,
    EDGE,
    FLAG,
    INFO,
    INK,
    INK2,
    INK3,
    MAY,
    MUST,
    OK,
    OVERLAP,
    PAPER,
    PRIMARY,
    RULE,
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
    printable,
    shorten,
    text_width,
    triangle,
)
from reports.scene import NodeSeen

FAULT_PX, NODE_PX, HEAD_PX, LANE_PX, STRIP_PX = 27, 27, 34, 25, 30
FAULT_ROWS = 4
DOTS = (2.0, 4.0)


def fault_rows(history: History, seen: Sequence[RecordedFault], frame: Frame, y: float) -> tuple[list[Mark], int]:
    """Give a bar for each fault, from begin to healed, with its words in it or beside it; and how many rows they take."""
    marks: list[Mark] = []
    ends: list[float] = []  # where each row is free from
    for fault in seen:
        x0, x1 = frame.x(fault.first.time), max(frame.x(_until(fault, frame)), frame.x(fault.first.time) + 3)
        left, text = _fault_text(_fault_words(history, fault, brief=len(seen) > FAULT_ROWS), x0, x1, frame)
        right = max(x1, left + text_width(text, SMALLEST_PX, bold=True))
        row = next((n for n, end in enumerate(ends) if end < min(x0, left) - 10), len(ends))
        if row == FAULT_ROWS:
            row, text = ends.index(min(ends)), ""
        ends[row : row + 1] = [right]
        top = y + row * FAULT_PX
        marks += _fault_bar(fault, frame, top, x0, x1)
        if text:
            marks.append(Words(left, middle(top, top + FAULT_PX - 3), text, colour=BAR_TEXT, bold=True, z=9))
    return marks, max(len(ends), 1)


def _until(fault: RecordedFault, frame: Frame) -> int:
    last = fault.healed or (fault.healing if fault.failed is not None else None)
    return frame.end if last is None else last.time


def _proved_on(seen: Iterable[RecordedFault], frame: Frame) -> Iterator[tuple[float, float]]:
    """Give from where to where each fault was proved on; nothing of one that never was."""
    for fault in seen:
        if fault.active is not None:
            yield frame.x(fault.active.time), frame.x(frame.end if fault.healing is None else fault.healing.time)


def _fault_words(history: History, fault: RecordedFault, *, brief: bool) -> list[str]:
    """Give what can be said of a fault, the fullest first."""
    words, proof = phrases.fault(history, fault), phrases.proof(fault)
    if brief and fault.active is not None:
        return [words]
    head = proof.split(",")[0]
    return [f"{words} ({proof})", f"{words} ({head})", f"{words} ({proof.split(':')[0]})", words]


def _fault_text(choices: Sequence[str], x0: float, x1: float, frame: Frame) -> tuple[float, str]:
    """Choose the fullest words that fit into the bar, right of it or left of it; give where they begin."""
    for text in dict.fromkeys(map(printable, choices)):
        width = text_width(text, SMALLEST_PX, bold=True)
        if width <= x1 - x0 - 16:
            return (x0 + x1 - width) / 2, text
        if width <= RIGHT - x1 - 8:
            return x1 + 8, text
        if width <= x0 - frame.left - 8:
            return x0 - 8 - width, text
    room = max(x1 - x0 - 16, RIGHT - x1 - 8)
    return (x0 + 8 if room == x1 - x0 - 16 else x1 + 8), shorten(choices[-1], room, bold=True)


def _fault_bar(fault: RecordedFault, frame: Frame, top: float, x0: float, x1: float) -> list[Mark]:
    marks: list[Mark] = [Box(x0, top, x1, top + FAULT_PX - 3, TINT, 6, edge=EDGE)]
    for on, off in _proved_on([fault], frame):
        marks.append(Box(on, top + 0.5, max(off, on + 2), top + FAULT_PX - 3.5, BAR, 7))
    return marks


def tints(seen: Iterable[RecordedFault], frame: Frame, top: float, bottom: float) -> list[Mark]:
    """Give the tint over the full height while a fault was proved on, with its edges."""
    marks: list[Mark] = []
    for on, off in _proved_on(seen, frame):
        marks += [Box(on, top, off, bottom, TINT, 0), *(line((x, top), (x, bottom), EDGE, 1.4, 1) for x in (on, off))]
    return marks


def node_row(node: NodeSeen, frame: Frame, y: float) -> list[Mark]:
    """Give a node's roles: thick bar primary, line replica, × and nothing dead, dots and the name for the rest."""
    marks: list[Mark] = [frame.label(y, y + NODE_PX, shorten(node.name, frame.left - MARGIN - 8))]
    turns = {at for at, _ in node.changes}
    told = ""
    for span in node.spans:
        x0, x1 = frame.x(span.start), frame.x(span.end)
        if x1 <= frame.left:
            continue
        text = span.role if span.role != told and x1 - x0 > text_width(span.role, SMALLEST_PX, bold=True) + 44 else ""
        told = text or told
        marks += _role(span.role, text, (x0, x1), y + NODE_PX / 2, turned=span.start in turns)
    marks += [triangle(frame.x(at), y + NODE_PX - 5, z=8) for at in turns if frame.start < at]
    return marks


def _role(role: str, text: str, x: tuple[float, float], y: float, *, turned: bool) -> Iterator[Mark]:
    x0, x1 = x
    base = y + 0.36 * SMALLEST_PX
    after = x0 + (13 if turned else 7)
    beyond = after + text_width(text, SMALLEST_PX) + 8 if text else x0
    if role == "primary":
        yield Box(x0, y - 10, x1, y + 10, PRIMARY, 6)
        if text:
            yield Words(after, base, text, colour=PAPER, bold=True)
    elif role == "dead":
        yield from cross(x0, y)
        if text:
            yield Words(x0 + 13, base, text, colour=INK2, halo=True)
    else:
        if text:
            yield Words(after, base, text, colour=INK2, halo=True)
        dash = None if role == "replica" else DOTS
        if x1 - beyond > 1:
            yield Stroke(((beyond, y), (x1, y)), PRIMARY, 2, 4, dash=dash)


def turn_lines(nodes: Iterable[NodeSeen], frame: Frame, top: float, bottom: float) -> list[Mark]:
    """Give the dotted lines through all rows where a node changed between primary and replica."""
    turns = {frame.x(at) for node in nodes for at, _ in node.changes if at > frame.start}
    return [Stroke(((x, top), (x, bottom)), INK, 1.5, 4, dash=DOTS) for x in sorted(turns)]


def group_height(group: Group) -> int:
    """Give the height of a group with its heading."""
    return HEAD_PX + LANE_PX * len(group.lanes) + 5


def group_rows(group: Group, seen: Sequence[RecordedFault], frame: Frame, y: float) -> list[Mark]:
    """Give a heading with the count line, the lanes, and what the verdict condemned."""
    marks: list[Mark] = [line((MARGIN, y), (RIGHT, y), INK3, 1)]
    lanes = {slot: (y + HEAD_PX + LANE_PX * n) for n, lane in enumerate(group.lanes) for slot in lane.slots}
    if group.steps is None:
        marks.append(Words(MARGIN, middle(y + 3, y + HEAD_PX), shorten(group.name, RIGHT - MARGIN, bold=True), bold=True))
    else:
        name = shorten(group.name, frame.left - MARGIN - 8, bold=True)
        marks.append(Words(MARGIN, middle(y + 3, y + HEAD_PX), name, bold=True))
        marks += count_line(group.steps, frame, y + HEAD_PX - 3, told="{n} winners" if group.unit == "winners" else "{n}")
    joined = [_joined(overlap.slots, overlap.start, overlap.end, lanes, frame) for overlap in group.overlaps]
    for n, lane in enumerate(group.lanes):
        marks += lane_row(lane, frame, y + HEAD_PX + LANE_PX * n)
    for before, after in pairwise(group.lanes):
        if before.side != after.side:
            marks += _partition(seen, frame, lanes[after.slots[0]])
    for overlap in joined:
        marks += overlap
    return marks + _sightings(group, lanes, frame)


def count_line(steps: Iterable[Step], frame: Frame, y: float, *, told: str = "") -> list[Mark]:
    """Give the one line to scan: nothing, a thin line, or a block, with its number in it where `told` says how."""
    marks: list[Mark] = []
    drawn: set[tuple[int, int, int]] = set()
    for step in steps:
        x0, x1 = frame.x(step.start), frame.x(step.end)
        place = (round(x0), round(x1), step.count)
        if place in drawn or x1 <= frame.left or x0 >= RIGHT:
            continue
        drawn.add(place)
        if step.count == 1:
            marks.append(Box(x0, y - 5, max(x1 - 1, x0 + 0.7), y, COUNT))
            continue
        colour = OVERLAP if step.violated else MUST
        marks.append(Box(x0, y - 24, max(x1 - 1.5, x0 + 2), y, colour, 5))
        text = told.format(n=step.count)
        if text and x1 - x0 > text_width(text, SMALLEST_PX, bold=True) + 5:
            marks.append(Words((x0 + x1 - 1) / 2, middle(y - 24, y), text, colour=PAPER, bold=True, align="center"))
    return marks


def lane_row(lane: Lane, frame: Frame, y: float) -> list[Mark]:
    """Give one lane: its name, holds, ticks, × and ?."""
    marks: list[Mark] = [frame.label(y, y + LANE_PX - 2, shorten(lane.label, frame.left - MARGIN - 8))]
    marks.append(line((frame.left, y + LANE_PX), (RIGHT, y + LANE_PX), RULE, 1, 1))
    for x0, x1 in _places(lane.must, frame):
        marks.append(Box(x0, y + 4, max(x1 - 0.8, x0 + 0.8), y + 18, MUST, 3))
    for x0, x1 in _places(lane.may, frame):
        if x1 - x0 >= 2.5:
            marks += hatch(x0, y + 5, x1, y + 17)
    if lane.endless is not None:
        marks += _rail(frame.x(lane.endless), y + LANE_PX - 3)
    pixels = sorted({round(frame.x(at)) for at in lane.ok if frame.start <= at <= frame.end})
    marks += [line((x + 0.5, y + 19), (x + 0.5, y + 24), OK, 1, 2) for x in pixels]
    for x in _spaced((frame.x(at) for at in lane.fail), 9):
        marks += cross(x, y + 11)
    marks += _infos(lane, frame, y)
    return marks


def _places(holds: Iterable[Interval], frame: Frame) -> list[tuple[float, float]]:
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for start, end in holds:
        x0, x1 = frame.x(start), frame.x(end)
        if end > frame.start and start < frame.end:
            found.setdefault((round(x0), round(x1)), (x0, x1))
    return list(found.values())


def _rail(x: float, y: float) -> list[Mark]:
    end = RIGHT - 9
    head = Shape(((end, y - 5), (RIGHT, y), (end, y + 5)), MAY, 4)
    return [Stroke(((min(x, end - 6), y), (end, y)), MAY, 3, 4, dash=(3, 2.5)), head]


def _infos(lane: Lane, frame: Frame, y: float) -> list[Mark]:
    marks: list[Mark] = []
    for start, gave_up in lane.info:
        x0, x1 = frame.x(start), frame.x(gave_up if gave_up is not None else start)
        if x1 - x0 > 14:
            marks.append(Stroke(((x0 + 8, y + 11), (x1, y + 11)), INFO, 2, 6, dash=(5, 3)))
    for x in _spaced((frame.x(start) for start, _ in lane.info), 13):
        inside = min(max(x, frame.left + 6), RIGHT - 6)
        marks.append(Words(inside, y + 19, "?", 21, INFO, bold=True, align="center", halo=True, z=8))
    return marks


def _spaced(places: Iterable[float], apart: float) -> list[float]:
    found: list[float] = []
    for x in sorted(places):
        if not found or x - found[-1] >= apart:
            found.append(x)
    return found


def cuts_a_side(fault: RecordedFault) -> bool:
    """Say whether a line between the sides tells of this fault."""
    return Effect.CUTS_A_SIDE in fault.effects and fault.active is not None


def _partition(seen: Iterable[RecordedFault], frame: Frame, y: float) -> list[Mark]:
    return [Stroke(((on, y), (off, y)), EDGE, 2.2, 5, dash=(9, 5)) for on, off in _proved_on(filter(cuts_a_side, seen), frame)]


def _joined(slots: Sequence[int], start: int, end: int | None, lanes: dict[int, float], frame: Frame) -> list[Mark]:
    """Give an overlap: on both lanes a bar 2 px taller with a light line in its middle, a hairline between them at its start."""
    tops = sorted({lanes[slot] for slot in slots if slot in lanes})
    x0 = frame.x(start)
    x1 = max(frame.x(end) if end is not None else x0, x0 + 3)
    marks: list[Mark] = []
    for y in tops:
        marks.append(Box(x0, y + 3, x1 - 0.8 if x1 - x0 > 4 else x1, y + 19, OVERLAP, 4))
        if x1 - x0 > 2:
            marks.append(line((x0, y + 11), (x1, y + 11), PAPER, 2.4, 5))
    if len(tops) > 1:
        marks.append(Stroke(((x0, tops[0] + 11), (x0, tops[-1] + 11)), OVERLAP, 1.2, 3, opacity=0.65))
    return marks


def _sightings(group: Group, lanes: dict[int, float], frame: Frame) -> list[Mark]:
    marks: list[Mark] = []
    taken: list[tuple[float, float, float]] = []
    told: set[tuple[float, str]] = set()
    ordered = sorted((seen for seen in group.seen if seen.slot in lanes), key=lambda seen: seen.at)
    places = [(min(max(frame.x(seen.at), frame.left + 7), RIGHT - 7), lanes[seen.slot], seen.word) for seen in ordered]
    for at, y in dict.fromkeys((round(x), y) for x, y, _ in places):
        marks.append(diamond(at, y + 11))
        taken.append((at - 9, at + 9, y))
    for lane in group.lanes:
        taken += [(frame.x(a), frame.x(b), lanes[lane.slots[0]]) for a, b in (*lane.must, *lane.may)]
        shared = [(each.start, each.end or each.start) for each in group.overlaps if set(each.slots) & set(lane.slots)]
        taken += [(frame.x(a), frame.x(b), lanes[lane.slots[0]]) for a, b in shared]
        taken += [(frame.x(at) - 10, frame.x(at) + 10, lanes[lane.slots[0]]) for at in (*lane.fail, *(each for each, _ in lane.info))]
    for x, y, word in places:
        width = text_width(word, SMALLEST_PX, bold=True)
        for left in (x + 12, x - 12 - width):
            free = all(left + width < a or b < left or y != at for a, b, at in taken)
            if free and (y, word) not in told and frame.left < left and left + width < RIGHT:
                marks.append(Words(left, middle(y, y + 22), word, colour=FLAG, bold=True, halo=True, z=9))
                taken.append((left - 4, left + width + 4, y))
                told.add((y, word))
    return marks


def strip_row(group: Group, frame: Frame, y: float) -> list[Mark]:
    """Give a kind of keys as one row of marks."""
    lane = group.lanes[0]
    return lane_row(lane, frame, y + 3)


def rest_rows(board: Board, frame: Frame, y: float) -> tuple[list[Mark], int]:
    """Give the line for locks without room, with their count line; and the height."""
    if not board.rest:
        return [], 0
    wrong = sum(bool(group.overlaps) for group in board.rest)
    told = f"{wrong} of them with two holders" if wrong else "none with two holders"
    text = f"and {phrases.counted(len(board.rest), 'more lock')}, {told}"
    steps = [step for group in board.rest for step in group.steps or ()]
    marks: list[Mark] = [
        line((MARGIN, y), (RIGHT, y), INK3, 1),
        Words(MARGIN, middle(y, y + 30), text, colour=FLAG if wrong else INK2, bold=wrong > 0),
    ]
    return marks + count_line(steps, frame, y + (60 if wrong else 40)), 66 if wrong else 46
