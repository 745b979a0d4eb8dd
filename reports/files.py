"""From a run directory to its files: which trial is drawn, and where pictures and texts go.

What was concluded is read from results.json and not judged again, so that any old run can be drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.claims.reading import read
from harness.claims.results import Run, verdict_of
from harness.judging.verdict import Anomaly, Verdict, of_each_kind_first
from harness.record import store
from harness.record.format import encode, load
from harness.record.history import History, Trial
from harness.report import Report
from reports import latency as latency_figure
from reports import rate as rate_figure
from reports.explain import explain, finding
from reports.sheet import Title
from reports.timeline import draw

MOST_TEXTS = 20


def timeline(directory: Path) -> list[Path]:
    """Draw timeline.png of the first trial with an anomaly, the first trial if there is none."""
    chosen = drawn(directory)
    if chosen is None:
        return []
    results, trial, verdict = chosen
    path = directory / "timeline.png"
    draw(trial.history, verdict, path, Title(finding(trial.history, verdict), subtitle(results, trial.n)))
    return [path]


def latency(directory: Path) -> list[Path]:
    """Draw latency.png of the trial that timeline.png shows."""
    return _panels(directory, "latency.png", latency_figure.draw)


def rate(directory: Path) -> list[Path]:
    """Draw rate.png of the trial that timeline.png shows."""
    return _panels(directory, "rate.png", rate_figure.draw)


def anomalies(directory: Path) -> list[Path]:
    """Write anomalies/N.txt in English and N.jsonl, its events, one of each kind first."""
    chosen = drawn(directory)
    if chosen is None:
        return []
    _, trial, verdict = chosen
    paths = []
    for number, anomaly in enumerate(of_each_kind_first(verdict.all_anomalies())[:MOST_TEXTS], 1):
        folder = directory / "anomalies"
        folder.mkdir(exist_ok=True)
        text, events = folder / f"{number}.txt", folder / f"{number}.jsonl"
        told = explain(trial.history, anomaly).rstrip().split("\n")
        store.save(text, ("\n".join(map(store.printable, told)) + "\n").encode())
        store.save(events, _events(trial.history, anomaly))
        paths += [text, events]
    return paths


def subtitle(results: Run, n: int) -> str:
    """Say what was run, in the words of the command line."""
    plan = results.plan
    parts = [plan.backend, plan.variant, f"{plan.concurrency} clients", " + ".join(plan.workloads)]
    parts += [f"mutant {plan.mutant}"] if plan.mutant else []
    return " · ".join([*parts, f"trial {n}", f"seed {plan.seed}"])


def _panels(directory: Path, name: str, draw_to: Callable[[History, Verdict, Path, str], None]) -> list[Path]:
    chosen = drawn(directory)
    if chosen is None:
        return []
    results, trial, verdict = chosen
    draw_to(trial.history, verdict, directory / name, subtitle(results, trial.n))
    return [directory / name]


def drawn(directory: Path) -> tuple[Run, Trial, Verdict] | None:
    """Give what pictures and texts show of a run directory: the first trial with an anomaly, else the first; None where there is none."""
    results = read(directory)
    path = directory / store.HISTORY
    if not isinstance(results, Run) or not path.exists():
        return None
    trials = {trial.n: trial for trial in load(path).trials()}
    judged = [(trials[each.n], verdict_of(each.checks)) for each in results.trials if each.n in trials]
    if not judged:
        return None
    trial, verdict = next(((trial, verdict) for trial, verdict in judged if verdict.all_anomalies()), judged[0])
    return results, trial, verdict


def _events(history: History, anomaly: Anomaly) -> bytes:
    """Give the events of the operations that prove an anomaly, as lines of a history."""
    named = set(anomaly.operations)
    ends = {operation.end_index for operation in history.operations() if operation.index in named}
    return b"".join(encode(event) for event in history.events if event.index in named or event.index in ends)


ANOMALIES = Report(
    name="anomalies", sentence="anomalies/N.txt and N.jsonl: what was found, in English and as events", draw=anomalies, place=10
)
TIMELINE = Report(
    name="timeline", sentence="timeline.png: the trial with the anomaly, client by client, under its faults", draw=timeline, place=20
)
LATENCY = Report(name="latency", sentence="latency.png: how long operations of that trial took", draw=latency, place=30)
RATE = Report(name="rate", sentence="rate.png: operations a second of that trial, by outcome", draw=rate, place=40)
