"""Which checks a history calls for, and carrying them out: the one place that turns a failing checker into an unknown.

A history holds several objects. Its keys are told apart by the functions used on them: leases, single
winners, and the objects of the models. What no check covers is not judged, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.checkers import Checker
from harness.checkers.dedup import dedup
from harness.checkers.fencing import fencing
from harness.checkers.lease import lease
from harness.checkers.linearizable import Budget, linearizable
from harness.history import NEMESIS, History, MalformedHistory
from harness.models import MODELS
from harness.plan import BadPlan
from harness.registry import nearest
from harness.verdict import Verdict, combine, unknown

LEASE_FUNCTIONS = frozenset({"try_acquire", "acquire_within", "extend", "is_held"})
FAMILIES: Sequence[tuple[str, frozenset[str]]] = (  # the first whose functions a key meets
    ("lease", LEASE_FUNCTIONS),
    ("counter", frozenset({"increment"})),
    ("versioned-register", frozenset({"compare_and_swap", "get_versioned", "set", "delete"})),
    ("dedup", frozenset({"check_and_set"})),
    ("register", frozenset({"read", "write", "cas"})),
    ("mutex", frozenset({"acquire", "release"})),
)
IGNORED = frozenset({"get"})
"""A key that is only read tells nothing: it belongs to no family."""


def families(history: History) -> dict[str, History]:
    """Split a history by family; each part keeps the nemesis' events. Raises MalformedHistory on an f of no family."""
    functions: dict[str | None, set[str]] = {}
    for event in history.events:
        if event.process != NEMESIS:
            functions.setdefault(event.key, set()).add(event.f)
    family_of = {key: _family(key, used) for key, used in functions.items()}
    parts: dict[str, History] = {}
    for name in dict.fromkeys(name for name in family_of.values() if name is not None):
        events = tuple(event for event in history.events if event.process == NEMESIS or family_of[event.key] == name)
        parts[name] = replace(history, events=events)
    return parts


def _family(key: str | None, used: set[str]) -> str | None:
    for name, functions in FAMILIES:
        if used & functions:
            return name
    if used <= IGNORED:
        return None
    raise MalformedHistory(f"functions {', '.join(sorted(used))} on key {key!r} belong to no model; there are: {', '.join(MODEL_NAMES)}")


def checkers(budget: Budget) -> Mapping[str, Mapping[str, Checker]]:
    """Give the checks of each family, by name of the check."""
    models: dict[str, Mapping[str, Checker]] = {
        name: {"linearizable": linearizable(model, budget)} for name, model in MODELS.items() if name != "dedup"
    }
    return {**models, "lease": {"lease": lease, "fencing": fencing}, "dedup": {"dedup": dedup}}


MODEL_NAMES = ("register", "versioned-register", "mutex", "lease", "dedup", "counter")
"""The models of `check --model`."""


def verdicts(history: History, budget: Budget | None = None) -> dict[str, Verdict]:
    """Judge a history by every check that its functions call for; a check that raises is unknown."""
    table = checkers(budget or Budget())
    found: dict[str, dict[str, Verdict]] = {}
    for family, part in families(history).items():
        for check, checker in table[family].items():
            found.setdefault(check, {})[family] = guarded(check, checker)(part)
    return {check: next(iter(parts.values())) if len(parts) == 1 else combine(parts) for check, parts in found.items()}


def judge(history: History, model: str | None, budget_s: float) -> Verdict:
    """Judge a whole history by one model, or by all that its functions call for; raises BadPlan on an unknown model.

    An f that the model does not know raises MalformedHistory.
    """
    budget = Budget(time_s=budget_s)
    if model is None:
        return combine(verdicts(history, budget))
    if model not in MODEL_NAMES:
        raise BadPlan(f"unknown model {model!r}, {nearest(model, MODEL_NAMES)}")
    return combine({check: guarded(check, checker)(history) for check, checker in checkers(budget)[model].items()})


def guarded(name: str, checker: Checker) -> Callable[[History], Verdict]:
    """Make a check that is unknown where it raises: a checker's bug must not become a verdict."""

    def check(history: History) -> Verdict:
        try:
            return checker(history)
        except MalformedHistory:
            raise
        except Exception as error:  # noqa: BLE001 - the one net under all checkers
            return unknown(f"the {name} check raised {type(error).__name__}: {error}")

    return check
