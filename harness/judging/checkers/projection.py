"""A view over many objects, judged object by object: what a list or a scan says of each is a look at it during the call.

A list or a scan may be several requests, each an atomic step. What was there during the whole call must be in it, what was not must
not: so of every object the view holds one look, at some instant of the call, and the object's own operations and these looks
must fit one order (`harness.judging.checkers.search`). Objects are independent (Herlihy and Wing, TOPLAS 1990, theorem 1).

Exact for each object: invalid and valid are each sound and complete, that no order of its operations, with their answers, explains
all looks. That all looks of one view were one snapshot is not asked.

An object whose own operations contradict each other says nothing about the views: it is undecided here, and its own check's matter.
The *culprit* is the view that ended first of which no order explains the look, given all operations and the views before it.
Objects take turns, as in `harness.judging.checkers.linearizable`; a condemned one stops no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.judging.check import Budget
from harness.judging.checkers.search import Search
from harness.judging.checkers.shrink import Trials, shrink
from harness.judging.model import Model
from harness.judging.verdict import Status
from harness.record.history import Operation

FIRST_TURN_S = 0.05
LONGER = 4
CULPRIT_S = 5.0
"""Seconds for what is said of all condemned objects together, shared evenly."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The look that fits no order, and the answered operations and looks that say so, in order of invocation."""

    look: Operation
    because: tuple[Operation, ...]


@dataclass(slots=True)
class Seen:
    """One object: its own operations, the looks at it, and what became of it; `reason` says why it is undecided."""

    name: str
    model: Model
    own: Sequence[Operation]
    looks: Sequence[Operation]
    outcome: Status | None = None
    reason: str | None = None
    culprit: Culprit | None = None
    _search: Search | None = field(default=None, repr=False)

    def search_for(self, seconds: float, budget: Budget, now: Callable[[], float]) -> None:
        """Search on for some seconds."""
        self._search = self._search or Search(self.model, [*self.own, *self.looks])
        self.outcome = self._search.run(seconds, budget, now)
        if self.outcome is None:
            self.reason = self._search.exhausted(budget)
        if not self.open:
            self._search = None

    @property
    def open(self) -> bool:
        """Say that it may yet be decided."""
        return self.outcome is None and self.reason is None


def decide(objects: Sequence[Seen], budget: Budget, now: Callable[[], float] = time.monotonic) -> None:
    """Decide every object, and name the culprit of each that is invalid; `now` is the clock of the budget, in seconds."""
    until, turn = now() + budget.time_s, FIRST_TURN_S
    open_ = [each for each in objects if each.open]
    while open_:
        for each in open_:
            left = until - now()
            if left <= 0:
                each.reason = f"the {budget.time_s:g} s are over"
            else:
                each.search_for(min(turn, left), budget, now)
        open_ = [each for each in open_ if each.open]
        turn *= LONGER
    condemned = [each for each in objects if each.outcome is Status.INVALID]
    for each in condemned:
        _condemn(each, Trials(now() + min(CULPRIT_S, budget.time_s) / len(condemned), now))


def _condemn(seen: Seen, trials: Trials) -> None:
    """Find the culprit; undecided where the object contradicts itself, or nobody can tell whether it does."""
    looks = sorted(seen.looks, key=_end)
    alone = Search(seen.model, seen.own).run(max(0.1, trials.until - trials.now()), Budget(), trials.now)
    if alone is not Status.VALID:
        seen.outcome, seen.reason = None, "its own operations contradict each other" if alone is Status.INVALID else "too hard to tell why"
        return
    low, high = -1, len(looks) - 1  # up to `low` it is valid, up to `high` invalid; where time is over, `high` may be later than the first
    while high - low > 1:
        middle = (low + high) // 2
        if trials.invalid(seen.model, [*seen.own, *looks[: middle + 1]]):
            high = middle
        else:
            low = middle
    seen.culprit = Culprit(looks[high], _because(seen, looks[: high + 1], trials))


def _because(seen: Seen, looks: Sequence[Operation], trials: Trials) -> tuple[Operation, ...]:
    operations = [*seen.own, *looks]
    core = shrink(seen.model, operations, 0, trials)
    proof = [core.anchor] if core.anchor is not None else []
    kept = [*proof, *(each for each in core.answered if each.index != looks[-1].index)]
    return tuple(sorted(kept, key=lambda each: each.index))


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index
