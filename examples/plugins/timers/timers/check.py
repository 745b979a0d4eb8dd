"""Every timer that is set and due is listed, until it is taken away; none is listed before, and none again.

The index of timeouts is a set, and a list of it may be made of several requests: what was in it during the whole call must be
there, what was not in it during the whole call must not. So each timer is judged by itself, against each list:

- *timer-lost*: it was acknowledged, or listed, before this list was asked for; it is due by `now`, nobody has asked to take it
  away by the end of the list, and it is missing.
- *timer-back*: so it was known, and then taken away and that acknowledged, before the list was asked for, and it is listed.
- *timer-early*: it is listed, and due later than `now`.

A class has at most one anomaly a timer, of the first such list.

The keys are those of the family `index`, which Holdwater's own check of that name judges too: by all that an index promises, member
by member. What is timers' own is the words, and the gate: how many were held across a fault.

*Soundness.* Invalid is sound: such a list has no place in any order. Valid says only that no list breaks these rules. A timer
that was neither answered nor listed may be there or not, at any time. One that was set twice is not judged, and the verdict
then unknown; so it is where no timer was set or nothing listed. Order is by event index, never by nanoseconds.

Source: the set-full workload of Jepsen (Kingsbury), which judges each element in the same way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.judging.check import Check, Kind, Terms
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, kinds_of, unknown, valid
from harness.record.fields import integer, malformed, text
from harness.record.history import History, Operation
from timers.workload import LIST, SET, TAKE


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list answered; `asked` and `answered` are event indices."""

    operation: Operation
    now_ms: int
    names: frozenset[str]
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that was set once: by which operation, when it is due, and which one first asked to take it away.

    `known` is the event by which it was certainly there: its acknowledgement, or a list that had it; None if neither.
    """

    name: str
    set: Operation
    due_ms: int
    taken: Operation | None
    known: int | None

    def stands(self, listed: Listed) -> bool:
        """Say whether it was there, and due, during the whole call."""
        there = self.known is not None and self.known < listed.asked and self.due_ms <= listed.now_ms
        return there and (self.taken is None or listed.answered < self.taken.index)

    def gone(self, listed: Listed) -> bool:
        """Say whether it was there and was taken away, for certain, before the call."""
        if self.taken is None or self.taken.end_index is None or self.known is None:
            return False
        return self.known < self.taken.index and self.taken.end_index < listed.asked


def punctual(history: History) -> Verdict:
    """Judge every timer of a history of the index; O(n log n) in operations and listed names."""
    operations = history.operations()
    timers, lists = timers_of(operations), lists_of(operations)
    numbers = {"timers": len(timers), "lists": len(lists)}
    found = [*_lost(timers.values(), lists), *_wrong(timers, lists)]
    if found:
        return invalid(f"{kinds_of(found)}, of {len(timers)} timers in {len(lists)} lists; {first_of(found)}", found, **numbers)
    if twice := len(_sets(operations)) - len(timers):
        return unknown(f"{twice} timers were set twice and are not judged", **numbers)
    if not lists or all(timer.known is None for timer in timers.values()):
        return unknown(f"saw nothing: {len(timers)} timers, {len(lists)} lists", **numbers)
    return valid(f"every timer listed while it was due, of {len(timers)} in {len(lists)} lists", **numbers)


def timers_of(operations: Sequence[Operation]) -> dict[str, Timer]:
    """Give the timers that were set once, by name. What failed had no effect."""
    taken: dict[str, Operation] = {}
    for operation in operations:
        if operation.f == TAKE and operation.status != "fail":
            taken.setdefault(_name(operation), operation)
    seen: dict[str, int] = {}
    for listed in sorted(lists_of(operations), key=lambda listed: listed.answered):
        for name in listed.names:
            seen.setdefault(name, listed.answered)
    return {name: _timer(name, of[0], taken.get(name), seen.get(name)) for name, of in _sets(operations).items() if len(of) == 1}


def _timer(name: str, by: Operation, taken: Operation | None, seen: int | None) -> Timer:
    known = [index for index in (by.end_index, seen) if index is not None]
    return Timer(name, by, integer(by, "argument", "time_ms"), taken, min(known, default=None))


def _sets(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    sets: dict[str, list[Operation]] = {}
    for operation in operations:
        if operation.f == SET and operation.status != "fail":
            sets.setdefault(_name(operation), []).append(operation)
    return sets


def _name(operation: Operation) -> str:
    name = text(operation, "argument", "key")
    if name is None:
        raise malformed(operation, "argument key is null, expected the name of a timer")
    return name


def lists_of(operations: Iterable[Operation]) -> list[Listed]:
    """Give the lists that were answered, in order of invocation."""
    return [
        Listed(each, integer(each, "argument", "now_ms"), frozenset(_names(each)), each.index, each.end_index)
        for each in operations
        if each.f == LIST and each.status == "ok" and each.end_index is not None
    ]


def _names(operation: Operation) -> list[str]:
    names = operation.result.get("keys") if isinstance(operation.result, Mapping) else None
    if not isinstance(names, list):
        raise malformed(operation, f"its result is {operation.result!r}, expected a field keys, a list", "result")
    return names


def _lost(timers: Iterable[Timer], lists: Sequence[Listed]) -> Iterator[Anomaly]:
    asked = [listed.asked for listed in lists]
    for timer in timers:
        if timer.known is None:
            continue
        for listed in lists[bisect_right(asked, timer.known) :]:
            if timer.taken is not None and listed.asked > timer.taken.index:
                break
            if timer.stands(listed) and timer.name not in listed.names:
                yield _anomaly("timer-lost", timer, listed, "is missing")
                break


def _wrong(timers: Mapping[str, Timer], lists: Sequence[Listed]) -> Iterator[Anomaly]:
    """Give what is listed and must not be. Timers of other trials are in the index too: only those that were set here are judged."""
    early, back = set[str](), set[str]()
    for listed in lists:
        for timer in (timers[name] for name in sorted(listed.names & timers.keys())):
            if timer.due_ms > listed.now_ms and timer.name not in early:
                early.add(timer.name)
                yield _anomaly("timer-early", timer, listed, "is listed too early")
            if timer.gone(listed) and timer.name not in back:
                back.add(timer.name)
                yield _anomaly("timer-back", timer, listed, "is listed after it was taken away")


def _anomaly(kind: str, timer: Timer, listed: Listed, what: str) -> Anomaly:
    by = listed.operation
    said = f"timer {timer.name}, due at {timer.due_ms}, {what} in what process {by.process} listed up to {listed.now_ms}"
    taken = [timer.taken.index] if kind == "timer-back" and timer.taken is not None else []
    return Anomaly(kind, by.key, (timer.set.index, *taken, by.index), by.end or by.start, said, live=timer.set.end)


def _held_across(history: History, terms: Terms) -> int:
    """Count the timers that were acknowledged before the faults began and that nobody had asked to take away until all were healed."""
    moments = [(fault.begin.index, fault.healed.index) for fault in history.faults if fault.begin and fault.healed]
    if not moments:
        return 0
    begin, healed = min(begin for begin, _ in moments), max(healed for _, healed in moments)
    timers = timers_of(history.operations()).values()
    before = [timer for timer in timers if timer.set.end_index is not None and timer.set.end_index < begin]
    return sum(timer.taken is None or timer.taken.index > healed for timer in before)


PUNCTUAL = Check(
    name="punctual",
    sentence="every timer that is set and due is listed until it is taken away; none before, none again",
    kinds=(
        Kind(
            name="timer-lost",
            rule="A timer that is set and due is listed until somebody takes it away.",
            heading="{key}: a timer that was set is missing",
            one="A timer that was acknowledged is gone",
            many="{n} timers that were acknowledged are gone",
            rank=35,
        ),
        Kind(
            name="timer-back",
            rule="A timer that was taken away is not listed any more.",
            heading="{key}: a timer that was taken away is listed again",
            one="A timer that was taken away came back",
            many="{n} timers that were taken away came back",
            rank=65,
        ),
        Kind(
            name="timer-early",
            rule="A timer is not listed before it is due.",
            heading="{key}: a timer is listed before it is due",
            one="A timer was listed before it was due",
            many="{n} timers were listed before they were due",
            rank=95,
        ),
    ),
    judge=lambda history, terms: punctual(history),
    families=("index",),
    gates={"timers_held_across": _held_across},
)
