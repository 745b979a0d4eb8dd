"""Which checks a history calls for, and carrying them out: the one place that turns a failing checker into an unknown.

A history holds several objects. Its keys are told apart by the functions used on them: leases, single
winners, and the objects of the models. What no check covers is not judged, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.checkers import Checker
from harness.checkers.acquire_bound import acquire_bound
from harness.checkers.dedup import dedup
from harness.checkers.fencing import fencing
from harness.checkers.lease import lease
from harness.checkers.linearizable import Budget, linearizable
from harness.checkers.resource import FUNCTIONS as RESOURCE_FUNCTIONS
from harness.checkers.resource import resource
from harness.history import NEMESIS, Event, History, MalformedHistory
from harness.models import MODELS, Object
from harness.plan import BadPlan
from harness.registry import nearest
from harness.verdict import Verdict, combine, unknown

LEASE_FUNCTIONS = frozenset({"try_acquire", "acquire_within", "extend", "is_held"})
FAMILIES: Sequence[tuple[str, frozenset[str]]] = (  # the first whose functions a key meets
    ("acquire", frozenset({"acquire_within"})),  # a lease, and a bound on the time that it takes
    ("lease", LEASE_FUNCTIONS),
    ("resource", RESOURCE_FUNCTIONS),
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
    of_key: dict[str | None, list[Event]] = {}
    for event in history.events:
        if event.process != NEMESIS:
            of_key.setdefault(event.key, []).append(event)
    family_of = {key: _family(events) for key, events in of_key.items()}
    parts: dict[str, History] = {}
    for name in dict.fromkeys(name for name in family_of.values() if name is not None):
        events = tuple(event for event in history.events if event.process == NEMESIS or family_of[event.key] == name)
        parts[name] = replace(history, events=events)
    return parts


def _family(events: Sequence[Event]) -> str | None:
    """Give the family of one key; what it does not know there is malformed, never left unjudged in silence."""
    used = {event.f for event in events}
    for name, functions in FAMILIES:
        if used & functions or (name == "lease" and _releases_a_lease(events)):
            _refuse_foreign(events, name)
            return name
    if used <= IGNORED:
        return None
    known = set().union(*FUNCTIONS_OF.values())
    alien = next((event for event in events if event.f not in known), events[0])
    raise MalformedHistory(f"unknown f {alien.f!r} (event {alien.index}, key {alien.key!r}), {nearest(alien.f, known)}", event=alien.index)


def _releases_a_lease(events: Sequence[Event]) -> bool:
    # `release` is a function of two models: that of a lease names the owner whose it is.
    return any(event.f == "release" and isinstance(event.value, Mapping) and "owner" in event.value for event in events)


def _refuse_foreign(events: Iterable[Event], model: str) -> None:
    known = FUNCTIONS_OF[model]
    for event in events:
        if event.process != NEMESIS and event.f not in known:
            place = f"(event {event.index}, key {event.key!r})"
            raise MalformedHistory(f"f {event.f!r} {place} is not of the model {model}, {nearest(event.f, known)}", event=event.index)


def checkers(budget: Budget, objects: Mapping[str, Object] = MODELS) -> Mapping[str, Mapping[str, Checker]]:
    """Give the checks of each family, by name of the check; `objects` are the models in their initial states."""
    models: dict[str, Mapping[str, Checker]] = {
        name: {"linearizable": linearizable(model, budget)} for name, model in objects.items() if name != "dedup"
    }
    leases: Mapping[str, Checker] = {"lease": lease, "fencing": fencing}
    return {
        **models,
        "lease": leases,
        "acquire": {**leases, "acquire-bound": acquire_bound},
        "resource": {"resource": resource},
        "dedup": {"dedup": dedup},
    }


MODEL_NAMES = ("register", "versioned-register", "mutex", "lease", "dedup", "counter")
"""The models of `check --model`: what `acquire` and `resource` keys are judged by needs what a run has measured and driven."""
FUNCTIONS_OF: Mapping[str, frozenset[str]] = {
    **{name: model.functions for name, model in MODELS.items()},
    "lease": LEASE_FUNCTIONS | {"release"},
    "acquire": LEASE_FUNCTIONS | {"release"},
    "resource": RESOURCE_FUNCTIONS,
}
"""What each model knows."""


def verdicts(history: History, budget: Budget | None = None, objects: Mapping[str, Object] = MODELS) -> dict[str, Verdict]:
    """Judge a history by every check that its functions call for; a check that raises is unknown."""
    table = checkers(budget or Budget(), objects)
    found: dict[str, dict[str, Verdict]] = {}
    for family, part in families(history).items():
        for check, checker in table[family].items():
            found.setdefault(check, {})[family] = guarded(check, checker)(part)
    return {check: next(iter(parts.values())) if len(parts) == 1 else combine(parts) for check, parts in found.items()}


def judge(history: History, model: str | None, budget_s: float, objects: Mapping[str, Object] = MODELS) -> Verdict:
    """Judge a whole history by one model, or by all that its functions call for; raises BadPlan on an unknown model.

    An f that the model does not know raises MalformedHistory.
    """
    budget = Budget(time_s=budget_s)
    if model is None:
        return combine(verdicts(history, budget, objects))
    if model not in MODEL_NAMES:
        raise BadPlan(f"unknown model {model!r}, {nearest(model, MODEL_NAMES)}")
    _refuse_foreign(history.events, model)
    return combine({check: guarded(check, checker)(history) for check, checker in checkers(budget, objects)[model].items()})


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
