"""Latency by function and outcome, as a PNG: a strip for each function, logarithmic, on the time axis of the timeline.

A mark stands where its operation was invoked, as high as it took: an info at its timeout. Answers are dots; × and ?
are drawn above them, so that the worst outcome is what is seen. Functions are told apart by strips and outcomes by
shapes, since a colour for each (tried) says nothing to many readers and hides what is rare.

Above 20,000 operations answers are cells of a grid with the longest of each column as a dot; × and ? stay in full up to
3,000, beyond there is one in a cell, ? before ×. The figure says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, log10
from pathlib import Path
from typing import TypeVar

from harness.judging.verdict import Verdict
from harness.record.history import History, Operation
from reports.frame import FOREIGN, RIGHT, Frame, ticks
from reports.legend import FAIL, UNSURE, Item
from reports.marks import COUNT, INFO, INK, MAY, MUST, RULE, Box, Mark, Points, line, render
from reports.panels import Figure, Panel, Run, ended, figure, outcomes, run, served
from reports.phrases import counted, moment
from reports.sheet import Title

N = TypeVar("N", int, float)
FUNCTIONS = (  # in the order of the interface, others after them by name
    *("try_acquire", "acquire_within", "acquire", "extend", "release", "is_held"),
    *("check_and_set", "set", "delete", "get", "get_versioned", "compare_and_swap", "increment"),
)
STRIPS = 12
IN_FULL, MARKS, HALOS = 20_000, 3_000, 300
COLUMNS, CELL_PX = 600, 2.2
SHADES = ((1, COUNT), (10, MAY))  # a cell of one, of up to ten; of more it is MUST
DECADE_PX = 32
LEAST_NS, MOST_NS = 150_000, 1_800_000_000
MARK_PX = 14
ANSWERED = Points((), "dot", MUST, 4, 5, opacity=0.65)
FAILED, UNANSWERED = Points((), "cross", INK, 11, 7), Points((), "question", INFO, 17, 8)
NS, US, MS, S = 1, 1_000, 1_000_000, 1_000_000_000
FEW = 100  # below, the 99th percentile is the longest: it is told as that


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from `low` to `high` nanoseconds; the same in all strips of a figure."""

    low: float
    high: float

    @property
    def height_px(self) -> float:
        """Give the height of a strip."""
        return DECADE_PX * log10(self.high / self.low)

    def y(self, took: int, bottom: float) -> float:
        """Give the place of a duration above `bottom`, at the edge where it is outside."""
        return bottom - DECADE_PX * log10(min(max(took, self.low), self.high) / self.low)

    def decades(self) -> list[tuple[int, str]]:
        """Give the powers of ten with their names."""
        return [(10**n, _decade(10**n)) for n in range(ceil(log10(self.low)), ceil(log10(self.high)))]


@dataclass(frozen=True, slots=True)
class Detail:
    """What there is too much of to be drawn in full: answers in cells, × and ? in cells of their own, × and ? without a halo."""

    coarse: bool
    binned: bool
    halo: bool


def draw(history: History, verdict: Verdict, path: Path, subtitle: str) -> None:
    """Draw the figure to a PNG of 1600 px width, with `subtitle` saying what was run; O(n log n) in operations."""
    drawn = layout(history, verdict, subtitle)
    render(drawn.marks, drawn.height_px, path)


def layout(history: History, verdict: Verdict, subtitle: str) -> Figure:
    """Give the figure as marks."""
    of = run(history, verdict)
    by_function: dict[str, list[Operation]] = {}
    for each in of.operations:
        by_function.setdefault(each.f, []).append(each)
    scale, detail = _scale(of), _detail(of.operations)
    names = sorted(by_function, key=_place)
    shown = names if len(names) <= STRIPS else names[: STRIPS - 1]
    panels = [_panel(of, (name, by_function[name]), scale, detail) for name in shown]
    if others := [each for name in names[len(shown) :] for each in by_function[name]]:
        panels.append(_panel(of, (counted(len(names) - len(shown), "more function"), others), scale, detail))
    title = Title(finding(of), " · ".join([_reading(detail, of.operations), subtitle]))
    return figure(of, title, panels, _legend(of.operations))


def finding(of: Run) -> str:
    """Say what the figure shows: before and after the fault or the first violation, and what was not answered."""
    servers, _ = served(of.operations)
    ok = [each for each in servers if each.status == "ok"]
    if not ok:
        return f"No operation was answered: {outcomes(servers)}" if servers else "Nothing was done"
    rest = [each for each in servers if each.status != "ok"]
    return f"{_medians(of, ok)}; {outcomes(rest) or 'all were answered'}"


def took(operation: Operation, end: int) -> int:
    """Give what an operation took in ns: to its answer, to its timeout, or to `end` if it never ended; at least 1."""
    return max(ended(operation, end) - operation.start, 1)


def duration(ns: float) -> str:
    """Say a duration in two figures: 0.82 ms, 6.7 ms, 52 ms, 1.2 s."""
    for unit, name in ((S, "s"), (MS, "ms"), (US, "µs")):
        if ns >= unit or (unit == MS and ns >= unit / 10):
            value = ns / unit
            return f"{value:.0f} {name}" if value >= 9.95 else f"{value:.2f} {name}" if value < 0.995 else f"{value:.1f} {name}"
    return counted(round(ns), "event")  # nothing takes less than a microsecond: a foreign history without real times counts its events


def _medians(of: Run, ok: Sequence[Operation]) -> str:
    """Say the median before the fault and what it is afterwards; of all where there is nothing to compare."""
    fault = of.fault
    before = [each for each in ok if fault is not None and ended(each, 0) <= fault.first.time]
    for since, until, when in _afterwards(of):
        after = [each for each in ok if since <= each.start <= until]
        both = {each.f for each in before} & {each.f for each in after}  # final reads would tell of reads, not of the fault
        if both:
            one, two = (duration(quantile((took(each, 0) for each in part if each.f in both), 0.5)) for part in (before, after))
            return f"Median {one} before {of.since()}, {two} {when}"
    every = [took(each, of.frame.end) for each in ok]
    return f"{counted(len(every), 'answer')}: {_spread(every)}"


def _afterwards(of: Run) -> list[tuple[int, int, str]]:
    """Give what may be compared with the time before the first fault, the more telling first: from, to, in words."""
    fault = of.fault
    if fault is None or fault.active is None:
        return []
    if of.first is not None:
        return [(of.first.at, of.frame.end, f"from {moment(of.first.at)} on")]
    healing = fault.healing.time if fault.healing is not None else of.frame.end
    return [(fault.active.time, healing, "during the fault"), (healing, of.frame.end, "after healing")]


def _spread(durations: Sequence[int]) -> str:
    high = f"p99 {duration(quantile(durations, 0.99))}" if len(durations) >= FEW else f"longest {duration(max(durations))}"
    return f"median {duration(quantile(durations, 0.5))}, {high}"


def quantile(values: Iterable[N], q: float) -> N:
    """Give a quantile by nearest rank: one of the values."""
    ordered = sorted(values)
    return ordered[max(ceil(q * len(ordered)), 1) - 1]


def _reading(detail: Detail, operations: Sequence[Operation]) -> str:
    told = "latency, logarithmic, where invoked"
    if not detail.coarse:
        return told
    kept = sum(each.status != "ok" for each in operations)
    how = "in bins, the worst outcome of each is shown" if detail.binned else f"{kept:,} in full, answers in bins"
    return f"{told} · {len(operations):,} operations, {how}"


def _detail(operations: Sequence[Operation]) -> Detail:
    kept = sum(each.status != "ok" for each in operations)
    return Detail(coarse=len(operations) > IN_FULL, binned=kept > MARKS, halo=kept <= HALOS)


def _scale(of: Run) -> Scale:
    durations = [took(each, of.frame.end) for each in of.operations] or [MS]
    if ticks(of.frame.start, of.frame.end, RIGHT - of.frame.left)[1:3] == FOREIGN:
        return Scale(0.7, max(15.0, 2.0 * max(durations)))
    return Scale(max(min(LEAST_NS, 0.8 * min(durations)), US), max(MOST_NS, 2.0 * max(durations)))


def _decade(ns: int) -> str:
    unit, name = next((unit, name) for unit, name in ((S, "s"), (MS, "ms"), (US, "µs"), (NS, "events")) if ns >= unit)
    return f"{ns // unit:,} {name}"


def _place(name: str) -> tuple[int, str]:
    return FUNCTIONS.index(name) if name in FUNCTIONS else len(FUNCTIONS), name


def _panel(of: Run, named: tuple[str, Sequence[Operation]], scale: Scale, detail: Detail) -> Panel:
    name, operations = named
    return Panel(name, _told(operations, of.frame.end), scale.height_px, Dots(operations, scale, detail).draw)


def _told(operations: Sequence[Operation], end: int) -> str:
    counts = Counter(each.status for each in operations)
    answered = [took(each, end) for each in operations if each.status == "ok"]
    parts = [f"{len(answered):,} ok ({_spread(answered)})"] if answered else []
    parts += [f"{counts['fail']:,} fail ×"] if counts["fail"] else []
    open_ = sum(each.status == "info" and each.gave_up is None for each in operations)
    parts += [f"{counts['info']:,} info ?{f' ({open_:,} never ended)' if open_ else ''}"] if counts["info"] else []
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Dots:
    """The operations of a strip."""

    operations: Sequence[Operation]
    scale: Scale
    detail: Detail

    def draw(self, frame: Frame, _: float, bottom: float) -> list[Mark]:
        """Give the lines of the scale and the marks, the worst outcome on top."""
        marks: list[Mark] = []
        for ns, name in self.scale.decades():
            y = self.scale.y(ns, bottom)
            marks += [line((frame.left, y), (RIGHT, y), RULE, 1, 1), frame.label(y, y, name)]
        places: dict[str, list[tuple[float, float]]] = {"ok": [], "fail": [], "info": []}
        for each in self.operations:
            places[each.status].append((frame.x(each.start), self.scale.y(took(each, frame.end), bottom)))
        answered, fails, infos = tuple(places["ok"]), _inside(places["fail"], frame), _inside(places["info"], frame)
        if self.detail.binned:
            fails, infos = _worst(fails, infos)
        marks += _cells(answered, frame.left, bottom) if self.detail.coarse else [replace(ANSWERED, points=answered)]
        marks += [replace(FAILED, points=tuple(fails), halo=self.detail.halo)] if fails else []
        return marks + ([replace(UNANSWERED, points=tuple(infos), halo=self.detail.halo)] if infos else [])


def _inside(places: Iterable[tuple[float, float]], frame: Frame) -> list[tuple[float, float]]:
    """Move × and ? so that they are whole also at an edge."""
    return [(min(max(x, frame.left + 6), RIGHT - 6), y) for x, y in places]


def _worst(fails: Iterable[tuple[float, float]], infos: Iterable[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """Keep one mark in each cell, the worst: an info before a fail."""
    unsure = {(int(x / MARK_PX), int(y / MARK_PX)): (x, y) for x, y in infos}
    failed = {(int(x / MARK_PX), int(y / MARK_PX)): (x, y) for x, y in fails}
    yield [place for cell, place in failed.items() if cell not in unsure]
    yield list(unsure.values())


def _cells(places: Iterable[tuple[float, float]], left: float, bottom: float) -> list[Mark]:
    """Give answers as cells of three shades, and the longest of each column as a dot at its true place."""
    counts: Counter[tuple[int, int]] = Counter()
    longest: dict[int, tuple[float, float]] = {}
    for x, y in places:
        column, row = int((x - left) * COLUMNS / (RIGHT - left)), int(y / CELL_PX)
        counts[column, row] += 1
        if column not in longest or y < longest[column][1]:
            longest[column] = (x, y)
    wide = (RIGHT - left) / COLUMNS
    marks: list[Mark] = []
    for (column, row), n in counts.items():
        shade = next((colour for most, colour in SHADES if n <= most), MUST)
        x, y = left + column * wide, row * CELL_PX
        marks.append(Box(x, y, min(x + wide, RIGHT), min(y + CELL_PX, bottom), shade, 4))
    return [*marks, Points(tuple(longest.values()), "dot", MUST, 4, 5)]


def _dot(x: float, y: float) -> list[Mark]:
    return [Points(((x + 3, y + 3), (x + 8, y - 3), (x + 14, y + 1)), "dot", MUST, 4.5)]


OK: Item = (_dot, 17, "ok: answered", "ok")


def _legend(operations: Sequence[Operation]) -> list[Item]:
    seen = {each.status for each in operations}
    return [item for status, item in (("ok", OK), ("fail", FAIL), ("info", UNSURE)) if status in seen]
