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

Keys take turns (`harness.judging.checkers.turns`) until one of them is invalid.
Cost: exponential at worst; 10 clients and 10,000 operations on a key take about a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from harness.judging.check import Budget, Check, Kind
from harness.judging.checkers import Checker
from harness.judging.checkers.reductions import looked_at, writes, written
from harness.judging.checkers.replay import replay
from harness.judging.checkers.search import EVERY_RULE, NO_RULE, Search
from harness.judging.checkers.sentence import counted, explain, how_far, words
from harness.judging.checkers.shrink import Core, Trials, possible_states, shrink
from harness.judging.checkers.turns import take
from harness.judging.model import Model
from harness.judging.models import Object
from harness.judging.models.register import Register
from harness.judging.verdict import Anomaly, Status, Verdict, combine, invalid, unknown, valid
from harness.record.fields import canonical, unknown_function
from harness.record.history import History, Operation, split

__all__ = ["Budget", "linearizable"]

KIND = "not-linearizable"
SHRINK_S = 10.0
"""Seconds for all cores together, shared evenly by the keys that are invalid, at most the budget's."""
CERTIFY_S = 5.0
CERTIFY = Budget(steps=200_000)
STATES_S = 1.0


def linearizable(model: Model, budget: Budget | None = None, now: Callable[[], float] = time.monotonic) -> Checker:
    """Make the checker of one model, given in its initial state; `now` is the clock of the budget, in seconds.

    It raises MalformedHistory on a function or value that the model does not know.
    """
    limits = budget or Budget()

    def check(history: History) -> Verdict:
        operations = history.operations()
        _refuse_foreign(model, operations)
        keys = [_Key(key, of_key, model, limits, now) for key, of_key in split(operations).items()]
        if not any(operation.status == "ok" for operation in operations):
            return unknown("saw nothing: no operation was answered", **_numbers(keys))
        _decide(keys)
        return _verdict(keys)

    return check


@dataclass(slots=True)
class _Key:
    """One object's operations, the search over them, and what became of it; `reason` says why it is undecided."""

    key: str | None
    operations: list[Operation]
    model: Model
    budget: Budget
    now: Callable[[], float]
    search: Search | None = None
    outcome: Status | None = None
    reason: str | None = None
    steps: int = 0

    def search_for(self, seconds: float) -> None:
        self.search = self.search or Search(self.model, self.operations)
        self.outcome = self.search.run(seconds, self.budget, self.now)
        self.steps = self.search.steps
        if self.outcome is None:
            self.reason = self.search.exhausted(self.budget)

    @property
    def open(self) -> bool:
        return self.outcome is None and self.reason is None


def _refuse_foreign(model: Model, operations: Sequence[Operation]) -> None:
    if not isinstance(model, Object):
        return
    functions, identity = model.functions, model.identity
    for operation in operations:
        if operation.f not in functions:
            raise unknown_function(operation, model.name, functions)
        if operation.status != "fail":
            identity(operation)  # raises where a value does not fit


def _decide(keys: Sequence[_Key]) -> None:
    """Search the keys in turns, until all are decided, one is invalid, or the time is spent."""
    for each in keys:
        timed = sum(operation.status != "fail" and _has_ttl(operation) for operation in each.operations)
        if timed:
            each.reason = f"{counted(timed, 'operation')} with a TTL, and this model knows no time"
    take(keys, _Key.search_for, keys[0].budget.time_s, keys[0].now, lambda: any(each.outcome is Status.INVALID for each in keys))
    for each in keys:
        if each.open:
            each.reason = "another key is invalid already"


def _has_ttl(operation: Operation) -> bool:
    return isinstance(operation.argument, Mapping) and operation.argument.get("ttl_ms") is not None


def _verdict(keys: Sequence[_Key]) -> Verdict:
    condemned = sum(each.outcome is Status.INVALID for each in keys)
    share_s = min(SHRINK_S, keys[0].budget.time_s) / max(1, condemned)
    parts = {_name(each.key): _of_key(each, share_s) for each in keys}
    numbers = _numbers(keys)
    bad = {name: part for name, part in parts.items() if part.status is not Status.VALID}
    if not bad:
        return valid(f"{counted(numbers['ok'], 'answered operation')} on {counted(len(keys), 'key')} fit one order", **numbers)
    if len(keys) == 1 and keys[0].key is None:
        return replace(next(iter(bad.values())), numbers=numbers)
    return replace(combine(bad), numbers=numbers)


def _of_key(each: _Key, share_s: float) -> Verdict:
    numbers = _numbers([each])
    search, each.search = each.search, None  # what it remembers is not needed any more
    if each.outcome is None or search is None:
        return unknown(how_far(each.reason, each.steps, search), **numbers)
    if each.outcome is Status.VALID:
        wrong = replay(each.model, each.operations, search.witness or [])
        return unknown(f"checker error: {wrong}", **numbers) if wrong else valid("one order fits", **numbers)
    core = shrink(each.model, each.operations, search.reached, Trials(each.now() + share_s, each.now))
    if not _stands(core, each.now):
        return unknown("checker error: the core of the violation is valid alone", **numbers)
    states = possible_states(core, Trials(each.now() + min(STATES_S, share_s), each.now))
    return _condemned(each, core, states, numbers)


def _stands(core: Core, now: Callable[[], float]) -> bool:
    """Find the core invalid again, by the bare definition if that ends, else with every rule.

    A search that does not end refutes nothing: the core is then as the trials found it.
    """
    found = Search(core.model, core.operations, NO_RULE).run(CERTIFY_S, CERTIFY, now)
    if found is None:
        found = Search(core.model, core.operations, EVERY_RULE).run(CERTIFY_S, CERTIFY, now)
    return found is not Status.VALID


def _condemned(each: _Key, core: Core, states: Sequence[str] | None, numbers: Mapping[str, Any]) -> Verdict:
    assert core.culprit.end is not None
    message = explain(core, states) + _unwritten(each, core)
    shown = {operation.index for operation in core.answered} | ({core.anchor.index} if core.anchor else set())
    return invalid(message, [Anomaly(KIND, each.key, tuple(sorted(shown)), core.culprit.end, message)], **numbers)


def _unwritten(each: _Key, core: Core) -> str:
    """Say so where nobody wrote what a register's culprit looked at, and it would fit if the register had begun with it."""
    if not isinstance(each.model, Register) or core.anchor is not None or core.culprit.result is False:
        return ""
    there = {each.model.value, *(canonical(written(operation)) for operation in each.operations if writes(operation))}
    unwritten = [value for value in looked_at(core.culprit) if canonical(value) not in there]
    for value in unwritten:
        if Search(Register(canonical(value)), core.operations).run(CERTIFY_S, CERTIFY, each.now) is Status.VALID:
            return f"; nobody wrote {words(value)}: if the register began with it, say so with --initial"
    return ""


def _name(key: str | None) -> str:
    return "the object" if key is None else key


def _numbers(keys: Sequence[_Key]) -> dict[str, Any]:
    """Count: every operation is ok, info (it may take effect at any time) or dropped (it constrains nothing)."""
    operations = [operation for each in keys for operation in each.operations]
    hints = keys[0].model if keys and isinstance(keys[0].model, Object) else None
    ok = sum(operation.status == "ok" for operation in operations)
    info = sum(operation.status == "info" and not (hints and hints.observes(operation)) for operation in operations)
    return {
        "operations": len(operations),
        "ok": ok,
        "info": info,
        "dropped": len(operations) - ok - info,
        "keys": len(keys),
        "steps": sum(each.steps for each in keys),
        "max_concurrency": max((max_concurrency(each.operations) for each in keys), default=0),
    }


def max_concurrency(operations: Sequence[Operation]) -> int:
    """Give the largest number of operations that clients waited for at one time."""
    changes = [(operation.start, 1) for operation in operations]
    ends = [operation.gave_up if operation.end is None else operation.end for operation in operations]
    changes += [(end, -1) for end in ends if end is not None]
    return max(accumulate(change for _, change in sorted(changes, key=lambda each: (each[0], -each[1]))), default=0)


LINEARIZABLE = Check(
    name="linearizable",
    sentence="all operations on an object fit into one order that keeps real time and gives each its answer",
    kinds=(
        Kind(
            name=KIND,
            rule="All operations must fit into one order that keeps real time and gives each its answer.",
            heading="{key} is not linearizable",
            one="One object is not linearizable",
            many="{n} objects are not linearizable",
            rank=50,
            of_a_key=True,
            each_operation=True,
        ),
    ),
    judge=lambda history, terms: linearizable(terms.model, terms.budget)(history),
    rest=True,
)
