"""What a run directory holds for a report: the trials, each with the verdict that was recorded for it.

Reports draw what was judged when it was judged. They never judge again: with a newer checker a picture
could contradict the results beside it (`holdwater check` is for that).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness import store
from harness.history import History, load
from harness.verdict import Anomaly, Status, Verdict, combine, unknown


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial with its verdict."""

    n: int
    history: History
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run: its whole history, its trials, and what it was, in a few words."""

    history: History
    trials: tuple[Judged, ...]
    about: str

    @property
    def verdict(self) -> Verdict:
        """Give the verdict of all trials together."""
        return combine({f"trial {trial.n}": trial.verdict for trial in self.trials})


def recorded(directory: Path) -> Recorded:
    """Read a run directory; raises BadPlan or MalformedHistory where its files cannot be read.

    No trials where there is no history, or none in it.
    """
    path = directory / store.HISTORY
    if not path.exists():
        return Recorded(History(()), (), "")
    history, results = load(path), store.read(directory / store.RESULTS)
    checks = {trial["n"]: trial["checks"] for trial in results.get("trials", ())}
    trials = tuple(Judged(each.n, each.history, _verdict(checks.get(each.n))) for each in history.trials() if each.void is None)
    return Recorded(history, tuple(trial for trial in trials if trial.history.events), _about(history))


def _verdict(checks: Mapping[str, Any] | None) -> Verdict:
    if not checks:
        return unknown("it was not judged")
    return combine({name: _check(found) for name, found in checks.items()})


def _check(found: Mapping[str, Any]) -> Verdict:
    anomalies = msgspec.convert(found["anomalies"], tuple[Anomaly, ...])
    return Verdict(Status[found["status"].upper()], found["summary"], anomalies, numbers=found["numbers"])


def _about(history: History) -> str:
    header = history.header
    if header is None:
        return ""
    variant = "" if header.variant in (None, "default") else f", {header.variant}"
    mutant = header.options.get("mutant")
    told = [
        f"{header.deployment}{variant}" if header.deployment else "",
        f"mutant {mutant}" if mutant else "",
        ", ".join(header.workloads),
        f"{header.concurrency} clients" if header.concurrency else "",
        f"seed {header.seed}" if header.seed is not None else "",
    ]
    return " · ".join(each for each in told if each)
