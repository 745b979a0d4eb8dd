"""Which class of anomalies the core of a key with time is, and what is said of it: who wrote, until when it must be there, who saw what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.judging.checkers.calls import at_s
from harness.judging.checkers.instants import Clock
from harness.judging.checkers.sentence import phrase
from harness.judging.checkers.timed_core import Core, explained, finds_missing, finds_there, only
from harness.judging.kind import Kind
from harness.judging.models.key import answer, asked, changes, ttl_of
from harness.judging.verdict import Anomaly
from harness.record.history import Operation

TWO_WINNERS, EARLY, LATE, OTHER = "ttl-two-winners", "expired-early", "expired-late", "key-inconsistent"


@dataclass(frozen=True, slots=True)
class Finding:
    """A core, its class, and what is said of it."""

    core: Core
    kind: str
    message: str


Pair = tuple[Operation, Operation]


def anomaly_of(key: str | None, core: Core) -> Anomaly:
    """Make the anomaly of a core: of two of its operations where these contradict each other alone."""
    found = _found(core)
    told, culprit = found.core.answered, found.core.culprit
    writes = [operation for operation in told if changes(operation) and operation is not culprit]
    ends = [operation.end for operation in writes or told if operation.end is not None]
    assert culprit.end is not None
    source = _source(found.core)
    said = f"; its value was written by {phrase(source)}" if source is not None and found.kind == LATE else ""
    shown = {operation.index for operation in (*told, *([source] if source is not None else []))}
    message = found.message + said + _excuses(found.core)
    return Anomaly(found.kind, key, tuple(sorted(shown)), culprit.end, message, live=min(ends))


def _source(core: Core) -> Operation | None:
    """Give the operation that wrote the value of the last answer, where the core does without its own answer."""
    seen = core.culprit.result.get("value") if isinstance(core.culprit.result, Mapping) else None
    told = {operation.index for operation in core.answered}
    before = [each for each in core.cut if each.status == "ok" and changes(each) and each.index not in told]
    return next((each for each in before if seen is not None and asked(each).value == seen), None)


def _found(core: Core) -> Finding:
    for one, other in _winners(core):
        if (alone := only(core, one, other)) is not None:
            return Finding(alone, TWO_WINNERS, _two_winners(core, one, other))
    if explained(core, replace(core.clock, early=True)):
        return _of_pair(core, EARLY, _early(core)) or Finding(core, EARLY, _only_if(core, "ends before its time"))
    if explained(core, replace(core.clock, late=True)):
        return _of_pair(core, LATE, _late(core)) or Finding(core, LATE, _only_if(core, "outlasts its TTL"))
    return Finding(core, OTHER, f"{phrase(core.culprit)} fits no order of what was seen before{_given(core)}")


def _of_pair(core: Core, kind: str, pair: Pair | None) -> Finding | None:
    alone = None if pair is None else only(core, *pair)
    if pair is None or alone is None:
        return None
    write, look = pair
    at = must_live(write, core.clock) if kind == EARLY else gone_by(write, core.clock)
    must, saw = ("must be there until", "found it missing") if kind == EARLY else ("must be gone by", "found it there")
    return Finding(alone, kind, f"{phrase(write)} {must} {at_s(at or 0)}; {phrase(look)} {saw}")


def _winners(core: Core) -> Iterator[Pair]:
    """Give each two that won one after the other, if what the first wrote must still be there when the second won."""
    won = [each for each in core.answered if each.f == "check_and_set" and answer(each) == (True,)]
    won.sort(key=lambda each: each.end_index or 0)
    for one, other in pairwise(won):
        until = must_live(one, core.clock)
        if until is None or (other.end or 0) < until:
            yield one, other


def must_live(operation: Operation, clock: Clock) -> int | None:
    """Give the time until which what an operation wrote must be there if nothing changes it, None = for ever."""
    ttl_ms = ttl_of(operation)
    return None if ttl_ms is None else operation.start + ttl_ms * clock.ms - clock.skew.before(ttl_ms)


def gone_by(operation: Operation, clock: Clock) -> int | None:
    """Give the time from which what an operation wrote must be gone, None where it never ends."""
    ttl_ms = ttl_of(operation)
    return None if ttl_ms is None or operation.end is None else operation.end + ttl_ms * clock.ms + clock.skew.late(ttl_ms)


def _two_winners(core: Core, one: Operation, other: Operation) -> str:
    until = must_live(one, core.clock)
    must = "never ends" if until is None else f"must be there until {at_s(until)}"
    return f"{phrase(one)} won, and what it wrote {must}; {phrase(other)} won again"


def _early(core: Core) -> Pair | None:
    """Give who wrote what must be there longest after somebody found it missing, and who that was."""
    pairs = [
        (until, write, look)
        for look in core.answered
        if finds_missing(look)
        for write in core.answered
        if (until := must_live(write, core.clock)) is not None and (write.end_index or 0) < look.index and (look.end or 0) < until
    ]
    return max(pairs, key=lambda each: each[0])[1:] if pairs else None


def _late(core: Core) -> Pair | None:
    """Give who wrote last what must be gone when somebody found it there, and who that was."""
    pairs = [
        (by, write, look)
        for look in core.answered
        if finds_there(look)
        for write in core.answered
        if (by := gone_by(write, core.clock)) is not None and by <= look.start
    ]
    return max(pairs, key=lambda each: each[0])[1:] if pairs else None


def _only_if(core: Core, what: str) -> str:
    return f"{phrase(core.culprit)} is possible only if a key {what}{_given(core)}"


def _given(core: Core) -> str:
    before = [operation for operation in core.answered if operation.index != core.culprit.index]
    return f", given {', '.join(map(phrase, before))}" if 0 < len(before) <= 3 else ""


def _excuses(core: Core) -> str:
    count = core.open
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
