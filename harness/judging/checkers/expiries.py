"""How much of expiry a history shows: keys that were seen to have ended, answers shortly before the end, keys that came back.

Only what is certain counts: what is seen of a key after a write that all its other writes had ended before, and no other had begun since.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from harness.judging.check import Terms
from harness.judging.checkers.instants import Clock, clock_of
from harness.judging.checkers.timed_core import finds_missing, finds_there
from harness.judging.checkers.timed_words import gone_by, must_live
from harness.judging.models.key import changes, ttl_of
from harness.record.history import History, Operation, split

LOOKS = ("get", "get_versioned")


class Sight(NamedTuple):
    """An answered operation, and the write that must have been the last before it."""

    write: Operation
    look: Operation

    def over(self, clock: Clock) -> bool:
        """Say whether what was written must have ended before the look."""
        by = gone_by(self.write, clock)
        return by is not None and by <= self.look.start

    def shortly_before(self, clock: Clock) -> bool:
        """Say whether the look lies in the last third of the time for which what was written must be there."""
        if ttl_of(self.write) is None or self.write.end is None or self.look.end is None:
            return False
        until = must_live(self.write, clock) or 0
        return until - self.look.start <= (until - self.write.end) // 3 and self.look.end < until


def sights(operations: Sequence[Operation]) -> Iterator[Sight]:
    """Give each answered operation on a key with its last write; nothing of a key with a write that was never answered."""
    if any(each.status == "info" and each.f not in LOOKS for each in operations):
        return
    answered = sorted((each for each in operations if each.status == "ok"), key=lambda each: each.index)
    writes = [each for each in answered if changes(each)]
    begun = [each.index for each in writes]
    ended = [-1, *accumulate(map(_end, writes), max)]  # of the first n, when all had
    for look in answered:
        last = bisect_left(begun, _end(look)) - 1
        if last >= 0 and writes[last] is look:
            last -= 1
        if last >= 0 and ended[last] < begun[last] and _end(writes[last]) < look.index:
            yield Sight(writes[last], look)


def _found_missing(look: Operation) -> bool:
    return finds_missing(look) or (look.f == "increment" and look.result["value"] == look.argument["delta"])


def _of_keys(history: History) -> Iterator[list[Sight]]:
    return (list(sights(operations)) for operations in split(history.operations()).values())


def expired_seen_gone(history: History) -> int:
    """Count the keys that were answered missing, or set anew, after they must have ended."""
    clock = clock_of(history)
    return sum(any(each.over(clock) and _found_missing(each.look) for each in found) for found in _of_keys(history))


def answered_before_expiry(history: History) -> int:
    """Count the answers that show a key in the last third of the time for which it must be there."""
    clock = clock_of(history)
    return sum(each.shortly_before(clock) and finds_there(each.look) for found in _of_keys(history) for each in found)


def reborn(history: History) -> int:
    """Count the writes that began a key anew after it must have ended."""
    clock = clock_of(history)
    return sum(each.over(clock) and changes(each.look) and _found_missing(each.look) for found in _of_keys(history) for each in found)


def _end(operation: Operation) -> int:
    assert operation.end_index is not None
    return operation.end_index


GATES: Mapping[str, Callable[[History, Terms], int]] = {
    "expired_seen_gone": lambda history, terms: expired_seen_gone(history),
    "answered_before_expiry": lambda history, terms: answered_before_expiry(history),
    "reborn": lambda history, terms: reborn(history),
}
