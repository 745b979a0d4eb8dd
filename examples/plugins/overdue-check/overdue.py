"""Nobody finds a key after its TTL must have ended: a rule about time, in one page.

Only keys are judged of which every write brings a TTL (`picks`). What a write that ended at e brings with a TTL of T is gone by
e + T + late, where `late` is how far the clock that ends keys may be behind ours (`skew_of`). So a look that began later than that,
for every write that may have come before it, must find nothing.

*Soundness.* Invalid is sound: no instants explain such a look. A write without an answer may take effect at any time, so that
nothing is said of looks after it. Valid says only that no look breaks this rule: how many came late enough to break it is a gate's
to ask. Holdwater's own check `expiry` judges all that keys promise. Unknown: the clock was not sane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.judging.check import Check, Kind, Terms
from harness.judging.checkers.skew import NS_PER_MS, Skew, skew_of
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, unknown, valid
from harness.record import fields
from harness.record.clock import clock_sane
from harness.record.history import Event, History, Operation, split

LOOKS = frozenset({"get", "get_versioned"})
WRITES = frozenset({"set", "check_and_set", "compare_and_swap", "increment"})


def overdue(history: History) -> Verdict:
    """Judge every key by itself; O(n²) in the operations on one."""
    if not clock_sane(history):
        return unknown("the clock was not sane: when a TTL must have ended is not known")
    late = list(_late_looks(history))
    found = [_anomaly(look, over) for look, over in late if fields.text(look, "result", "value") is not None]
    if found:
        return invalid(f"{len(found)} of {len(late)} late looks found a key; {first_of(found)}", found, looks=len(late))
    return valid(f"none of {len(late)} late looks found a key", looks=len(late))


def _late_looks(history: History) -> Iterator[tuple[Operation, int]]:
    """Give each answered look that began after all that may have been there must be gone, and by when it must be."""
    skew = skew_of(history)
    for operations in split(history.operations()).values():
        for look in (each for each in operations if each.f in LOOKS and each.status == "ok"):
            by = _gone_by(look, operations, skew)
            if by is not None and by <= look.start:
                yield look, by


def _gone_by(look: Operation, operations: Sequence[Operation], skew: Skew) -> int | None:
    """Give when everything that was written before a look ended must be gone; None where that is not known, or nothing was written."""
    ends = []
    for each in operations:
        if each.f in WRITES and each.status != "fail" and each.index < (look.end_index or 0):  # order is by event index
            if each.end is None:
                return None
            ttl_ms = fields.integer(each, "argument", "ttl_ms")
            ends.append(each.end + ttl_ms * NS_PER_MS + skew.late(ttl_ms))
    return max(ends, default=None)


def _ends_by_itself(events: Sequence[Event]) -> bool:
    """Say whether every write on a key brings a TTL: picks the keys of which the rule speaks."""
    asked = [each.value for each in events if each.type == "invoke" and each.f in WRITES]
    return bool(asked) and all(isinstance(value, Mapping) and value.get("ttl_ms") is not None for value in asked)


def _anomaly(look: Operation, by: int) -> Anomaly:
    after_ms = (look.start - by) / NS_PER_MS
    said = f"process {look.process} found {look.key} {after_ms:.1f} ms after it must have ended"
    return Anomaly("overdue", look.key, (look.index,), look.end or look.start, said)


def _looks_late(history: History, terms: Terms) -> int:
    return sum(1 for _ in _late_looks(history))


OVERDUE = Check(
    name="overdue",
    sentence="nobody finds a key after its TTL must have ended",
    kinds=(
        Kind(
            name="overdue",
            rule="What was written with a TTL is gone after it.",
            heading="{key} was found after its TTL had ended",
            one="One look found a key that must have ended",
            many="{n} looks found keys that must have ended",
            rank=76,
        ),
    ),
    judge=lambda history, terms: overdue(history),
    families=("key",),
    wanted=LOOKS,
    picks=_ends_by_itself,
    gates={"looked_late": _looks_late},
)
