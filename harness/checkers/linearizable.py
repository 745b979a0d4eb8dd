"""Linearizability: one order of all operations that keeps real time and gives each its answer.

Judged per key, which is sound (the property is local: Herlihy and Wing, TOPLAS 1990, theorem 1), by an exact
search with a budget. Order is by event index only. Operations that failed are left out (certainly no effect,
nothing observed), and so are unanswered ones that only read; every other unanswered operation may take effect
at any time after its invocation, or never.

*Sound and complete* where it answers: `valid` carries a witness that `replay` has carried out again, `invalid`
a core that was found invalid again alone, without any of the search's shortcuts where it is small. A
certificate that fails makes the verdict unknown with "checker error", never a wrong answer.
*Unknown*: the budget ended (with how far it got), nothing was answered, or a key has operations with a TTL:
these models know no time, expiry is judged elsewhere.

Keys take turns of 0.05 s, then four times that, and so on, until one of them is invalid: one hard key does not
starve the others (finishing each before the next took 82 s where this takes 0.14 s on one of Porcupine's
histories). Cost: exponential at worst; 10 clients and 10,000 operations on a key take about a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.checkers import Checker
from harness.checkers.replay import replay
from harness.checkers.search import EVERY_RULE, NO_RULE, Budget, Search
from harness.checkers.shrink import Core, Trials, possible_states, shrink
from harness.history import History, Operation, split
from harness.model import Model
from harness.models import Object
from harness.models.fields import unknown_function
from harness.verdict import Anomaly, Status, Verdict, invalid, unknown, valid

__all__ = ["Budget", "linearizable"]

KIND = "not-linearizable"
FIRST_TURN_S = 0.05
LONGER = 4
SHRINK_S = 10.0
"""Seconds for all cores together, shared evenly by the keys that are invalid, at most the budget's."""
CERTIFY_S = 5.0
CERTIFY = Budget(steps=100_000)
STATES_LISTED = 5
NS_PER_S = 1_000_000_000


def linearizable(model: Model, budget: Budget | None = None, now: Callable[[], float] = time.monotonic) -> Checker:
    """Make the checker of one model, given in its initial state; `now` is the clock of the budget, in seconds.

    It raises MalformedHistory on a function or value that the model does not know.
    """
    limits = budget or Budget()

    def check(history: History) -> Verdict:
        operations = history.operations()
        _refuse_foreign(model, operations)
        keys = [_Key(key, of_key) for key, of_key in split(operations).items()]
        if not any(operation.status == "ok" for operation in operations):
            return unknown("saw nothing: no operation was answered", **_numbers(model, keys))
        _decide(model, keys, limits, now)
        return _verdict(model, keys, limits, now)

    return check


@dataclass(slots=True)
class _Key:
    """One object's operations and what became of it; `reason` says why it stays undecided."""

    key: str | None
    operations: list[Operation]
    search: Search | None = None
    reason: str | None = None
    steps: int = 0
    spent_s: float = 0.0
    outcome: Status | None = field(default=None)


def _refuse_foreign(model: Model, operations: Sequence[Operation]) -> None:
    if not isinstance(model, Object):
        return
    functions, identity = model.functions, model.identity
    for operation in operations:
        if operation.f not in functions:
            raise unknown_function(operation, model.name, functions)
        if operation.status != "fail":
            identity(operation)  # raises where a value does not fit


def _decide(model: Model, keys: Sequence[_Key], budget: Budget, now: Callable[[], float]) -> None:
    """Search the keys in turns, until all are decided, one is invalid, or the budget is spent."""
    for each in keys:
        timed = sum(operation.status != "fail" and _has_ttl(operation) for operation in each.operations)
        if timed:
            each.reason = f"{timed} of its operations have a TTL, and this model knows no time"
    until, turn = now() + budget.time_s, FIRST_TURN_S
    waiting = [each for each in keys if each.reason is None]
    while waiting:
        for each in waiting:
            _take_turn(model, each, budget, (min(turn, until - now()), now))
        if now() >= until or any(each.outcome is Status.INVALID for each in keys):
            break
        waiting = [each for each in waiting if each.outcome is None and each.reason is None]
        turn *= LONGER
    for each in keys:
        if each.outcome is None and each.reason is None:
            each.reason = "another key is invalid already" if now() < until else f"{budget.time_s:g} s"


def _take_turn(model: Model, each: _Key, budget: Budget, clock: tuple[float, Callable[[], float]]) -> None:
    seconds, now = clock
    if seconds <= 0:
        return
    began = now()
    each.search = each.search or Search(model, each.operations)
    each.outcome = each.search.run(seconds, budget, now)
    each.steps, each.spent_s = each.search.steps, each.spent_s + now() - began
    if each.outcome is None:
        each.reason = each.search.exhausted(budget)


def _has_ttl(operation: Operation) -> bool:
    return isinstance(operation.argument, Mapping) and operation.argument.get("ttl_ms") is not None


def _verdict(model: Model, keys: Sequence[_Key], budget: Budget, now: Callable[[], float]) -> Verdict:
    condemned = sum(each.outcome is Status.INVALID for each in keys)
    share_s = min(SHRINK_S, budget.time_s) / max(1, condemned)
    parts = {_name(each.key): _of_key(model, each, Trials(now() + share_s, now)) for each in keys}
    numbers = _numbers(model, keys)
    bad = tuple((name, part) for name, part in parts.items() if part.status is not Status.VALID)
    if not bad:
        return valid(f"{numbers['ok']:,} answered operations on {_count(len(keys), 'key')} fit one order", **numbers)
    if len(parts) == 1 and keys[0].key is None:
        return replace(bad[0][1], numbers=numbers)
    status = max(part.status for _, part in bad)
    worst = [f"{name}: {part.summary}" for name, part in bad if part.status is status]
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    return Verdict(status, worst[0] + more, parts=bad, numbers=numbers)


def _of_key(model: Model, each: _Key, trials: Trials) -> Verdict:
    numbers = _numbers(model, [each])
    search, each.search = each.search, None  # its memory is not needed any more
    if each.outcome is None or search is None:
        return unknown(_how_far(each, search), **numbers)
    if each.outcome is Status.VALID:
        wrong = replay(model, each.operations, search.witness or [])
        return unknown(f"checker error: {wrong}", **numbers) if wrong else valid("one order fits", **numbers)
    core = shrink(model, each.operations, search.reached, trials)
    if not _stands(core, trials.now):
        return unknown("checker error: the core of the violation is valid alone", **numbers)
    later = Trials(trials.now() + min(1.0, CERTIFY_S), trials.now)
    return _condemned(each.key, core, possible_states(core, later), numbers)


def _stands(core: Core, now: Callable[[], float]) -> bool:
    """Find the core invalid again, by the bare definition if that ends, else with every rule.

    A search that does not end refutes nothing: the core is then as the trials found it.
    """
    found = Search(core.model, core.operations, NO_RULE).run(CERTIFY_S, CERTIFY, now)
    if found is None:
        found = Search(core.model, core.operations, EVERY_RULE).run(CERTIFY_S, Budget(), now)
    return found is not Status.VALID


def _condemned(key: str | None, core: Core, states: list[str] | None, numbers: Mapping[str, Any]) -> Verdict:
    message = explain(core, states)
    shown = sorted({operation.index for operation in (*core.answered, *([core.anchor] if core.anchor else []))})
    at = core.culprit.end if core.culprit.end is not None else core.culprit.start
    return invalid(message, [Anomaly(KIND, key, tuple(shown), at, message)], **numbers)


def explain(core: Core, states: list[str] | None) -> str:
    """Say in one sentence what contradicts what; `states` are all that may have been there, None if not known."""
    what = phrase(core.culprit)
    if states is None:
        text = f"{what} fits no order of the operations before it"
    elif len(states) == 1:
        text = f"{what} does not fit the only possible state {states[0]}"
    else:
        more = f" and {len(states) - STATES_LISTED} more" if len(states) > STATES_LISTED else ""
        text = f"{what} fits none of the possible states {{{', '.join(states[:STATES_LISTED])}{more}}}"
    if core.anchor is not None:
        text += f" after {phrase(core.anchor)}"
    open_ = sum(operation.status == "info" for operation in core.operations)
    if open_:
        text += f"; none of the {open_:,} unanswered operations can explain it" if open_ > 1 else "; the unanswered operation cannot explain it"
    return text


def phrase(operation: Operation) -> str:
    """Give an operation in words: `read -> 5 by process 3 [1.200 s, 1.205 s]`."""
    asked = _words({name: value for name, value in operation.argument.items() if name != "ttl_ms"}) if isinstance(
        operation.argument, Mapping
    ) else _words(operation.argument)
    answer = "" if operation.status != "ok" or operation.result in ({}, None) and operation.f not in ("read",) else f" -> {_words(operation.result)}"
    return f"{operation.f}{'' if asked in ('', 'null') else f'({asked})'}{answer} by process {operation.process} {_when(operation)}"


def _words(value: Any) -> str:
    return str(value)


def _when(operation: Operation) -> str:
    if operation.start == operation.index:
        return ""
    return ""


def _how_far(each: _Key, search: Search | None) -> str:
    if search is None:
        return f"undecided: {each.reason}"
    where = f", up to {phrase(search.standing)}" if search.standing else ""
    return (
        f"undecided after {each.reason} ({each.steps:,} steps): "
        f"{search.reached:,} of {_count(search.total, 'completion')} placed{where}"
    )


def _name(key: str | None) -> str:
    return "the object" if key is None else key


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}" + ("" if n == 1 else "s")


def _numbers(model: Model, keys: Sequence[_Key]) -> dict[str, Any]:
    operations = [operation for each in keys for operation in each.operations]
    idle = sum(operation.status == "fail" for operation in operations)
    return {
        "operations": len(operations),
        "ok": sum(operation.status == "ok" for operation in operations),
        "info": sum(operation.status == "info" for operation in operations),
        "dropped": idle,
        "keys": len(keys),
        "steps": sum(each.steps for each in keys),
        "max_concurrency": max((max_concurrency(each.operations) for each in keys), default=0),
    }


def max_concurrency(operations: Sequence[Operation]) -> int:
    """Give the largest number of operations that clients waited for at one time."""
    changes = []
    for operation in operations:
        until = operation.end if operation.end is not None else operation.gave_up
        changes.append((operation.start, 1))
        if until is not None:
            changes.append((until, -1))
    most = now = 0
    for _, change in sorted(changes, key=lambda each: (each[0], -each[1])):
        now += change
        most = max(most, now)
    return most
