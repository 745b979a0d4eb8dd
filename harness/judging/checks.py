"""Which checks a history calls for, and carrying them out: the one place that turns a failing checker into an unknown.

A history holds several objects. Its keys are told apart by the functions used on them: leases, single
winners, and the objects of the models. Every answered operation is taken by some check, which says how many it took
(`answered`); what none takes makes an unknown of its own, that names it. So does an end that is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress

from harness.errors import UsageError
from harness.judging.checkers import Checker
from harness.judging.checkers.acquire_bound import acquire_bound
from harness.judging.checkers.dedup import dedup
from harness.judging.checkers.fencing import fencing
from harness.judging.checkers.lease import lease
from harness.judging.checkers.linearizable import Budget, linearizable
from harness.judging.checkers.resource import FUNCTIONS as RESOURCE_FUNCTIONS
from harness.judging.checkers.resource import resource
from harness.judging.models import MODELS, Object
from harness.judging.verdict import Verdict, combine, unknown
from harness.judging.vocabulary import refuse_unfit
from harness.record.history import NEMESIS, Event, History, MalformedHistory
from harness.registry import nearest

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
READS = frozenset({"get"})
ONLY_READ = "versioned-register"
"""The family of a key that is only read: whatever its object is, nobody wrote to it, so that every read finds it missing."""
NO_CHECK_YET = frozenset(
    {
        "scan_keys",
        "scan_keys_by_kind",
        "index_timeout",
        "remove_timeout_index",
        "get_expired_timeouts",
        "index_chain_ready",
        "remove_chain_ready_index",
        "get_ready_chains",
    }
)
"""Functions of the document's interface that no check judges yet: not malformed, and never valid."""


def families(history: History, only_read: str = ONLY_READ) -> dict[str, History]:
    """Split a history by family; each part keeps the nemesis' events. Keys that fit no family are in none: see `untaken`.

    What failed had no effect and says nothing: it decides nothing, and what its family does not know is left out.
    """
    family_of = {key: _family(events, only_read) for key, events in _by_key(history).items()}
    parts: dict[str, History] = {}
    for name in dict.fromkeys(name for name in family_of.values() if name is not None):
        known = FUNCTIONS_OF[name]
        own = (event.process == NEMESIS or (family_of[event.key] == name and event.f in known) for event in history.events)
        parts[name] = replace(history, events=tuple(compress(history.events, own)))
    return parts


def untaken(history: History) -> Verdict | None:
    """Say which answered operations no check takes, None where there are none: each is on a key that fits no family."""
    left = [event for events in _by_key(history).values() if _family(events, ONLY_READ) is None for event in events if event.type == "ok"]
    if not left:
        return None
    names = ", ".join(sorted({event.f for event in left}))
    keys = len({event.key for event in left})
    said = f"no check takes {names}: answered operations left {len(left)}, on keys {keys}"
    return unknown(said, left=len(left), keys=keys)


def _by_key(history: History) -> dict[str | None, list[Event]]:
    of_key: dict[str | None, list[Event]] = {}
    for event in history.events:
        if event.process != NEMESIS:
            of_key.setdefault(event.key, []).append(event)
    return of_key


def _family(events: Sequence[Event], only_read: str) -> str | None:
    """Give the family that takes all operations on one key, None if there is none. What is read and never answered needs none."""
    used = _used(events)
    name = _claimed(events, used)
    if name is not None:
        return name if used <= FUNCTIONS_OF[name] else None
    return only_read if used <= READS and any(event.type == "ok" for event in events) else None


def _used(events: Sequence[Event]) -> set[str]:
    """Give the functions of the operations on one key that had an effect, or may have."""
    calls = Counter(event.f for event in events if event.type == "invoke")
    return set(calls - Counter(event.f for event in events if event.type == "fail"))


def _claimed(events: Sequence[Event], used: set[str]) -> str | None:
    """Give the family that the functions used on one key ask for, whether or not it knows all of them."""
    return next((name for name, functions in FAMILIES if used & functions or (name == "lease" and _releases_a_lease(events))), None)


def _refuse_unknown(history: History) -> None:
    """Raise MalformedHistory on a function that a foreign history has and no model knows, or not the one of its key: a typo, perhaps."""
    known = set().union(NO_CHECK_YET, *FUNCTIONS_OF.values())
    for events in _by_key(history).values():
        name = _claimed(events, {event.f for event in events})
        if name is not None:
            _refuse_foreign((event for event in events if event.f not in NO_CHECK_YET), name)
        elif (alien := next((event for event in events if event.f not in known), None)) is not None:
            raise MalformedHistory(
                f"unknown f {alien.f!r} (event {alien.index}, key {alien.key!r}), {nearest(alien.f, known)}", event=alien.index
            )


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
    """Judge a history by every check that its functions call for; a check that raises is unknown.

    Numbers of each: `answered`, how many answered operations it took. What no check takes is an unknown, "untaken".
    """
    table = checkers(budget or Budget(), objects)
    found: dict[str, dict[str, Verdict]] = {}
    only_read = ONLY_READ if objects["register"] == MODELS["register"] else "register"  # what the user says of registers, also of these
    for family, part in families(history, only_read).items():
        for check, checker in table[family].items():
            found.setdefault(check, {})[family] = _counted(guarded(check, checker)(part), part)
    judged = {check: next(iter(parts.values())) if len(parts) == 1 else _joined(parts) for check, parts in found.items()}
    left = untaken(history)
    return judged if left is None else {**judged, "untaken": left}


def _counted(verdict: Verdict, history: History) -> Verdict:
    answered = sum(event.type == "ok" and event.process != NEMESIS for event in history.events)
    return replace(verdict, numbers={**verdict.numbers, "answered": answered})


def _joined(parts: Mapping[str, Verdict]) -> Verdict:
    return replace(combine(parts), numbers={"answered": sum(part.numbers["answered"] for part in parts.values())})


def judge(history: History, model: str | None, budget_s: float, objects: Mapping[str, Object] = MODELS) -> Verdict:
    """Judge a whole history by one model, or by all that its functions call for; raises UsageError on an unknown model.

    An f that the model does not know raises MalformedHistory. Without its end mark a history is never valid: a
    counterexample stands, but nobody knows what came after.
    """
    budget = Budget(time_s=budget_s)
    refuse_unfit(history)
    if model is None:
        _refuse_unknown(history)
        found = verdicts(history, budget, objects)
    elif model not in MODEL_NAMES:
        raise UsageError(f"unknown model {model!r}, {nearest(model, MODEL_NAMES)}")
    else:
        _refuse_foreign(history.events, model)
        found = {check: _counted(guarded(check, checker)(history), history) for check, checker in checkers(budget, objects)[model].items()}
    return combine(found if history.complete else {**found, "end": _no_end(history)})


def _no_end(history: History) -> Verdict:
    lost = "its last line is cut off" if history.torn else 'it has no end mark, {"end": true} on the last line'
    return unknown(f"the history may go on: {lost}; what was read is judged, and what is missing is not")


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
