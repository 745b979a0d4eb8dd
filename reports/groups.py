"""What happened to each lock, and to what is no lock, as lanes of clients: the rows of a timeline, as data.

A lane is a client slot: after an `info` its next process goes on in the same lane. What is drawn as a
violation comes from the verdict alone and is never found here a second time: a picture that disagreed
with its verdict would be worse than none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from harness.judging.checkers.grants import Grant, grants
from harness.judging.checkers.skew import skew_of
from harness.judging.kind import kind_of
from harness.judging.verdict import Anomaly, Verdict
from harness.record.history import History, MalformedHistory, Operation, split

LOCK_FUNCTIONS = frozenset({"try_acquire", "acquire_within", "extend", "is_held"})
GROUPS, KEYS, LANES = 8, 3, 12
LANES_IN_ALL = 44
"""Above this many lanes in all, each lock shows those of its clients that ever held it; the others share a lane."""

MARKED = 12
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lane:
    """A client slot, or several that share a row. Times in ns; `info` are (invoked, gave up or None)."""

    label: str
    side: str | None
    slots: tuple[int, ...]
    ok: tuple[int, ...] = ()
    fail: tuple[int, ...] = ()
    info: tuple[tuple[int, int | None], ...] = ()
    must: tuple[Interval, ...] = ()
    may: tuple[Interval, ...] = ()
    endless: int | None = None

    @property
    def holds(self) -> bool:
        """Say whether a client of this lane held, or may have."""
        return bool(self.must or self.may) or self.endless is not None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two must-holds of different owners at once, on the lanes with these slots; `end` None for a moment."""

    slots: tuple[int, ...]
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Where another violation was seen: a slot's operation, and a word for it."""

    slot: int
    at: int
    word: str


@dataclass(frozen=True, slots=True)
class Step:
    """How many were entitled from `start` to `end`; `violated` where the verdict says that this was wrong."""

    start: int
    end: int
    count: int
    violated: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A key, or a kind of keys, with its lanes; `steps` None where being entitled means nothing."""

    name: str
    lanes: tuple[Lane, ...]
    steps: tuple[Step, ...] | None = None
    overlaps: tuple[Overlap, ...] = ()
    seen: tuple[Seen, ...] = ()
    unit: str = "entitled"

    @property
    def violated(self) -> bool:
        """Say whether the verdict has an anomaly here."""
        return bool(self.overlaps or self.seen)


@dataclass(frozen=True, slots=True)
class Board:
    """All rows. `strips` are kinds of keys with one lane each; `rest` are the locks that have no room."""

    groups: tuple[Group, ...]
    strips: tuple[Group, ...]
    rest: tuple[Group, ...]

    @property
    def overlaps(self) -> int:
        """Count the overlaps, those of locks without room included."""
        return sum(len(group.overlaps) for group in (*self.groups, *self.rest))


def board(history: History, verdict: Verdict, end: int) -> Board:
    """Arrange a history: violated keys first, by their first violation, then locks by name."""
    by_key = split(history.operations())
    anomalies: dict[str | None, list[Anomaly]] = {}
    for anomaly in verdict.all_anomalies():
        anomalies.setdefault(anomaly.key, []).append(anomaly)
    is_lock = {key: any(each.f in LOCK_FUNCTIONS for each in operations) for key, operations in by_key.items()}

    def place(key: str | None) -> tuple[object, ...]:
        first = anomalies[key][0].at if key in anomalies else None
        return (first is None, first or 0, _natural(key))

    ordered = sorted(by_key, key=place)
    locks = [key for key in ordered if is_lock[key]]
    others = {key: operations for key, operations in by_key.items() if not is_lock[key]}
    wrong = [key for key in ordered if key in others and key in anomalies][: KEYS if locks else GROUPS]
    drawn = {key: _lock(history, key, by_key[key], anomalies.get(key, []), end) for key in locks}
    drawn |= {key: _object(history, key, others[key], anomalies[key], end) for key in wrong}
    rest = locks[GROUPS:]
    groups = [drawn[key] for key in ordered if key in drawn and key not in rest]
    kinds = _kinds(history, {key: operations for key, operations in others.items() if key not in wrong}, anomalies)
    strips = [_one_lane(kind) for kind in kinds] if groups else []
    if not groups:
        groups = kinds
    crowded = sum(len(group.lanes) for group in groups) > LANES_IN_ALL
    return Board(tuple(_folded(group, crowded=crowded) for group in groups), tuple(strips), tuple(drawn[key] for key in rest))


def holds(history: History, operations: Sequence[Operation]) -> list[Grant]:
    """Give the grants of one key, by the clock that the history names; none where it tells too little of them (its verdict says so)."""
    try:
        return grants(operations, skew_of(history))
    except MalformedHistory:
        return []


def sort_of(key: str | None) -> str:
    """Give the sort of a key: "t1-cas-0" is a "cas" key, "lock-2" a "lock" key."""
    if key is None:
        return "object"
    ours = re.match(r"t\d+-([a-z]+)-", key)
    return ours[1] if ours else re.sub(r"[-_:./]?\d+$", "", key) or "numbered"


def _natural(key: str | None) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", key or "") if part)


def _lanes(history: History, operations: Iterable[Operation], held: Iterable[Grant] = (), end: int = 0) -> list[Lane]:
    """Give a lane for each slot that used the key, ordered by side, then by number."""
    by_slot: dict[int, list[Operation]] = {}
    for operation in operations:
        by_slot.setdefault(history.slot(operation.process), []).append(operation)
    grants_of: dict[int, list[Grant]] = {}
    for grant in held:
        grants_of.setdefault(history.slot(grant.process), []).append(grant)
    lanes = [_lane(history, slot, used, grants_of.get(slot, []), end) for slot, used in by_slot.items()]
    return sorted(lanes, key=lambda lane: (lane.side or "", lane.slots))


def _lane(history: History, slot: int, operations: Sequence[Operation], held: Sequence[Grant], end: int) -> Lane:
    must: list[Interval] = []
    may: list[tuple[int | None, int | None]] = []
    endless: list[int] = []
    for grant in held:
        known, least = grant.acknowledged_at, grant.must_end
        if known is not None and least is not None and least > known and known < end:
            must.append((known, min(least, end)))
        must += [(start, min(stop, end)) for start, stop in grant.again if start < end]
        if grant.may_end is None:
            endless.append(grant.invoked)
            continue
        solid = known is not None and least is not None and least > known
        may += [(grant.invoked, known), (least, grant.may_end)] if solid else [(grant.invoked, grant.may_end)]
    return Lane(
        label=f"client {slot}",
        side=history.side(slot),
        slots=(slot,),
        ok=tuple(each.end for each in operations if each.status == "ok" and each.end is not None),
        fail=tuple(each.end for each in operations if each.status == "fail" and each.end is not None),
        info=tuple((each.start, each.gave_up) for each in operations if each.status == "info"),
        must=tuple(must),
        may=tuple((a, min(b, end)) for a, b in may if a is not None and b is not None and a < min(b, end)),
        endless=min(endless, default=None),
    )


def _lock(history: History, key: str | None, operations: Sequence[Operation], anomalies: Sequence[Anomaly], end: int) -> Group:
    held = holds(history, operations)
    owners = {grant.index: history.slot(grant.process) for grant in held}
    pairs = [each for each in anomalies if each.kind == "two-holders"]
    overlaps = [Overlap(tuple(owners[n] for n in each.operations if n in owners), each.at, each.until) for each in pairs]
    lanes = _lanes(history, operations, held, end)
    steps = _steps([hold for lane in lanes for hold in lane.must], overlaps, end)
    seen = _seen(history, operations, [each for each in anomalies if each.kind != "two-holders"])
    return Group(str(key), tuple(lanes), tuple(steps), tuple(overlaps), tuple(seen))


def _object(history: History, key: str | None, operations: Sequence[Operation], anomalies: Sequence[Anomaly], end: int) -> Group:
    lanes = _lanes(history, operations)
    seen = _seen(history, operations, anomalies)
    steps = None
    if any(each.kind == "dedup-two-winners" for each in anomalies):
        won = sorted(each.end for each in operations if each.end is not None and _won(each))
        steps = tuple(Step(a, b, n, n > 1) for n, (a, b) in enumerate(zip(won, [*won[1:], end], strict=True), 1) if a < b)
    return Group(str(key) if key is not None else "object", tuple(lanes), steps, seen=tuple(seen), unit="winners")


def _won(operation: Operation) -> bool:
    return operation.f == "check_and_set" and isinstance(operation.result, dict) and operation.result.get("set") is True


def _seen(history: History, operations: Sequence[Operation], anomalies: Sequence[Anomaly]) -> list[Seen]:
    by_index = {each.index: each for each in operations}
    found: dict[Seen, None] = {}
    for anomaly in anomalies:
        involved = [by_index[n] for n in anomaly.operations if n in by_index]
        kind = kind_of(anomaly.kind)
        if kind.each_operation:
            for each in involved[:MARKED]:
                at = each.end if each.end is not None else each.start
                found[Seen(history.slot(each.process), at, _word(each, anomaly))] = None
        elif involved:
            shows = next((each for each in involved if anomaly.at in (each.start, each.end)), involved[-1])
            found[Seen(history.slot(shows.process), anomaly.at, kind.words)] = None
    return list(found)


def _word(operation: Operation, anomaly: Anomaly) -> str:
    if anomaly.kind == "not-linearizable":
        return _brief(operation)
    if operation.f == "check_and_set":
        return "won" if _won(operation) else "tried"
    value = operation.result.get("value") if isinstance(operation.result, dict) else None
    return "read nothing" if value is None else "read another value" if anomaly.kind == "dedup-wrong-value" else "read"


def _brief(operation: Operation) -> str:
    """Say an operation of a register or counter in a few letters: "read 3", "swap → 7-17"."""
    result = operation.result
    value = result.get("value") if isinstance(result, dict) else result
    known = "?" if operation.status != "ok" else "nothing" if value is None else str(value)
    if operation.f in ("read", "get", "get_versioned"):
        return f"read {known}"
    wrote = operation.argument.get("value") if isinstance(operation.argument, dict) else operation.argument
    if operation.f == "increment":
        return f"increment → {known}"
    return f"{operation.f.replace('_', ' ')} {'' if wrote is None else wrote}".strip()


def _steps(held: Iterable[Interval], overlaps: Iterable[Overlap], end: int) -> list[Step]:
    """Sweep over must-holds and the verdict's overlaps: one step between any two changes; O(n log n)."""
    changes: dict[int, list[int]] = {}
    for start, stop in held:
        changes.setdefault(start, [0, 0])[0] += 1
        changes.setdefault(stop, [0, 0])[0] -= 1
    for overlap in overlaps:
        if overlap.end is not None and overlap.start < min(overlap.end, end):
            changes.setdefault(overlap.start, [0, 0])[1] += 1
            changes.setdefault(min(overlap.end, end), [0, 0])[1] -= 1
    steps: list[Step] = []
    count = wrong = 0
    times = sorted(changes)
    for start, stop in pairwise(times):
        count, wrong = count + changes[start][0], wrong + changes[start][1]
        if count or wrong:
            steps.append(Step(start, stop, max(count, 2) if wrong else count, wrong > 0))
    return steps


def _kinds(history: History, by_key: dict[str | None, list[Operation]], anomalies: Container[str | None]) -> list[Group]:
    wrong: Counter[str] = Counter()
    kinds: dict[str, list[Operation]] = {}
    keys: Counter[str] = Counter()
    names = Counter(sort_of(key) for key in by_key)
    common = {name for name, _ in names.most_common(GROUPS - 1)} if len(names) > GROUPS else set(names)
    for key, operations in by_key.items():
        kind = sort_of(key) if sort_of(key) in common else "other"
        keys[kind] += 1
        wrong[kind] += key in anomalies
        kinds.setdefault(kind, []).extend(operations)
    return [
        Group(
            _named(kind, keys[kind], by_key) + (f" ({wrong[kind]:,} wrong)" if wrong[kind] else ""),
            tuple(_lanes(history, sorted(each, key=lambda one: one.index))),
        )
        for kind, each in sorted(kinds.items())
    ]


def _named(kind: str, keys: int, by_key: dict[str | None, list[Operation]]) -> str:
    if kind == "object":
        return "one object"
    only = [key for key in by_key if sort_of(key) == kind]
    return str(only[0]) if keys == 1 and only else f"{keys:,} {kind} keys"


def _one_lane(kind: Group) -> Group:
    return replace(kind, lanes=(_merged(kind.lanes, kind.name),))


def _folded(group: Group, *, crowded: bool) -> Group:
    """Let lanes share a row, a row a side: those without a hold above `LANES`, or where all is crowded; then any above it."""
    if len(group.lanes) <= LANES and not crowded:
        return group
    shown = {slot for overlap in group.overlaps for slot in overlap.slots} | {seen.slot for seen in group.seen}
    keep = [lane for lane in group.lanes if lane.holds or shown & set(lane.slots)]
    if group.steps is None and not keep:
        keep = list(group.lanes)
    if len(keep) > LANES:
        keep = sorted(keep, key=lambda lane: (not shown & set(lane.slots), -len(lane.must)))[: LANES - 1]
    kept, lanes = {lane.slots for lane in keep}, list[Lane]()
    for side in dict.fromkeys(lane.side for lane in group.lanes):
        own = [lane for lane in group.lanes if lane.side == side]
        others = [lane for lane in own if lane.slots not in kept]
        lanes += [lane for lane in own if lane.slots in kept]
        if len(others) > 1:
            idle = group.steps is not None and group.unit == "entitled" and not any(lane.holds for lane in others)
            word = "without hold" if idle else "more"
            lanes.append(_merged(others, f"{len(others)} {word}"))
        else:
            lanes = sorted([*lanes, *others], key=lambda lane: (lane.side or "", lane.slots))
    return replace(group, lanes=tuple(lanes))


def _merged(lanes: Sequence[Lane], label: str) -> Lane:
    return Lane(
        label=label,
        side=lanes[0].side,
        slots=tuple(slot for lane in lanes for slot in lane.slots),
        ok=tuple(sorted(at for lane in lanes for at in lane.ok)),
        fail=tuple(sorted(at for lane in lanes for at in lane.fail)),
        info=tuple(sorted((each for lane in lanes for each in lane.info), key=lambda each: each[0])),
        must=tuple(hold for lane in lanes for hold in lane.must),
        may=tuple(hold for lane in lanes for hold in lane.may),
        endless=min((lane.endless for lane in lanes if lane.endless is not None), default=None),
    )
