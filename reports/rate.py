"""The rate of completions, as a PNG: a strip for each server that answered, one for fail, one for info.

Two servers that both answer at the same time are what a split brain looks like from outside; stacked bars (tried) hid it.
Bins are half a second, narrower or wider where the run is much shorter or longer. Strips of ok share one scale, fail
and info another: their numbers differ by an order of magnitude. Of answers a bar more than twice as high as nine of ten is cut and
carries its number: the final reads of a trial come as fast as they can and would flatten all that matters.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from pathlib import Path

from harness.judging.verdict import Verdict
from harness.record.history import History
from reports.frame import RIGHT, SECONDS, Frame, ticks
from reports.latency import duration, quantile
from reports.marks import COUNT, INFO, INK2, MUST, PAPER, SMALLEST_PX, Box, Mark, Words, line, render, text_width
from reports.panels import Figure, Panel, Run, ended, figure, outcomes, run, served
from reports.phrases import NS_PER_S, counted, listed, seconds
from reports.sheet import Title

OK_PX, OTHER_PX, EMPTY_PX = 140, 64, 16
LEAST_PX = 2.5  # one info among a thousand is still seen
SERVERS = 8
BIN_NS = 500_000_000
FEWEST, MOST = 12, 640


@dataclass(frozen=True, slots=True)
class Bins:
    """Edges in ns, one more than there are bins; all as wide as `width`, but the last (half to one and a half)."""

    edges: tuple[int, ...]
    width: int
    is_real: bool = True

    def counts(self, times: Sequence[int]) -> list[int]:
        """Count times in each bin; those outside in the nearest, so that none is lost."""
        found = [0] * (len(self.edges) - 1)
        for time in times:
            found[min(max((time - self.edges[0]) // self.width, 0), len(found) - 1)] += 1
        return found


@dataclass(frozen=True, slots=True)
class Strip:
    """Completions of one kind: when each was, in order, and the colour of its bars."""

    name: str
    times: tuple[int, ...]
    colour: str
    told: str = ""


def draw(history: History, verdict: Verdict, path: Path, subtitle: str) -> None:
    """Draw the figure to a PNG of 1600 px width, with `subtitle` saying what was run; O(n log n) in operations."""
    drawn = layout(history, verdict, subtitle)
    render(drawn.marks, drawn.height_px, path)


def layout(history: History, verdict: Verdict, subtitle: str) -> Figure:
    """Give the figure as marks."""
    of = run(history, verdict)
    cut = bins(of.frame)
    answered, others = strips(of)
    panels = _panels(answered, cut, (OK_PX, ceiling)) + _panels(others, cut, (OTHER_PX, highest))
    unit = f"completions a second, bins of {_width(cut.width)}" if cut.is_real else f"completions, bins of {counted(cut.width, 'event')}"
    return figure(of, Title(finding(of), f"{unit} · {subtitle}"), panels if of.operations else [], [])


def _width(ns: int) -> str:
    return f"{ns / NS_PER_S:g} s" if ns >= NS_PER_S // 100 else duration(ns)


def bins(frame: Frame) -> Bins:
    """Cut a window into bins of half a second, or of another round width where that gives too few or too many."""
    span, width = frame.end - frame.start, BIN_NS if _is_real(frame) else 1
    factors = (2, 2.5, 2)  # 0.5, 1, 2, 5 s; downwards 0.5, 0.2, 0.1 s
    for n in range(60):
        if span / width <= MOST:
            break
        width = int(width * factors[n % 3])
    for n in range(60):
        if span / width >= FEWEST or width == 1:
            break
        width = max(int(width / factors[(n + 1) % 3]), 1)
    count = max(round(span / width), 1)
    return Bins((*(frame.start + n * width for n in range(count)), frame.end), width, _is_real(frame))


def strips(of: Run) -> tuple[list[Strip], list[Strip]]:
    """Give the strips of answers by server, and those of fail and info; together they hold each operation once."""
    by_node: dict[str | None, list[int]] = {}
    servers, ours = served(of.operations)
    for each in servers:
        if each.status == "ok" and each.end is not None:
            by_node.setdefault(each.node, []).append(each.end)
    ordered = sorted(by_node, key=lambda node: (node is None, [part.zfill(9) for part in re.split(r"(\d+)", node or "")]))
    shown = ordered if len(ordered) <= SERVERS else ordered[: SERVERS - 1]
    answered = [Strip("ok" if node is None else f"ok, from {node}", tuple(sorted(by_node[node])), MUST) for node in shown]
    if more := [time for node in ordered[len(shown) :] for time in by_node[node]]:
        answered.append(Strip(f"ok, from {len(ordered) - len(shown)} more", tuple(sorted(more)), MUST))
    if looked := [each.end for each in ours if each.status == "ok" and each.end is not None]:
        answered.append(Strip("ok, the record (ours)", tuple(sorted(looked)), COUNT))
    fails = [each.end for each in of.operations if each.status == "fail" and each.end is not None]
    infos = [each.gave_up if each.gave_up is not None else of.frame.end for each in of.operations if each.status == "info"]
    endless = sum(each.status == "info" and each.gave_up is None for each in of.operations)
    told = f", {endless:,} of them never ended and drawn at the end" if endless else ""
    return answered, [Strip("fail ×", tuple(sorted(fails)), INK2), Strip("info ?", tuple(sorted(infos)), INFO, told)]


def finding(of: Run) -> str:
    """Say what the figure shows: two servers that both answered, else the longest time without an answer, else the rate."""
    times: dict[str | None, list[int]] = {}
    servers, _ = served(of.operations)
    for each in sorted((each for each in servers if each.status == "ok"), key=lambda each: each.end or 0):
        times.setdefault(each.node, []).append(each.end or 0)
    if not times:
        return f"No operation was answered: {outcomes(of.operations)}" if of.operations else "Nothing was done"
    n, named = sum(map(len, times.values())), [node for node in times if node is not None]
    source = f", from {listed(named)}" if len(named) == len(times) else ""
    if not _is_real(of.frame):
        return f"{counted(n, 'answer')}{source}"
    cut = bins(of.frame)
    if split := _split(times, cut):
        return split
    per_s = f"{n * NS_PER_S / (of.frame.end - of.frame.start):,.0f} answers a second{source}"
    without = _silence(of, sorted(time for each in times.values() for time in each))
    if without is not None and without[1] - without[0] >= min(cut.width, BIN_NS):
        return f"No server answered for {(without[1] - without[0]) / NS_PER_S:.2f} s, from {seconds(without[0])} s on; {per_s}"
    return per_s


def _split(times: Mapping[str | None, Sequence[int]], cut: Bins) -> str | None:
    """Say which two servers both answered for longest, and how often; None where that was for less than a bin."""
    pairs = [(one, two, _both(times[one], times[two], cut)) for one, two in combinations(times, 2) if one and two]
    one, two, spans = max(pairs, key=lambda pair: _length(pair[2]), default=("", "", []))
    if _length(spans) < cut.width:
        return None
    a, b = (sum(_within(times[name], span) for span in spans) / _length(spans) * NS_PER_S for name in (one, two))
    return f"{one} and {two} both answered for {_length(spans) / NS_PER_S:.1f} s: {a:.0f} and {b:.0f} answers a second"


def _both(one: Sequence[int], two: Sequence[int], cut: Bins) -> list[tuple[int, int]]:
    """Give the intervals in which both answered: over bins in a row with both, from the later first to the earlier last."""
    shared = [a > 0 and b > 0 for a, b in zip(cut.counts(one), cut.counts(two), strict=True)]
    found: list[tuple[int, int]] = []
    begin: int | None = None
    for n, yes in enumerate([*shared, False]):
        if yes and begin is None:
            begin = n
        elif not yes and begin is not None:
            low, high = cut.edges[begin], cut.edges[n]
            inside = [each[bisect_left(each, low) : bisect_right(each, high)] for each in (one, two)]
            if all(inside) and (start := max(each[0] for each in inside)) < (end := min(each[-1] for each in inside)):
                found.append((start, end))
            begin = None
    return found


def _length(spans: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def _within(times: Sequence[int], span: tuple[int, int]) -> int:
    return bisect_right(times, span[1]) - bisect_left(times, span[0])


def _silence(of: Run, answers: Sequence[int]) -> tuple[int, int] | None:
    """Give the longest time without an answer in which a client waited for one: idle clients do not count."""
    gaps = list(pairwise([of.frame.start, *answers, of.frame.end]))
    servers, _ = served(of.operations)
    asked: dict[int, int] = {}  # gap -> when the first client that began to wait in it asked
    waits = [0] * (len(gaps) + 1)  # how many more wait from the begin of a gap on than of the one before
    for each in servers:
        first, last = bisect_right(answers, each.start), bisect_left(answers, ended(each, of.frame.end))
        if first <= last:
            asked[first] = min(asked.get(first, each.start), each.start)
            waits[min(first + 1, last + 1)] += 1
            waits[last + 1] -= 1
    whole = [gap for gap, waiting in zip(gaps, accumulate(waits), strict=False) if waiting]
    parts = [(max(gaps[n][0], since), gaps[n][1]) for n, since in asked.items()]
    return max([*whole, *parts], key=lambda span: span[1] - span[0], default=None)


def _is_real(frame: Frame) -> bool:
    return ticks(frame.start, frame.end, RIGHT - frame.left)[1:3] == SECONDS


def ceiling(heights: Iterable[float]) -> float:
    """Give the highest bar that is at most twice as high as nine of ten are; 0 where there is none."""
    bars = [value for value in heights if value]
    return max((value for value in bars if value <= 2 * quantile(bars, 0.9)), default=0.0)


def highest(heights: Iterable[float]) -> float:
    """Give the highest bar, 0 where there is none: a burst of fails is what is looked for."""
    return max(heights, default=0.0)


def _panels(shown: Sequence[Strip], cut: Bins, scale: tuple[float, Callable[[Sequence[float]], float]]) -> list[Panel]:
    """Give strips on one scale: its height in pixels, and how its end follows from all bars."""
    height, end = scale
    every = [_heights(strip, cut) for strip in shown]
    most = end([value for heights in every for value in heights])
    return [
        Panel(
            strip.name,
            f"{len(strip.times):,} in all{strip.told}",
            height if strip.times else EMPTY_PX,
            Bars(strip.colour, heights, cut, most).draw,
        )
        for strip, heights in zip(shown, every, strict=True)
    ]


def _heights(strip: Strip, cut: Bins) -> tuple[float, ...]:
    counts = cut.counts(strip.times)
    if cut.is_real:
        return tuple(n * NS_PER_S / (end - start) for n, (start, end) in zip(counts, pairwise(cut.edges), strict=True))
    return tuple(map(float, counts))


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of a strip; those above `highest` are cut there."""

    colour: str
    heights: tuple[float, ...]
    cut: Bins
    highest: float

    def draw(self, frame: Frame, top: float, bottom: float) -> list[Mark]:
        """Give the bars with the ends of their scale."""
        marks: list[Mark] = [frame.label(bottom, bottom, "0")]
        marks += [frame.label(top, top, self._said(self.highest))] if any(self.heights) else []
        over: list[tuple[float, float, float]] = []  # left, right, height of each bar that is cut
        for value, (start, end) in zip(self.heights, pairwise(self.cut.edges), strict=True):
            x0, x1 = frame.x(start), frame.x(end)
            if value:
                height = max(min(value / self.highest, 1) * (bottom - top), LEAST_PX)
                marks.append(Box(x0, bottom - height, x1, bottom, self.colour, 2))
            if value > self.highest:
                over.append((x0, x1, value))
        return marks + self._cut_bars(over, frame, top)

    def _cut_bars(self, over: Sequence[tuple[float, float, float]], frame: Frame, top: float) -> list[Mark]:
        """Give a light line through each, and its number: in it, or that of the highest beside bars that are too narrow."""
        marks: list[Mark] = [line((x0, top + 8), (x1, top + 4), PAPER, 3, 3) for x0, x1, _ in over]
        widest = max((text_width(self._said(value), SMALLEST_PX, bold=True) + 8 for _, _, value in over), default=0)
        if all(widest <= x1 - x0 for x0, x1, _ in over):
            return marks + [
                Words((x0 + x1) / 2, top + 28, self._said(value), colour=PAPER, bold=True, align="center") for x0, x1, value in over
            ]
        x0, x1, value = max(over, key=lambda bar: bar[2])
        text = self._said(value)
        left = x0 - 8 - text_width(text, SMALLEST_PX)
        return [*marks, Words(left if left > frame.left else x1 + 8, top + 28, text, halo=True)]

    def _said(self, value: float) -> str:
        number = f"{value:,.0f}" if value >= 9.95 or value == int(value) else f"{value:.1f}"
        return f"{number}/s" if self.cut.is_real else number
