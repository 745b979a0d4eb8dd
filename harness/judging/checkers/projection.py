"""A view over many objects, judged object by object: what a list or a scan says of each is a look at it during the call.

A list or a scan may be several requests, each an atomic step. What was there during the whole call must be in it, what was not must
not: so of every object the view holds one look, at some instant of the call, and the object's own operations and these looks
must fit one order, by the rules of the object: a model's, or those that know time. Objects are independent (Herlihy and Wing,
TOPLAS 1990, theorem 1).

Exact for each object: invalid and valid are each sound and complete, that no order of its operations, with their answers, explains
all looks. That all looks of one view were one snapshot is not asked. Each verdict has its certificate: an order that was carried out
again, or a core that was found impossible again.

An object whose own operations contradict each other says nothing about the views: it is undecided here, and its own check's matter.
The *culprit* is the view that ended first of which no order explains the look, given all operations and the views before it.
Objects take turns, as in `harness.judging.checkers.linearizable`; a condemned one stops no other.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.judging.check import Budget
from harness.judging.checkers.instants import Clock
from harness.judging.checkers.key_search import KeySearch
from harness.judging.checkers.replay import replay
from harness.judging.checkers.search import EVERY_RULE, NO_RULE, Search
from harness.judging.checkers.shrink import Trials, shrink
from harness.judging.checkers.timed_core import Until, core_of, stands, whole
from harness.judging.checkers.turns import take
from harness.judging.model import Model
from harness.judging.verdict import Status
from harness.record.history import Operation

CULPRIT_S = 10.0
"""Seconds for what is said of all condemned objects together, shared evenly."""
TRIAL = Budget(steps=200_000)
CERTIFY_S = 1.0


class Searching(Protocol):
    """A search for an order that explains some operations."""

    def run(self, seconds: float, budget: Budget, now: Callable[[], float] = ...) -> Status | None: ...
    def exhausted(self, budget: Budget) -> str | None: ...


class Rules(Protocol):
    """What the operations on an object must keep."""

    def search(self, operations: Sequence[Operation]) -> Searching:
        """Begin a search."""
        ...

    def wrong(self, operations: Sequence[Operation], search: Searching) -> str | None:
        """Say what is wrong with the order that a search has found, None if nothing is."""
        ...

    def core(self, operations: Sequence[Operation], until: Trials) -> Sequence[Operation] | None:
        """Give the answers of an impossible sub-history, as short as time allows; None where it is possible alone."""
        ...


@dataclass(frozen=True, slots=True)
class Untimed:
    """One order, in which a model gives each operation its answer."""

    model: Model

    def search(self, operations: Sequence[Operation]) -> Search:
        return Search(self.model, operations)

    def wrong(self, operations: Sequence[Operation], search: Searching) -> str | None:
        return replay(self.model, operations, search.witness or []) if isinstance(search, Search) else None

    def core(self, operations: Sequence[Operation], until: Trials) -> Sequence[Operation] | None:
        found = shrink(self.model, operations, 0, until)
        for rules in (NO_RULE, EVERY_RULE):
            status = Search(found.model, found.operations, rules).run(CERTIFY_S, TRIAL, until.now)
            if status is not None:
                return None if status is Status.VALID else [*([found.anchor] if found.anchor else []), *found.answered]
        return None


@dataclass(frozen=True, slots=True)
class Timed:
    """One order and its instants, by the clock that ends keys."""

    clock: Clock

    def search(self, operations: Sequence[Operation]) -> KeySearch:
        return KeySearch(self.clock, operations)

    def wrong(self, operations: Sequence[Operation], search: Searching) -> str | None:
        return search.wrong() if isinstance(search, KeySearch) else None

    def core(self, operations: Sequence[Operation], until: Trials) -> Sequence[Operation] | None:
        found = core_of(whole(self.clock, operations, coarse=False), 0, Until(until.until, until.now))
        return found.answered if stands(found) else None


@dataclass(frozen=True, slots=True)
class Culprit:
    """The look that fits no order, and the answered operations and looks that say so, in order of invocation."""

    look: Operation
    because: tuple[Operation, ...]


@dataclass(slots=True)
class Seen:
    """One object: its own operations, the looks at it, and what became of it; `reason` says why it is undecided."""

    name: str
    rules: Rules
    own: Sequence[Operation]
    looks: Sequence[Operation]
    outcome: Status | None = None
    reason: str | None = None
    culprit: Culprit | None = None
    _search: Searching | None = field(default=None, repr=False)

    def search_for(self, seconds: float, budget: Budget, now: Callable[[], float]) -> None:
        """Search on for some seconds."""
        self._search = self._search or self.rules.search([*self.own, *self.looks])
        self.outcome = self._search.run(seconds, budget, now)
        if self.outcome is None:
            self.reason = self._search.exhausted(budget)
        elif self.outcome is Status.VALID and (wrong := self.rules.wrong([*self.own, *self.looks], self._search)) is not None:
            self.doubt(f"checker error: {wrong}")
        if not self.open:
            self._search = None

    def doubt(self, reason: str) -> None:
        """Leave it undecided."""
        self.outcome, self.reason = None, reason

    @property
    def open(self) -> bool:
        """Say that it may yet be decided."""
        return self.outcome is None and self.reason is None

    def until(self, last: Operation) -> list[Operation]:
        """Give its own operations, and the looks that ended before one."""
        return [*self.own, *(each for each in self.looks if _end(each) < _end(last))]


def decide(objects: Sequence[Seen], budget: Budget, now: Callable[[], float] = time.monotonic) -> None:
    """Decide every object, and name the culprit of each that is invalid; `now` is the clock of the budget, in seconds."""
    take(objects, lambda each, seconds: each.search_for(seconds, budget, now), budget.time_s, now)
    condemned = [each for each in objects if each.outcome is Status.INVALID]
    for each in condemned:
        _condemn(each, Trials(now() + min(CULPRIT_S, budget.time_s) / len(condemned), now))


def telling(changes: Sequence[Operation], views: Iterable[Operation], said: Callable[[Operation], Hashable]) -> list[Operation]:
    """Leave out views that say nothing of an object which others do not say; `changes` are its operations that may change it.

    Where none of these is under way from the first of some views to the last, all of them look at one state. Of those that say the same
    the one that ends first and the one that begins last are kept: what is there may also end by itself, and then they say the most. What
    is never answered is under way for ever. O(log n) a view.
    """
    begun = sorted(each.index for each in changes)
    ended = sorted(each.end_index for each in changes if each.end_index is not None)
    kept: list[Operation] = []
    alike: dict[tuple[int, Hashable], tuple[Operation, Operation]] = {}
    for view in views:
        before = bisect_left(ended, view.index)
        if before != bisect_left(begun, _end(view)):
            kept.append(view)
            continue
        first, last = alike.get((before, said(view)), (view, view))
        alike[before, said(view)] = min(first, view, key=_end), max(last, view, key=_begin)
    found = {each.index: each for each in (*kept, *(each for pair in alike.values() for each in pair))}
    return [found[index] for index in sorted(found)]


def _condemn(seen: Seen, trials: Trials) -> None:
    """Find the culprit; undecided where the object contradicts itself, or nobody can tell whether it does."""
    looks = sorted(seen.looks, key=_end)
    alone = seen.rules.search(seen.own).run(CERTIFY_S, Budget(), trials.now)
    if alone is not Status.VALID:
        seen.doubt(
            "its own operations contradict each other" if alone is Status.INVALID else "nobody can tell whether it contradicts itself"
        )
        return
    low, high = -1, len(looks) - 1  # up to `low` it is valid, up to `high` invalid; where time is over, `high` may be later than the first
    while high - low > 1:
        middle = (low + high) // 2
        if _impossible(seen, [*seen.until(looks[middle]), looks[middle]], trials):
            high = middle
        else:
            low = middle
    core = seen.rules.core([*seen.until(looks[high]), looks[high]], trials)
    if core is None:
        seen.doubt("checker error: the core of the violation is valid alone")
        return
    because = sorted((each for each in core if each.index != looks[high].index), key=lambda each: each.index)
    seen.culprit = Culprit(looks[high], tuple(because))


def _impossible(seen: Seen, operations: Sequence[Operation], trials: Trials) -> bool:
    left = trials.until - trials.now()
    return left > 0 and seen.rules.search(operations).run(left, TRIAL, trials.now) is Status.INVALID


def _begin(operation: Operation) -> int:
    return operation.index


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index
