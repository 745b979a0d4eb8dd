"""Keys that expire: one order of all operations, and instants for it and for every end, that give each operation its answer.

Judged per key by an exact search over orders and instants (`harness.judging.checkers.key_search`). Order is by event index; each operation
takes effect between its start and its end by the harness' clock, and what is written with a TTL ends when the clock that ends keys says
so, within the skew (`harness.judging.checkers.instants`). Operations that failed are left out, unanswered ones may take effect at any
time after their start or never.

*Sound and complete* where it answers: `valid` carries a witness, an order for which instants were found again by the definition
(`harness.judging.checkers.witness`); `invalid` a core that was found invalid again alone (`harness.judging.checkers.timed_core`), whose
class is told by what would explain it (`harness.judging.checkers.timed_words`):

- *ttl-two-winners*  two `check_and_set` were answered true though the key of the first must still be there, and nothing removed it.
- *expired-early*    a key that may end before its time explains it.
- *expired-late*     a key that may outlive its TTL explains it.
- *key-inconsistent* neither does: a lost update, a value or a version that nobody wrote, two equal sums.

*Unknown*: the budget ended, nothing was answered, or the clock of the history was not sane. Keys take turns, as in `linearizable`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.judging.check import Budget, Check
from harness.judging.checkers.expiries import GATES
from harness.judging.checkers.instants import Clock, clock_of
from harness.judging.checkers.key_search import KeySearch
from harness.judging.checkers.linearizable import max_concurrency
from harness.judging.checkers.sentence import counted, how_far
from harness.judging.checkers.skew import NS_PER_MS
from harness.judging.checkers.timed_core import Until, core_of, stands, whole
from harness.judging.checkers.timed_words import KINDS, anomaly_of
from harness.judging.checkers.turns import take
from harness.judging.models.key import answer, asked
from harness.judging.verdict import Status, Verdict, combine, invalid, unknown, valid
from harness.record.clock import clock_sane, excess_ns
from harness.record.history import History, Operation, split

SHRINK_S = 10.0
"""Seconds for all cores together, shared evenly by the keys that are invalid, at most the budget's."""


def expiry(history: History, budget: Budget | None = None, now: Callable[[], float] = time.monotonic) -> Verdict:
    """Judge every key of a history; `now` is the clock of the budget, in seconds.

    Raises MalformedHistory on a function, a TTL or a value that is none of a key's.
    """
    limits, clock = budget or Budget(), clock_of(history)
    keys = [_Key(key, of_key, clock, limits, now) for key, of_key in split(_read(history)).items()]
    if not any(operation.status == "ok" for each in keys for operation in each.operations):
        return unknown("saw nothing: no operation was answered", **_numbers(keys))
    if not clock_sane(history):
        parted = f"wall and monotonic time parted {excess_ns(history) / NS_PER_MS:.1f} ms too far"
        return unknown(f"the clock was not sane: {parted}", **_numbers(keys))
    take(keys, _Key.search_for, limits.time_s, now)
    return _verdict(keys)


def _read(history: History) -> Sequence[Operation]:
    for operation in history.operations():
        asked(operation)
        answer(operation)  # each raises where a value does not fit
    return history.operations()


@dataclass(slots=True)
class _Key:
    """One key's operations, the search over them, and what became of it; `reason` says why it is undecided."""

    key: str | None
    operations: list[Operation]
    clock: Clock
    budget: Budget
    now: Callable[[], float]
    search: KeySearch | None = None
    outcome: Status | None = None
    reason: str | None = None
    steps: int = 0

    def search_for(self, seconds: float) -> None:
        self.search = self.search or KeySearch(self.clock, self.operations)
        self.outcome = self.search.run(seconds, self.budget, self.now)
        self.steps = self.search.steps
        if self.outcome is None:
            self.reason = self.search.exhausted(self.budget)

    @property
    def open(self) -> bool:
        return self.outcome is None and self.reason is None


def _verdict(keys: Sequence[_Key]) -> Verdict:
    condemned = sum(each.outcome is Status.INVALID for each in keys)
    share_s = min(SHRINK_S, keys[0].budget.time_s) / max(1, condemned)
    parts = {_name(each.key): _of_key(each, share_s) for each in keys}
    numbers = _numbers(keys)
    bad = {name: part for name, part in parts.items() if part.status is not Status.VALID}
    if not bad:
        return valid(
            f"{counted(numbers['ok'], 'answered operation')} on {counted(len(keys), 'key')} fit one order and its times", **numbers
        )
    if len(keys) == 1 and keys[0].key is None:
        return replace(next(iter(bad.values())), numbers=numbers)
    return replace(combine(bad), numbers=numbers)


def _of_key(each: _Key, share_s: float) -> Verdict:
    numbers = _numbers([each])
    search, each.search = each.search, None  # what it remembers is not needed any more
    if each.outcome is None or search is None:
        return unknown(how_far(each.reason, each.steps, search), **numbers)
    if each.outcome is Status.VALID:
        wrong = search.wrong()
        return unknown(f"checker error: {wrong}", **numbers) if wrong else valid("one order fits, and its times", **numbers)
    core = core_of(
        whole(each.clock, each.operations, coarse=search.coarse), search.reached, Until(each.now() + share_s, each.now, search.steps)
    )
    if not stands(core):
        return unknown("checker error: the core of the violation is valid alone", **numbers)
    anomaly = anomaly_of(each.key, core)
    return invalid(anomaly.message, [anomaly], **numbers)


def _name(key: str | None) -> str:
    return "the object" if key is None else key


def _numbers(keys: Sequence[_Key]) -> dict[str, Any]:
    """Count: every operation is ok, info (it may take effect at any time) or dropped (it constrains nothing)."""
    operations = [operation for each in keys for operation in each.operations]
    ok = sum(operation.status == "ok" for operation in operations)
    info = sum(operation.status == "info" and operation.f not in ("get", "get_versioned") for operation in operations)
    return {
        "operations": len(operations),
        "ok": ok,
        "info": info,
        "dropped": len(operations) - ok - info,
        "keys": len(keys),
        "steps": sum(each.steps for each in keys),
        "max_concurrency": max((max_concurrency(each.operations) for each in keys), default=0),
    }


EXPIRY = Check(
    name="expiry",
    sentence="a key is there until its TTL ends and gone from then on, and what is there is what was written",
    kinds=KINDS,
    judge=lambda history, terms: expiry(history, terms.budget),
    families=("key",),
    gates=GATES,
)
