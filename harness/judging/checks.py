"""Which checks a history calls for, and carrying them out: the one place that turns a failing checker into an unknown.

A history holds several objects. Its keys are told apart by the functions used on them: leases, single
winners, and the objects of the models. Every answered operation is taken by some check, which says how many it took
(`answered`); what none takes makes an unknown of its own, that names it. So does an end that is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import compress
from typing import Any

from harness import registry
from harness.errors import UsageError
from harness.judging.check import Budget, Check, Terms, every_check, families_of, functions_of
from harness.judging.checkers import Checker
from harness.judging.family import Family, every_family, functions_known
from harness.judging.model import Model
from harness.judging.verdict import Status, Verdict, combine, unknown
from harness.judging.vocabulary import refuse_unfit
from harness.record.history import BROKEN, NEMESIS, UNCLASSIFIED, Event, History, MalformedHistory
from harness.record.keys import in_short
from harness.registry import nearest

READS = frozenset({"get"})
LOOKS = frozenset({"get", "get_versioned"})
ONLY_READ = "versioned-register"
"""The family of a key that is only read: whatever its object is, nobody wrote to it, so that every read finds it missing."""
REGISTER = "register"
OVER_TIME = "key"
"""The family of a key whose values end, or whose functions are no plain family's."""


def families(history: History, only_read: str = ONLY_READ) -> dict[str, History]:
    """Split a history by family; each part keeps the nemesis' events. Keys that fit no family are in none: see `untaken`.

    What failed had no effect and says nothing: it decides nothing, and what its family does not know is left out.
    """
    family_of = {key: _family(events, only_read) for key, events in _by_key(history).items()}
    parts: dict[str, History] = {}
    for name in dict.fromkeys(name for name in family_of.values() if name is not None):
        known = every_family()[name].functions
        own = (event.process == NEMESIS or (family_of[event.key] == name and event.f in known) for event in history.events)
        parts[name] = replace(history, events=tuple(compress(history.events, own)))
    return parts


def untaken(history: History) -> Verdict | None:
    """Say which answered operations no check takes, None where there are none: on keys that fit no family, or that no check judges."""
    left = [event for events in _by_key(history).values() if not _taken(events) for event in events if event.type == "ok"]
    if not left:
        return None
    names = ", ".join(sorted({event.f for event in left}))
    keys = len({event.key for event in left})
    said = f"no check takes {names}: answered operations left {len(left)}, on keys {keys}"
    return unknown(said, left=len(left), keys=keys)


def _named_twice(history: History) -> Verdict | None:
    """Say that one key of the store has two names, shortly and in full: each name's operations were judged without the other's."""
    stored = every_family()[OVER_TIME].functions
    names = {event.key for event in history.events if event.process != NEMESIS and event.key is not None and event.f in stored}
    twice = sorted(name for name in names if in_short(name) != name and in_short(name) in names)
    if not twice:
        return None
    return unknown(f"{len(twice)} keys have two names, the first {twice[0]!r} and {in_short(twice[0])!r}, and were judged as two keys")


def _taken(events: Sequence[Event]) -> bool:
    name = _family(events, ONLY_READ)
    return name is not None and any(check.takes(events, _used(events)) for check in _checks_of(every_family()[name]))


def _checks_of(family: Family, requested: frozenset[str] = frozenset()) -> list[Check]:
    """Give the checks of a family's keys: those on request only where they are."""
    of_it = [check for check in every_check().values() if family.name in check.families or (check.rest and family.linearizable)]
    return [check for check in of_it if _is_asked(check, requested)]


def _is_asked(check: Check, requested: frozenset[str]) -> bool:
    return not check.on_request or check.name in requested


def _by_key(history: History) -> dict[str | None, list[Event]]:
    of_key: dict[str | None, list[Event]] = {}
    for event in history.events:
        if event.process != NEMESIS:
            of_key.setdefault(event.key, []).append(event)
    return of_key


def _family(events: Sequence[Event], only_read: str) -> str | None:
    """Give the family that takes all operations on one key, None if there is none. What is read and never answered needs none."""
    used = _used(events)
    if used <= LOOKS and not any(event.type == "ok" for event in events):
        return None
    family = _claimed(events, used)
    if family is not None:
        return family.name if used <= family.functions else None
    return only_read if used <= READS else None


def _used(events: Sequence[Event]) -> set[str]:
    """Give the functions of the operations on one key that had an effect, or may have."""
    calls = Counter(event.f for event in events if event.type == "invoke")
    return set(calls - Counter(event.f for event in events if event.type == "fail"))


def _claimed(events: Sequence[Event], used: set[str]) -> Family | None:
    """Give the family that the functions used on one key ask for, whether or not it knows all of them."""
    return next((family for family in every_family().values() if used & family.marks or _marked(family, events, used)), None)


def _marked(family: Family, events: Sequence[Event], used: set[str]) -> bool:
    return family.marked is not None and family.marked(events, frozenset(used))


def _refuse_unknown(history: History) -> None:
    """Raise MalformedHistory on a function that a foreign history has and no model knows, or not the one of its key: a typo, perhaps."""
    known = functions_known()
    for events in _by_key(history).values():
        used = _used(events)
        family = _claimed(events, used)
        if family is not None:
            had_effect = [event for event in events if event.f in used or event.f not in known]
            _refuse_foreign(had_effect, family, beside=known)
        elif (alien := next((event for event in events if event.f not in known and event.f not in _offered()), None)) is not None:
            place = f"(event {alien.index}, key {alien.key!r})"
            raise MalformedHistory(f"unknown f {alien.f!r} {place}, {nearest(alien.f, known | _offered())}", event=alien.index)


@cache
def _offered() -> frozenset[str]:
    """Give the functions that some backend offers: one that no family knows is not malformed, and never valid."""
    return frozenset().union(*(registry.load("backends", name).functions for name in registry.names("backends")))


def _refuse_foreign(events: Iterable[Event], family: Family, beside: frozenset[str] | None = None) -> None:
    """Raise MalformedHistory on a function that a family does not know; with `beside`, the functions that any does, not on one unjudged."""
    for event in events:
        if event.process == NEMESIS or event.f in family.functions:
            continue
        if beside is None or event.f in beside or event.f not in _offered():
            place = f"(event {event.index}, key {event.key!r})"
            said = f"f {event.f!r} {place} is not of the model {family.name}, {nearest(event.f, family.functions)}"
            raise MalformedHistory(said, event=event.index)


def verdicts(history: History, terms: Terms | None = None) -> dict[str, Verdict]:
    """Judge a history by every check that its functions call for; a check that raises is unknown.

    Numbers of each: `answered`, how many answered operations it took. What no check takes is an unknown, "untaken".
    """
    terms = Terms() if terms is None else terms
    found: dict[str, dict[str, Verdict]] = {}
    for name, part in families(history, _only_read(terms)).items():
        for check, verdict in _of_family(every_family()[name], part, history, terms).items():
            found.setdefault(check, {})[name] = verdict
    judged = {check: next(iter(parts.values())) if len(parts) == 1 else _joined(parts) for check, parts in found.items()}
    left = {"untaken": untaken(history), "keys": _named_twice(history)}
    return {**judged, **{name: verdict for name, verdict in left.items() if verdict is not None}}


def trial_verdicts(history: History, terms: Terms | None = None) -> dict[str, Verdict]:
    """Judge a trial of a run: by the checks of its keys, and by those of whole trials that its faults and the bound call for."""
    terms = Terms() if terms is None else terms
    whole = [check for check in every_check().values() if check.whole and _takes_part(check, history, terms)]
    found = {**verdicts(history, terms), **{check.name: _carried_out(check, history, terms) for check in whole}}
    return {**found, **_left_undone(history, found, terms)}


def _left_undone(history: History, found: Mapping[str, Verdict], terms: Terms) -> dict[str, Verdict]:
    """Give an unknown for each check that a workload of the run names, that has not judged, and whose functions were answered.

    What another check that the workload names takes is not left undone by one that takes whatever its families have.
    """
    undone: dict[str, Verdict] = {}
    for name in _workloads(history):
        named = [every_check()[each] for each in registry.load("workloads", name).checks if each in every_check()]
        for check in (each for each in named if each.name not in found and _is_asked(each, terms.requested)):
            others = [] if check.wanted else [each for each in named if each.name in found]
            marks = check.wanted or frozenset().union(*(family.marks for family in families_of(check)))
            if met := _answered(history, others) & marks:
                undone[check.name] = unknown(f"it has judged nothing, though {', '.join(sorted(met))} was answered")
    return undone


def _answered(history: History, taken_by: Sequence[Check]) -> set[str]:
    """Give the functions that were answered, on keys that none of these checks takes."""
    if not taken_by:
        return {event.f for event in history.events if event.type == "ok"}
    left = [events for events in _by_key(history).values() if not _taken_by(events, taken_by)]
    return {event.f for events in left for event in events if event.type == "ok"}


def _taken_by(events: Sequence[Event], checks: Sequence[Check]) -> bool:
    name = _family(events, ONLY_READ)
    return name is not None and any(check in checks and check.takes(events, _used(events)) for check in _checks_of(every_family()[name]))


def _workloads(history: History) -> list[str]:
    return [name for name in (history.header.workloads if history.header else ()) if name in registry.names("workloads")]


def _takes_part(check: Check, history: History, terms: Terms) -> bool:
    if not _is_asked(check, terms.requested) or (check.needs_bound and terms.bound_ns is None):
        return False
    if check.wanted and not any(event.f in check.wanted for event in history.events if event.type == "invoke"):
        return False
    return not check.effects or history.has_fault_with(check.effects)


def _only_read(terms: Terms) -> str:
    """Give the family of a key that is only read: the register, where the user says what registers began with."""
    began = terms.models.get(REGISTER)
    return ONLY_READ if began is None or began == every_family()[REGISTER].model else REGISTER


def _of_family(family: Family, part: History, history: History, terms: Terms) -> dict[str, Verdict]:
    mine = replace(terms, family=family)
    checks = [(check, _wanted(check, part)) for check in _checks_of(family, terms.requested)]
    return {
        check.name: _counted(_carried_out(check, _beside(check, keys, history), mine), keys) for check, keys in checks if keys is not None
    }


def _wanted(check: Check, part: History) -> History | None:
    """Give what a check is given of a family's part: the keys on which a function was used without which it has nothing to say."""
    if not check.wanted and check.picks is None:
        return part
    keys = {key for key, events in _by_key(part).items() if check.takes(events, _used(events))}
    return _keys(part, keys.__contains__) if keys else None


def _beside(check: Check, keys: History, history: History) -> History:
    """Give a check's own keys, and what it is given of all others."""
    if not check.beside:
        return keys
    own = {event.index for event in keys.events}
    known = (event.index in own or (event.process != NEMESIS and event.f in check.beside) for event in history.events)
    return replace(keys, events=tuple(compress(history.events, known)))


def _carried_out(check: Check, history: History, terms: Terms) -> Verdict:
    found = guarded(check.name, lambda given: check.judge(given, terms))(history)
    wrong = _unfit(found, check, history)
    return found if wrong is None else unknown(f"the {check.name} check gave {wrong}")


def _unfit(found: Any, check: Check, history: History) -> str | None:
    """Say why what a check gave is no verdict on this history; None where it is one. A third party's may be anything."""
    if not isinstance(found, Verdict) or not isinstance(found.status, Status) or not isinstance(found.summary, str):
        return f"{found!r}, expected a Verdict with a status and a summary"
    anomalies = found.all_anomalies()
    if (found.status is Status.INVALID) != bool(anomalies):
        return f"{found.status} with {len(anomalies)} anomalies, expected some where it is invalid, and none elsewhere"
    invoked = {event.index for event in history.events if event.type == "invoke"} if anomalies else set()
    kinds = {kind.name for kind in check.kinds}
    for anomaly in anomalies:
        if anomaly.kind not in kinds:
            return f"an anomaly of class {anomaly.kind!r}, expected {' or '.join(sorted(kinds))}"
        if not anomaly.operations or not invoked.issuperset(anomaly.operations) or type(anomaly.at) is not int:
            return f"{anomaly!r}, expected the indices of invocations of this history, and a time in ns"
    return None


def _counted(verdict: Verdict, history: History) -> Verdict:
    answered = sum(event.type == "ok" and event.process != NEMESIS for event in history.events)
    return replace(verdict, numbers={**verdict.numbers, "answered": answered})


def _joined(parts: Mapping[str, Verdict]) -> Verdict:
    return replace(combine(parts), numbers={"answered": sum(part.numbers["answered"] for part in parts.values())})


def unjudged(functions: frozenset[str], checks: Iterable[str]) -> frozenset[str]:
    """Give of some functions those that none of these checks takes: operations that nobody would judge. Raises UsageError on no check."""
    taken: set[str] = set()
    for name in checks:
        if name not in every_check():
            raise UsageError(f"unknown check {name!r}, {nearest(name, every_check())}")
        if not every_check()[name].on_request:
            taken |= functions_of(every_check()[name])
    return functions - taken


def judge(history: History, model: str | None, budget_s: float, models: Mapping[str, Model] | None = None) -> Verdict:
    """Judge a whole history by one model, or by all that its functions call for; raises UsageError on an unknown model.

    `models` are initial states that are not the models' own. An f that the model does not know raises MalformedHistory. Without its end
    mark a history is never valid: a counterexample stands, but nobody knows what came after.
    """
    terms = Terms(budget=Budget(time_s=budget_s), models=models or {})
    refuse_unfit(history)
    if model is None:
        _refuse_unknown(history)
        found = verdicts(history, terms)
    elif model not in every_family():
        raise UsageError(f"unknown model {model!r}, {nearest(model, every_family())}")
    else:
        found = _by_model(history, every_family()[model], terms)
    doubts = {"end": _no_end(history)} if not history.complete else {}
    if (errors := _doubtful(history)) is not None:
        doubts["errors"] = errors
    return combine({**found, **doubts})


def _by_model(history: History, family: Family, terms: Terms) -> dict[str, Verdict]:
    """Judge all of a history by one family, and no check that wants particular functions: those are asked for by using them.

    A key over whose values time passes is judged over time, with the functions of the family.
    """
    beside = frozenset().union(*(check.beside for check in _of_model(family, terms)))
    _refuse_foreign(history.events, replace(family, functions=family.functions | family.timed | beside))
    timed = {key for key, events in _by_key(history).items() if _over_time(family, events)}
    parts = {family.name: _keys(history, lambda key: key not in timed), OVER_TIME: _keys(history, lambda key: key in timed)}
    found: dict[str, Verdict] = {}
    for name in [name for name, part in parts.items() if _by_key(part)] or [family.name]:
        mine = replace(terms, family=every_family()[name])
        checks = _of_model(every_family()[name], terms)
        found |= {check.name: _counted(_carried_out(check, parts[name], mine), parts[name]) for check in checks}
    return found


def _of_model(family: Family, terms: Terms) -> list[Check]:
    return [check for check in _checks_of(family, terms.requested) if not check.wanted]


def _over_time(family: Family, events: Sequence[Event]) -> bool:
    used = _used(events)
    if family.name == OVER_TIME or family.model is None or not used <= every_family()[OVER_TIME].functions:
        return family.name == OVER_TIME
    claims = _claimed(events, used)
    return bool(used & family.timed) or (claims is not None and claims.name == OVER_TIME)


def _keys(history: History, wanted: Callable[[str | None], bool]) -> History:
    return replace(history, events=tuple(event for event in history.events if event.process == NEMESIS or wanted(event.key)))


def _doubtful(history: History) -> Verdict | None:
    """Say which error is no answer of a known kind: what stands in the way of `valid` in a run does here too."""
    found = [event for event in history.events if event.error is not None and event.error.startswith((UNCLASSIFIED, BROKEN))]
    if not found:
        return None
    return unknown(f"{len(found)} operations ended with an error of no known kind, the first (event {found[0].index}): {found[0].error}")


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
