"""The trials of a history, each judged by every check that it calls for, and what a run may be called after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import UsageError
from harness.judging.check import Terms
from harness.judging.checks import trial_verdicts
from harness.judging.gates import DOUBTS, FELT, Gate, driven, exposure, validity
from harness.judging.verdict import Status, Verdict, combine, unknown
from harness.record.format import load
from harness.record.history import BROKEN, History

ESSENTIAL = ("settled", "faults_proved", FELT)


@dataclass(frozen=True)
class TrialEvidence:
    """One trial: its own history, and the verdict of each check by name."""

    n: int
    history: History
    verdicts: Mapping[str, Verdict]

    @cached_property
    def validity(self) -> tuple[Gate, ...]:
        """Give the gates that hold for every verdict."""
        return validity(self.history)

    @cached_property
    def exposure(self) -> tuple[Gate, ...]:
        """Give the gates of all workloads of the run, without a claim's own numbers."""
        return exposure(self.history, driven(self.history))

    @property
    def felt(self) -> bool:
        """Say whether clients' answers agree with what was proved of its faults."""
        return all(gate.met for gate in self.exposure if gate.name == FELT)

    @property
    def valid(self) -> bool:
        """Say whether the trial counts; an error in doubt takes no counterexample away."""
        return all(gate.met or gate.name in DOUBTS for gate in self.validity)


def judge_trials(history: History, terms: Terms | None = None) -> list[TrialEvidence]:
    """Judge each trial that is not void by every check that it calls for, on the terms of the claims that it serves."""
    found = []
    for trial in history.trials():
        if trial.void is not None or not trial.history.events:
            continue
        with history.lines_named():
            found.append(TrialEvidence(trial.n, trial.history, trial_verdicts(trial.history, terms)))
    return found


def status_of(trial: TrialEvidence, checks: Mapping[str, Verdict]) -> Status:
    """Give what a trial may be called: unknown where it was not valid, whatever was seen in it."""
    return combine(checks).status if trial.valid else Status.UNKNOWN


def with_doubt(trial: TrialEvidence) -> dict[str, Verdict]:
    """Give a trial's verdicts, and an unknown beside them where it proves nothing that no anomaly was found.

    So it is where the trial was not valid, where its fault was not proved, and where it runs a planted bug that no check saw: that
    system is known to be wrong. Whether enough was exercised is a claim's question, and only shown.
    """
    gates = [*trial.validity, *(gate for gate in trial.exposure if gate.name in ESSENTIAL)]
    found = dict(trial.verdicts)
    if unmet := [str(gate) for gate in gates if not gate.met]:
        found["gates"] = unknown(f"nothing can be concluded: {'; '.join(unmet)}")
    mutant = planted(trial.history)
    if mutant is not None and not combine(found).all_anomalies():
        found["mutant"] = unknown(f"the planted bug {mutant} was not seen: these workloads and options do not show it, or not in this time")
    return found


def planted(history: History) -> str | None:
    """Give the mutant that a history was recorded with, None for a reference."""
    mutant = history.header.options.get("mutant") if history.header else None
    return None if mutant is None else str(mutant)


def exit_code(status: Status, broken: str | None, history: History) -> int:
    """Give the exit code of a run: a bug, a counterexample, the machine, in doubt, none found (README, exit codes)."""
    if any(event.error is not None and event.error.startswith(BROKEN) for event in history.events):
        return 70
    if status is Status.INVALID:
        return 1
    if broken is not None:
        return 3
    return 2 if status is Status.UNKNOWN else 0


def load_if_there(path: Path) -> History:
    """Read a history; an empty one where the run did not get so far as to begin it. Raises UsageError where it is no plain file."""
    if not path.exists():
        return History(())
    if not path.is_file():
        raise UsageError(f"{path} is no plain file, expected the history of a run")
    return load(path)
