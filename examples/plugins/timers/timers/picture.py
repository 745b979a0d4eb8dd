"""A picture of a trial's timers: a line for each, from acknowledged to taken away, and a cross where a list was wrong about it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.figure import Figure

from harness.judging.verdict import Anomaly
from harness.record.history import History
from harness.report import Report
from reports.files import drawn
from timers.check import PUNCTUAL, Timer, timers_of

NS_PER_S = 1_000_000_000


def draw(directory: Path) -> list[Path]:
    """Draw timers.png of the trial that the other pictures show; nothing where it has no timers."""
    chosen = drawn(directory)
    if chosen is None:
        return []
    _, trial, verdict = chosen
    timers = list(timers_of(trial.history.operations()).values())
    if not timers:
        return []
    path = directory / "timers.png"
    _figure(trial.history, timers, verdict.all_anomalies()).savefig(path)
    return [path]


def _figure(history: History, timers: list[Timer], anomalies: Iterable[Anomaly]) -> Figure:
    begin, end = history.events[0].time, history.events[-1].time
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds", ylabel="timers, in the order in which they were set")
    for fault in history.faults:
        if fault.active is not None:
            until = fault.healed.time if fault.healed is not None else end
            axes.axvspan(_s(fault.active.time, begin), _s(until, begin), color="0.9", label=fault.name)
    rows = {timer.set.index: row for row, timer in enumerate(timers)}
    for timer in timers:
        if timer.set.end is not None:
            until = timer.taken.start if timer.taken is not None else end
            axes.hlines(rows[timer.set.index], _s(timer.set.end, begin), _s(until, begin), color="0.5", linewidth=1)
    for number, kind in enumerate(PUNCTUAL.kinds):
        found = [anomaly for anomaly in anomalies if anomaly.kind == kind.name]
        if found:
            places = [_s(each.at, begin) for each in found], [rows[each.operations[0]] for each in found]
            axes.scatter(*places, marker="x", color=f"C{number}", label=f"{kind.words} ({len(found)})", zorder=3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")
    return figure


def _s(at: int, begin: int) -> float:
    return (at - begin) / NS_PER_S


TIMERS = Report(name="timers", sentence="timers.png: each timer of that trial, and where it was missing", draw=draw)
