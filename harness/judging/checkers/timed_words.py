"""Which class of anomalies the core of a key with time is, and what is said of it: who wrote, until when it must be there, who saw what."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from harness.judging.checkers.calls import at_s
from harness.judging.checkers.instants import Clock
from harness.judging.checkers.sentence import phrase
from harness.judging.checkers.timed_core import Core, explained, finds_missing, finds_there, perishable
from harness.judging.kind import Kind
from harness.judging.models.key import answer, changes, ttl_of
from harness.judging.verdict import Anomaly
from harness.record.history import Operation

TWO_WINNERS, EARLY, LATE, OTHER = "ttl-two-winners", "expired-early", "expired-late", "key-inconsistent"


def anomaly_of(key: str | None, core: Core) -> Anomaly:
    """Make the anomaly of a core."""
    kind, message = _said(core)
    told = core.answered
    writes = [operation for operation in told if changes(operation) and operation is not core.culprit]
    ends = [operation.end for operation in writes or told if operation.end is not None]
    assert core.culprit.end is not None
    return Anomaly(kind, key, tuple(sorted(operation.index for operation in told)), core.culprit.end, message, live=min(ends))


def _said(core: Core) -> tuple[str, str]:
    pair = _winners(core)
    if pair is not None and explained(perishable(core), replace(core.clock, early=True)):
        return TWO_WINNERS, _two_winners(core, *pair) + _excuses(core)
    if explained(core, replace(core.clock, early=True)):
        return EARLY, (_early(core) or _only_if(core, "ends before its time")) + _excuses(core)
    if explained(core, replace(core.clock, late=True)):
        return LATE, (_late(core) or _only_if(core, "outlasts its TTL")) + _excuses(core)
    return OTHER, _other(core) + _excuses(core)


def _winners(core: Core) -> tuple[Operation, Operation] | None:
    """Give the first two that won one after the other, if what the first wrote must still be there when the second won."""
    won = [each for each in core.answered if each.f == "check_and_set" and answer(each) == (True,)]
    won.sort(key=lambda each: each.end_index or 0)
    for one, other in pairwise(won):
        until = must_live(one, core.clock)
        if until is None or (other.end or 0) < until:
            return one, other
    return None


def must_live(operation: Operation, clock: Clock) -> int | None:
    """Give the time until which what an operation wrote must be there if nothing changes it, None = for ever."""
    ttl_ms = ttl_of(operation)
    return None if ttl_ms is None else operation.start + ttl_ms * clock.ms - clock.skew.early(ttl_ms)


def gone_by(operation: Operation, clock: Clock) -> int | None:
    """Give the time from which what an operation wrote must be gone, None where it never ends."""
    ttl_ms = ttl_of(operation)
    return None if ttl_ms is None or operation.end is None else operation.end + ttl_ms * clock.ms + clock.skew.late(ttl_ms)


def _two_winners(core: Core, one: Operation, other: Operation) -> str:
    until = must_live(one, core.clock)
    must = "never ends" if until is None else f"must be there until {at_s(until)}"
    return f"{phrase(one)} won, and what it wrote {must}; {phrase(other)} won again"


def _early(core: Core) -> str | None:
    found = None
    for look in core.answered:
        for write in core.answered:
            until = must_live(write, core.clock)
            if until is None or look.end is None or not finds_missing(look) or not (write.end_index or 0) < look.index or look.end >= until:
                continue
            if found is None or until > found[0]:
                found = until, write, look
    if found is None:
        return None
    return f"{phrase(found[1])} must be there until {at_s(found[0])}; {phrase(found[2])} found it missing"


def _late(core: Core) -> str | None:
    found = None
    for look in core.answered:
        for write in core.answered:
            by = gone_by(write, core.clock)
            if by is not None and finds_there(look) and by <= look.start and (found is None or by > found[0]):
                found = by, write, look
    if found is None:
        return None
    return f"{phrase(found[1])} must be gone by {at_s(found[0])}; {phrase(found[2])} found it there"


def _only_if(core: Core, what: str) -> str:
    return f"{phrase(core.culprit)} is possible only if a key {what}{_given(core)}"


def _other(core: Core) -> str:
    return f"{phrase(core.culprit)} fits no order of what was seen before{_given(core)}"


def _given(core: Core) -> str:
    before = [operation for operation in core.answered if operation.index != core.culprit.index]
    return f", given {', '.join(map(phrase, before))}" if 0 < len(before) <= 3 else ""


def _excuses(core: Core) -> str:
    count = sum(operation.status == "info" for operation in core.operations)
    if count == 1:
        return "; the one operation unanswered by then cannot explain it"
    return f"; none of the {count:,} operations unanswered by then can explain it" if count else ""


def _kind(name: str, rank: int, rule: str, words: tuple[str, str, str]) -> Kind:
    kind = Kind(name=name, rule=rule, heading=words[0], one=words[1], many=words[2], rank=rank)
    return replace(kind, of_a_key=True, each_operation=True)


KINDS = (
    _kind(
        TWO_WINNERS,
        25,
        "Of all that try to set a key, one is the first, until its TTL ends.",
        (
            "{key} was won again though it must still be there",
            "One key was won again inside its TTL",
            "{n} keys were won again inside their TTL",
        ),
    ),
    _kind(
        EARLY,
        35,
        "What was written with a TTL must be there until it ends.",
        ("{key} was gone before its TTL could end", "One key was gone before its time", "{n} keys were gone before their time"),
    ),
    _kind(
        OTHER,
        55,
        "All operations on a key must fit into one order, with its ends, that gives each its answer.",
        ("{key} fits no order", "One key fits no order", "{n} keys fit no order"),
    ),
    _kind(
        LATE,
        75,
        "What was written with a TTL must be gone after it.",
        ("{key} was still there after its TTL had ended", "One key outlived its TTL", "{n} keys outlived their TTL"),
    ),
)
