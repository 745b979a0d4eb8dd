"""What a run directory holds: run.json, which says what was asked for, and the history, which must be what came of it.

A history that another run recorded is refused: its verdict would be told of a system that was not there.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.deploy import launch
from harness.deploy.launch import RunRecord
from harness.driving.plan import Plan
from harness.errors import UsageError
from harness.judging.trials import load_if_there
from harness.judging.vocabulary import refuse_unfit
from harness.record import store
from harness.record.history import Header, History


def read(directory: Path) -> tuple[RunRecord, History]:
    """Read run.json and the history, an empty one where the run did not come so far as to begin it.

    Raises UsageError where the history is not of this run: its header says so, or it has none. Raises MalformedHistory, with
    file and line, where it cannot be read, or where a value says what no model looks at.
    """
    record = launch.read_record(directory)
    path = directory / store.HISTORY
    history = load_if_there(path)
    if history.header is not None:
        _refuse_other(history.header, record.plan, path)
    elif history.events:
        raise UsageError(f"{path} has no header, expected the history of the run of which {store.RUN} beside it tells")
    with history.lines_named():
        refuse_unfit(history)
    return record, history


def _refuse_other(header: Header, plan: Plan, path: Path) -> None:
    found = {name: getattr(header, name) for name in ("deployment", "variant", "workloads", "faults", "seed", "concurrency")}
    wanted = {
        "deployment": plan.backend,
        "variant": plan.variant,
        "workloads": plan.workloads,
        "faults": tuple(sorted({spec.whom for episode in plan.episodes for spec in episode.faults})),
        "seed": plan.seed,
        "concurrency": plan.concurrency,
    }
    options = {"mutant": plan.mutant, "rate": plan.rate, "deadline_s": plan.deadline_s, **plan.options}
    for told, planned in ((found, wanted), (header.options, options)):
        for name in dict.fromkeys((*planned, *told)):
            if told.get(name) != planned.get(name):
                said = f"its {name} is {_said(told.get(name))}, and {store.RUN} beside it says {_said(planned.get(name))}"
                raise UsageError(f"{path} is the history of another run: {said}")


def _said(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, tuple) else "none" if value is None else repr(value)


def difference(ran: Plan, wanted: Plan) -> str | None:
    """Say in what a run differs from what was to be run, None where it does not."""
    names = [each.name for each in fields(Plan) if each.name != "episodes"]
    for name in names:
        if getattr(ran, name) != getattr(wanted, name):
            return f"{name} was {getattr(ran, name)!r}, expected {getattr(wanted, name)!r}"
    if len(ran.episodes) != len(wanted.episodes):
        return f"trials were {len(ran.episodes)}, expected {len(wanted.episodes)}"
    return None if ran.episodes == wanted.episodes else "its faults or its timeline were others"
