"""Counts that only some claims ask for, as gates: of what was tried around a failover, and those that checks give.

Each may be too low and never too high: what was not exercised shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

from harness.errors import UsageError
from harness.judging.check import Terms, every_check
from harness.judging.checkers.survival import attempted_while_cut
from harness.judging.roles import promotions
from harness.record.history import History, Moment, Operation
from harness.shape import held

ATTEMPTS = frozenset({"try_acquire", "check_and_set"})
Count = Callable[[History, Terms], int]


@cache
def every_count() -> Mapping[str, Count]:
    """Give the counts by the names that claims use; raise UsageError where two checks have one name for theirs."""
    found = dict(OF_A_FAILOVER)
    for check in every_check().values():
        if taken := sorted(found.keys() & check.gates.keys()):
            raise UsageError(f"gate {taken[0]} of check {check.name} is also another's, expected a name of its own")
        found |= {name: partial(_counted, name, count) for name, count in check.gates.items()}
    return found


def _counted(name: str, count: Count, history: History, terms: Terms) -> int:
    return held(count(history, terms), int, f"what gate {name} counted", count)


def needs_bound(name: str) -> bool:
    """Say whether a count can only be given where a claim sets a bound."""
    return any(name in check.gates and check.needs_bound for check in every_check().values())


def _promoted(history: History, terms: Terms) -> int:
    return len(promotions(history))


def _answered_by_new(history: History, terms: Terms) -> int:
    """Count attempts that a promoted node answered while the fault was on."""
    on = {promoted.node: (promoted.moment.index, _healing(history, promoted.moment)) for promoted in promotions(history)}
    return sum(each.node in on and on[each.node][0] < each.index < on[each.node][1] for each in _attempts(history))


def _granted_by_old(history: History, terms: Terms) -> int:
    """Count grants by the old primary, invoked after another was seen promoted and while the fault was on."""
    first = min(promotions(history), key=lambda promoted: promoted.moment.index, default=None)
    if first is None or first.old is None:
        return 0
    end = _healing(history, first.moment)
    grants = [each for each in _attempts(history) if each.f == "try_acquire" and each.result["granted"]]
    return sum(each.node == first.old and first.moment.index < each.index < end for each in grants)


def _attempts(history: History) -> list[Operation]:
    return [each for each in history.operations() if each.status == "ok" and each.f in ATTEMPTS]


def _healing(history: History, moment: Moment) -> int:
    """Give the index at which the healing of the faults of a moment began, one past the last event if it did not.

    Of a schedule those that are meant to change roles and began last before it.
    """
    strikes = [strike for strike in history.strikes if any(fault.changes_roles and fault.first.index < moment.index for fault in strike)]
    began = [fault.healing.index for strike in strikes[-1:] or history.strikes for fault in strike if fault.healing is not None]
    return min(began, default=history.events[-1].index + 1 if history.events else 0)


OF_A_FAILOVER: Mapping[str, Count] = {
    "promoted": _promoted,
    "answered_by_new": _answered_by_new,
    "granted_by_old_after_promotion": _granted_by_old,
    "attempted_while_cut": lambda history, terms: attempted_while_cut(history),
}
