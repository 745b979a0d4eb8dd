"""Leases: at most one holder at a time, nobody's lease lost, prolonged, refused or used without reason.

The server under test: `try_acquire` is granted at an instant when nobody's lease is live and lasts for
its TTL; `extend` by the live owner sets the end anew, *also to an earlier one*; whoever is not the live
owner is refused. From what the clients saw follow two bounds for each grant:

        invoked     acknowledged                     must_end         may_end
           |- - - - - - - |==============================|- - - - - - - - |
           may-hold         must-hold: the lease is live                    over for certain

Each rule (SPEC 6) contradicts one execution order with one of these bounds, in O(n log n) in the
operations of a key; listing pairs of holders costs one step a pair up to `PAIRS_LISTED`.

*Soundness.* Invalid is sound: no execution of the server gives this history, if its clock keeps within
the skew, owner tokens are unique, and, with client clocks, a guard is used by clients of one clock.
Valid is not complete: orders that need three or more operations placed jointly are missed (the exact
problem is NP-hard), hence "no violation by the lease rules". A wider interval never makes a valid
history invalid. Neither does an answer withheld, save one: withholding what proves a grant moves it to
the rules for unanswered grants, which see more. Even so a possible history is never condemned.
Unknown: nothing was granted, the clock was not sane, or an owner token served two attempts.

*Where this goes beyond the formulas of SPEC 6*, each for a reason:
1. A lease may also end early by the skew: clocks of whole milliseconds cut up to 1 ms off, and the clock
   gate itself lets the server's clock gain 1 ms + 500 ppm on ours.
2. Operations may overlap inside one guard, a token may be used before its grant is answered, and an
   unanswered grant may be used: workloads release and extend with tokens they are unsure of. An answer
   that could come only from the owner proves such a grant; its may-hold then ends.
3. A refused operation of the owner cuts must-hold only where it came early: a later one says nothing new.
4. An acknowledged extend took effect while the lease was live, so it counts from the earlier of its
   completion and the end before it. Without this, withholding its answer could *lower* may-hold.
5. With client clocks the owner's own clock ends its lease up to twice the bound before others see it end.
6. Disjoint must-holds fix the order of their grants, so a third grant may find no room between two. This
   halves what is missed where calls last up to twice the TTL (21 to 10 % of impossible histories).

Rejected: the overlap of must-holds alone (finds 23 % of missing owner checks, and no call longer than its
TTL); "an unanswered extend can only lengthen" (condemned correct servers); difference constraints (only
worth it if a mutant escapes).

Sources: Gray and Cheriton, Leases, SOSP 1989, sections 2 and 5 (the holder's and the server's view of a
term, clocks); Garey and Johnson, Computers and Intractability, 1979, SS1 (sequencing within intervals:
why the exact problem is hard). The proofs are in the comments.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate, islice, pairwise
from types import NoneType
from typing import Any

from harness.history import History, MalformedHistory, Operation
from harness.verdict import Anomaly, Verdict, invalid, unknown, valid

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
ACQUISITIONS = frozenset({"try_acquire", "acquire_within"})
FUNCTIONS = ACQUISITIONS | {"extend", "release", "is_held"}
"""The vocabulary of f that this checker reads; every other operation is another checker's."""

PAIRS_LISTED = 1_000
"""Pairs of holders listed on one key; from there on each further grant is listed once, against the one that ends last."""

CLOCK_DRIFT_PPM = 500
CLOCK_STEP_NS = NS_PER_MS


@dataclass(frozen=True, slots=True)
class Skew:
    """How far the clock that ends leases may be from ours, in nanoseconds and parts per million.

    `bound_ns` is b, the largest difference between two clients' clocks where those end leases; who
    waits for another's lease waits up to 2 b longer.
    """

    fixed_ns: int = 2 * NS_PER_MS
    drift_ppm: int = 500
    bound_ns: int = 0

    def early(self, span_ms: int) -> int:
        """Give the nanoseconds by which a lease of this length may end before its time."""
        return self.fixed_ns + span_ms * self.drift_ppm  # ms * ppm = ns

    def late(self, span_ms: int) -> int:
        """Give the nanoseconds by which others may see a lease of this length end after its time."""
        return self.fixed_ns + span_ms * self.drift_ppm + 2 * self.bound_ns

    def seen_over(self) -> int:
        """Give the nanoseconds for which others may still see a lease that its owner saw expired."""
        return self.fixed_ns + 2 * self.bound_ns if self.bound_ns else 0


SERVER = Skew()
"""One server's clock ends the leases: 2 ms + 500 ppm."""


def client_clocks(bound_ms: int) -> Skew:
    """Give the skew of a backend whose clients' clocks end the leases, at most `bound_ms` apart."""
    return Skew(bound_ns=bound_ms * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class Grant:
    """One acquisition that was answered granted, or was not answered. Times in nanoseconds.

    Must-hold is [acknowledged_at, must_end), where that is not empty; may-hold is [invoked, may_end).
    `acknowledged_at` and `must_end` are None for an unanswered acquisition. `may_end` is None where no
    end is known: an unanswered acquisition may take effect at any time, unless a later answer proves it.
    `index` is that of its invocation; `operations` are the indices of the invocations of all its
    operations, itself first.
    """

    key: str | None
    owner: str
    process: int
    index: int
    ttl_ms: int
    acknowledged: bool
    invoked: int
    acknowledged_at: int | None
    must_end: int | None
    may_end: int | None
    token: int | None
    node: str | None
    operations: tuple[int, ...]


def grants(operations: Iterable[Operation], skew: Skew = SERVER) -> list[Grant]:
    """Give all grants of any keys, in order of invocation; O(n log n).

    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    found = [_grant(lease) for name in _names(operations, skew) for lease in name.leases]
    return sorted(found, key=lambda grant: grant.index)


def lease(history: History, skew: Skew = SERVER) -> Verdict:
    """Judge every lock of a history by the lease rules; see the module for what valid and invalid mean.

    Anomalies are two-holders, lost-early, alive-too-late, spurious-refusal, stuck and stranger.
    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    names = _names(history.operations(), skew)
    anomalies = sorted((anomaly for name in names for anomaly in _judge(name, skew)), key=lambda anomaly: (anomaly.at, anomaly.operations))
    numbers = _numbers(names)
    clock = unsteady_clock(history)
    if clock is not None:
        return unknown(f"the clock was not sane: {clock}; {len(anomalies)} anomalies by it do not count", **numbers)
    if anomalies:
        return invalid(_count_kinds(anomalies), anomalies, **numbers)
    twice = [owner for name in names for owner in name.twice]
    if twice:
        return unknown(f"owner token {twice[0]} served two attempts: grants cannot be told apart", **numbers)
    if not any(one.known is not None for name in names for one in name.leases):
        return unknown("no acknowledged grant was seen", **numbers)
    return valid(_summary(numbers), **numbers)


def unsteady_clock(history: History) -> str | None:
    """Say where the wall clock moved against the monotonic one by more than 500 ppm + 1 ms between two samples; None if nowhere."""
    samples = [event.value for event in history.nemesis() if event.f == "clock"]
    for before, after in pairwise(samples):
        elapsed = after["monotonic"] - before["monotonic"]
        moved = (after["wall"] - before["wall"]) - elapsed
        if abs(moved) > elapsed * CLOCK_DRIFT_PPM // 1_000_000 + CLOCK_STEP_NS:
            return f"wall time moved by {moved / NS_PER_MS:.1f} ms between {_at(before['monotonic'])} and {_at(after['monotonic'])}"
    return None


# What was asked and answered


@dataclass(frozen=True, slots=True)
class _Call:
    """An operation on a lock; `answer` is None and `end` too where it may yet take effect."""

    index: int
    process: int
    f: str
    key: str | None
    owner: str
    start: int
    end: int | None
    answer: bool | None
    span_ms: int
    token: int | None
    node: str | None

    @property
    def ended(self) -> int:
        """The completion of an answered call."""
        assert self.end is not None
        return self.end


@dataclass(frozen=True, slots=True)
class _Lost:
    """A refusal of the owner that ended before `due`, the earliest end as far as it could see, and what `due` follows from."""

    refusal: _Call
    due: int
    basis: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Lease:
    """A grant with its bounds.

    `known` is the first instant at which the grant is certain to have been made, None if never;
    `least` and `most` bound its end (SPEC 6: Emin, Emax), None where `known` is. `basis` are the
    operations from which `least` follows.
    """

    call: _Call
    uses: tuple[_Call, ...]
    known: int | None
    least: int | None
    most: int | None
    basis: tuple[int, ...]
    lost: _Lost | None

    @property
    def who(self) -> str:
        return _who(self.call)


@dataclass(frozen=True, slots=True)
class _Certain:
    """A lease that was certainly granted: its bounds are known."""

    lease: _Lease
    known: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class _Name:
    """All that concerns one lock name. `strays` are uses of tokens that were not granted, or not yet."""

    key: str | None
    leases: tuple[_Lease, ...]
    refusals: tuple[_Call, ...]
    strays: tuple[_Call, ...]
    twice: tuple[str, ...]
    calls: int

    def certain(self) -> list[_Certain]:
        found = []
        for one in self.leases:
            if one.known is not None and one.least is not None and one.most is not None:
                found.append(_Certain(one, one.known, one.least, one.most))
        return found

    def uncertain(self) -> list[_Lease]:
        return [one for one in self.leases if one.known is None]


def _names(operations: Iterable[Operation], skew: Skew) -> list[_Name]:
    calls: dict[str | None, list[_Call]] = {}
    for operation in operations:
        if operation.f not in FUNCTIONS or operation.status == "fail":
            continue
        call = _call(operation)
        if call.answer is None and call.f == "is_held":
            continue  # an unanswered look constrains nothing
        calls.setdefault(operation.key, []).append(call)
    return [_name(key, found, skew) for key, found in calls.items()]


_ANSWERS = {"try_acquire": "granted", "acquire_within": "granted", "extend": "held", "release": "released", "is_held": "held"}
_SPANS = {"try_acquire": "ttl_ms", "acquire_within": "ttl_ms", "extend": "duration_ms"}


def _call(operation: Operation) -> _Call:
    span = _SPANS.get(operation.f)
    answered = operation.status == "ok"
    token = operation.result.get("fencing_token") if answered and isinstance(operation.result, dict) else None
    if type(token) not in (int, NoneType):
        raise MalformedHistory(f"{operation.f} invoked at index {operation.index} has fencing_token {token!r}, expected an integer or null")
    return _Call(
        index=operation.index,
        process=operation.process,
        f=operation.f,
        key=operation.key,
        owner=_field(operation, "argument", "owner", str),
        start=operation.start,
        end=operation.end,
        answer=_field(operation, "result", _ANSWERS[operation.f], bool) if answered else None,
        span_ms=_field(operation, "argument", span, int) if span else 0,
        token=token,
        node=operation.node,
    )


def _field(operation: Operation, place: str, name: str, kind: type[Any]) -> Any:
    record = getattr(operation, place)
    value: Any = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 1)):
        raise MalformedHistory(
            f"{operation.f} invoked at index {operation.index} has {place} {record!r}, expected {name} of type {kind.__name__}"
        )
    return value


def _name(key: str | None, calls: list[_Call], skew: Skew) -> _Name:
    attempts: dict[str, _Call] = {}
    uses: dict[str, list[_Call]] = {}
    twice: list[str] = []
    for call in calls:
        if call.f not in ACQUISITIONS:
            uses.setdefault(call.owner, []).append(call)
        elif call.owner in attempts:
            twice.append(call.owner)
        else:
            attempts[call.owner] = call
    if twice:  # nothing can be attributed: judge nothing
        return _Name(key, (), (), (), tuple(twice), len(calls))
    leases, strays = [], []
    for owner, attempt in attempts.items():
        own = uses.pop(owner, [])
        if attempt.answer is False:
            strays += own
            continue
        strays += [use for use in own if use.end is not None and use.end < attempt.start]
        leases.append(_lease(attempt, tuple(use for use in own if use.end is None or use.end >= attempt.start), skew))
    strays += [use for own in uses.values() for use in own]
    refusals = tuple(call for call in attempts.values() if call.answer is False)
    return _Name(key, tuple(leases), refusals, tuple(strays), (), len(calls))


# The bounds of one grant


def _lease(call: _Call, uses: tuple[_Call, ...], skew: Skew) -> _Lease:
    proofs = [use for use in uses if use.answer]
    # What succeeded was done by the owner, so the grant was made by then, answered or not.
    ends = [one.ended for one in proofs] + ([call.ended] if call.answer else [])
    if not ends:
        return _Lease(call, uses, None, None, None, (), None)
    known = min(ends)
    lost = _lost(call, uses, known, skew)
    least, basis = _least(call, uses, lost, skew)
    return _Lease(call, uses, known, least, _most(call, uses, known, skew), basis, lost)


def _extends(uses: Iterable[_Call], answer: bool | None) -> list[_Call]:
    return [use for use in uses if use.f == "extend" and use.answer is answer]


def _releases(uses: Iterable[_Call]) -> list[_Call]:
    """Give the releases that took effect, or may have."""
    return [use for use in uses if use.f == "release" and use.answer is not False]


def _refused(uses: Iterable[_Call], known: int) -> list[_Call]:
    """Give the refusals that looked after the grant had been made: an earlier one may have seen the time before it."""
    return [use for use in uses if use.answer is False and use.start > known]


def _shortest(call: _Call, skew: Skew) -> int:
    return call.span_ms * NS_PER_MS - skew.early(call.span_ms)


def _longest(call: _Call, skew: Skew) -> int:
    return call.span_ms * NS_PER_MS + skew.late(call.span_ms)


def _setters(call: _Call, extends: list[_Call]) -> tuple[int, list[_Call]]:
    """Give the earliest instant of the last acknowledged operation that set the end, and which it may have been.

    The last one was done no earlier than any of them began, so one that had ended by then was not it.
    """
    last = max([call.start] + [extend.start for extend in extends])
    return last, [extend for extend in extends if extend.ended >= last] or [call]


def _basis(call: _Call, extends: list[_Call]) -> tuple[int, ...]:
    return tuple(setter.index for setter in _setters(call, extends)[1] if setter is not call)


def _expiry(call: _Call, extends: list[_Call], unanswered: list[_Call], skew: Skew) -> int:
    """Give the earliest expiry if all of `extends` were done and any of `unanswered`; these can only lower it."""
    last, setters = _setters(call, extends)
    ends = [last + _shortest(setter, skew) for setter in setters]
    ends += [max(last, extend.start) + _shortest(extend, skew) for extend in unanswered]
    return min(ends)


def _lost(call: _Call, uses: tuple[_Call, ...], known: int, skew: Skew) -> _Lost | None:
    """Give the refusal that ended before the lease could have, if there is one.

    It looked at x <= its end. The owner's successes came before x, as a token never comes back, so
    those begun by then set the end. Only the refusal that ends first can be too early: the bound falls
    with every operation begun later.
    """
    refused = _refused(uses, known)
    if not refused:
        return None
    first = min(refused, key=lambda use: use.ended)
    before = [use for use in uses if use.start <= first.ended]
    extends = _extends(before, True)
    due = min([_expiry(call, extends, _extends(before, None), skew)] + [release.start for release in _releases(before)])
    return _Lost(first, due, _basis(call, extends)) if first.ended < due else None


def _least(call: _Call, uses: tuple[_Call, ...], lost: _Lost | None, skew: Skew) -> tuple[int, tuple[int, ...]]:
    """Give the earliest possible end of the lease, and the operations that say so."""
    extends = _extends(uses, True)
    least = _expiry(call, extends, _extends(uses, None), skew)
    least = min([least] + [release.start for release in _releases(uses)])
    if lost is not None:
        least = min(least, lost.refusal.start)  # its owner knows from here on: reported as lost, not as held twice
    proof = max((use for use in uses if use.answer), key=lambda use: use.start, default=None)
    if proof is not None and proof.start > least:
        return proof.start, (proof.index,)
    return least, _basis(call, extends)


class _Latest:
    """The latest possible end after the acknowledged extends so far, pushed in order of completion."""

    def __init__(self, call: _Call, known: int, skew: Skew) -> None:
        self.end = known + _longest(call, skew)
        self._skew = skew
        self._last = call.start
        self._setters: list[_Call] = []

    def push(self, extend: _Call) -> None:
        self._last = max(self._last, extend.start)
        self._setters = [setter for setter in self._setters if setter.ended >= self._last] + [extend]
        if len(self._setters) == 1:  # all others were before it: it was done while the lease was live
            self.end = min(extend.ended, self.end) + _longest(extend, self._skew)
        else:
            self.end = max(setter.ended + _longest(setter, self._skew) for setter in self._setters)


def _lengthened(end: int, extends: Iterable[_Call], skew: Skew) -> int:
    """Add extends that may have been done at any time, each once, if the lease can have lived to see it begin."""
    for extend in sorted(extends, key=lambda one: one.start):
        if extend.start >= end:
            break
        end += _longest(extend, skew)
    return end


def _most(call: _Call, uses: tuple[_Call, ...], known: int, skew: Skew) -> int:
    """Give the latest possible end of the lease."""
    latest = _Latest(call, known, skew)
    for extend in sorted(_extends(uses, True), key=lambda use: use.ended):
        latest.push(extend)
    ends = [_lengthened(latest.end, _extends(uses, None), skew)]
    # At the very instant of an ending both orders are possible: the end is closed, hence + 1.
    ends += [use.ended + 1 for use in uses if use.f == "release" and use.answer]
    ends += [use.ended + 1 + skew.seen_over() for use in _refused(uses, known)]
    return min(ends)


# The rules


def _judge(name: _Name, skew: Skew) -> Iterator[Anomaly]:
    certain = name.certain()
    for stray in name.strays:
        if stray.answer:
            yield _stranger(name.key, stray)
    for one in certain:
        yield from _lost_early(name.key, one)
        yield from _alive_too_late(name.key, one, skew)
    pairs = list(_two_holders(certain))
    for first, second in pairs:
        yield _both(name.key, first, second)
    spans: list[_Span] = []
    if not pairs:  # else must-holds overlap and say nothing about who else can have held
        spans, crowded = _in_order(certain, skew)
        crowded += _squeezed(certain, spans, skew)
        for crowd in crowded:
            yield _no_room(name.key, crowd)
        spans = [] if crowded else spans
    yield from _refusals(name, certain, spans, skew)


def _stranger(key: str | None, use: _Call) -> Anomaly:
    message = f"{use.f} on {key} with the token of {_who(use)}, which had not been granted, took effect between {_between(use)}"
    return Anomaly("stranger", key, (use.index,), use.start, message, use.end)


def _lost_early(key: str | None, one: _Certain) -> Iterator[Anomaly]:
    """The lease was refused its owner wholly before it can have ended."""
    lost = one.lease.lost
    if lost is None:
        return
    refusal = lost.refusal
    message = (
        f"{one.lease.who} was granted {key} by {_at(one.known)} and should have held it until {_at(lost.due)} at least, "
        f"but its {refusal.f} was refused between {_between(refusal)}"
    )
    operations = _indices(one.lease.call.index, *lost.basis, refusal.index)
    yield Anomaly("lost-early", key, operations, refusal.ended, message, lost.due, one.known)


def _alive_too_late(key: str | None, one: _Certain, skew: Skew) -> Iterator[Anomaly]:
    """The owner succeeded after its lease was over; the first such operation is reported, with the number of all."""
    late = list(_late(one, skew))
    if not late:
        return
    use, why, operations = late[0]
    more = f", and {len(late) - 1} more after it" if len(late) > 1 else ""
    message = f"{use.f} of {one.lease.who} on {key} took effect between {_between(use)}, although {why}{more}"
    indices = _indices(one.lease.call.index, *operations, use.index)
    yield Anomaly("alive-too-late", key, indices, use.start, message, late[-1][0].end, one.known)


def _late(one: _Certain, skew: Skew) -> Iterator[tuple[_Call, str, tuple[int, ...]]]:
    call, uses = one.lease.call, one.lease.uses
    extends = sorted(_extends(uses, True), key=lambda use: use.ended)
    overs = [(use.ended + (0 if use.f == "release" and use.answer else skew.seen_over()), use) for use in _endings(uses, one.known)]
    overs = sorted(overs, key=lambda over: over[0])[:2]
    released = next((use for use in uses if use.f == "release" and use.answer), None)
    latest, done = _Latest(call, one.known, skew), 0
    for use in sorted((use for use in uses if use.answer), key=lambda use: use.start):
        while done < len(extends) and extends[done].ended < use.start:
            latest.push(extends[done])
            done += 1
        over = next((ending for at, ending in overs if ending is not use and at < use.start), None)
        if over is not None:
            how = "released" if over.answer else f"seen lost (by {over.f})"
            yield use, f"it had been {how} by {_at(over.ended)}", (over.index,)
        elif released is not None and use.f == "release" and use is not released:
            yield use, f"it was also released between {_between(released)}", (released.index,)
        elif use.start >= latest.end and use.start >= (end := _end_before(use, latest.end, uses, skew)):
            yield use, f"its lease ended by {_at(end)}", tuple(extend.index for extend in extends[max(0, done - 1) : done])


def _endings(uses: Iterable[_Call], known: int) -> list[_Call]:
    return [use for use in uses if use.f == "release" and use.answer] + _refused(uses, known)


def _end_before(use: _Call, end: int, uses: Iterable[_Call], skew: Skew) -> int:
    """Give the latest end before this use: extends that overlap it, or were not answered, may have been done before it."""
    others = [other for other in uses if other.f == "extend" and other.answer is not False and other is not use]
    return _lengthened(end, [other for other in others if other.end is None or other.end >= use.start], skew)


def _two_holders(certain: list[_Certain]) -> Iterator[tuple[_Certain, _Certain]]:
    """Give the pairs of grants that fit in neither order.

    If A was first, its end <= B's grant <= B.known; if B was, its end <= A's grant <= A.known. Not an
    overlap of must-holds: that of a call longer than its TTL is empty, and yet it conflicts with a
    must-hold that strictly contains [least, known]. In either case the earlier known one ends after the
    later known one was granted, so that it is still active then.
    """
    active: list[tuple[int, int, _Certain]] = []  # heap by end of must-hold
    longest: _Certain | None = None
    listed = 0
    for one in sorted(certain, key=lambda one: (one.known, one.lease.call.index)):
        while active and active[0][0] <= one.known:
            heappop(active)
        others = [other for _, _, other in active] if listed < PAIRS_LISTED else [longest] if longest is not None else []
        for other in sorted(others, key=lambda other: other.lease.call.index):
            if other.least > one.known and one.least > other.known:
                listed += 1
                yield other, one
        heappush(active, (one.least, one.lease.call.index, one))
        if longest is None or one.least > longest.least:
            longest = one


def _both(key: str | None, first: _Certain, second: _Certain) -> Anomaly:
    first, second = sorted((first, second), key=lambda one: one.known)
    at, until = max(first.known, second.known), min(first.least, second.least)
    message = (
        f"{first.lease.who} held {key} from {_at(first.known)} until at least {_at(first.least)}, "
        f"and {second.lease.who} held it from {_at(second.known)} until at least {_at(second.least)}"
    )
    if until <= at:
        message = (
            f"{first.lease.who} and {second.lease.who} were both granted {key}, but neither can have ended before the other began: "
            f"granted by {_at(first.known)} and {_at(second.known)}, ended from {_at(first.least)} and {_at(second.least)} on"
        )
    operations = _indices(first.lease.call.index, *first.lease.basis, second.lease.call.index, *second.lease.basis)
    return Anomaly("two-holders", key, operations, at, message, until if until > at else None, first.known)


@dataclass(frozen=True, slots=True)
class _Span:
    """A time in which one lease was certainly live."""

    begin: int
    end: int
    one: _Certain


def _in_order(certain: list[_Certain], skew: Skew) -> tuple[list[_Span], list[list[_Certain]]]:
    """Give the must-holds, each as long as its predecessors force it to be, and the grants that leave no room for one.

    Disjoint must-holds fix the order of their grants. So each was granted only after the one before
    ended, and then lasts at least its shortest length from there.
    """
    spans: list[_Span] = []
    conflicts: list[list[_Certain]] = []
    ordered = sorted((one for one in certain if one.known < one.least), key=lambda one: one.known)
    over, first = -1, 0  # the earliest end of the one before, and the first of the grants from which it follows
    for place, one in enumerate(ordered):
        granted = max(one.lease.call.start, over)
        if granted > one.known:
            conflicts.append(ordered[first : place + 1])
        if granted > one.known or over <= one.lease.call.start:
            granted, first = one.lease.call.start, place
        over = granted + _least_length(one.lease, skew)
        if over <= one.least:
            over, first = one.least, place
        spans.append(_Span(one.known, over, one))
    return spans, conflicts


def _squeezed(certain: list[_Certain], spans: list[_Span], skew: Skew) -> list[list[_Certain]]:
    """Give the grants without a must-hold (calls longer than their TTL) that fit nowhere between those of others."""
    found = []
    free: dict[int, Callable[[int], int]] = {}
    for one in certain:
        if one.known < one.least:
            continue
        length = _least_length(one.lease, skew)
        if length not in free:
            free[length] = _free(spans, length)
        if free[length](one.lease.call.start) > one.known:
            place = bisect_right(spans, one.lease.call.start, key=lambda span: span.end)
            around = [span.one for span in islice(spans, place, None) if span.begin < one.known + length]
            found.append([*around, one])
    return found


def _no_room(key: str | None, crowd: list[_Certain]) -> Anomaly:
    *others, one = crowd
    holders = ", ".join(other.lease.who for other in others[-3:])
    message = f"{one.lease.who} was granted {key} by {_at(one.known)}, but there is no room for its lease: {holders} must have held it"
    operations = _indices(*(index for each in crowd for index in (each.lease.call.index, *each.lease.basis)))
    return Anomaly("two-holders", key, operations, one.known, message, live=min(each.known for each in crowd))


# Refusals


def _refusals(name: _Name, certain: list[_Certain], spans: list[_Span], skew: Skew) -> Iterator[Anomaly]:
    """Somebody's lease must have been live at some instant of every refusal; say where nobody's can have been."""
    holder = _last_holder(certain)
    left = []
    for refusal in sorted(name.refusals, key=lambda one: one.ended):
        last = holder(refusal)
        if last is None or last.most <= refusal.start:
            left.append(refusal)
    if not left:
        return
    uncertain = name.uncertain()
    fits = _fits(uncertain, spans, skew)
    fitting = []
    for refusal in left:
        if fits(refusal):
            fitting.append(refusal)
        else:
            yield _spurious(name.key, refusal, holder(refusal))
    yield from _too_many(name.key, fitting, uncertain, skew)
    longest = max([_reach(one, skew) for one in name.leases] + [_longest(refusal, skew) for refusal in left])
    yield from _stuck(name.key, left, (certain, uncertain), longest)


def _last_holder(certain: list[_Certain]) -> Callable[[_Call], _Certain | None]:
    """Tell, of the grants that can have been made before a refusal ended, the one that can have lasted longest."""
    ordered = sorted(certain, key=lambda one: one.lease.call.start)
    starts = [one.lease.call.start for one in ordered]
    longest = list(accumulate(ordered, _longer))

    def holder(refusal: _Call) -> _Certain | None:
        before = bisect_right(starts, refusal.ended)
        return longest[before - 1] if before else None

    return holder


def _longer(one: _Certain, other: _Certain) -> _Certain:
    return other if other.most > one.most else one


def _reach(one: _Lease, skew: Skew) -> int:
    """Give the longest time that a lease can last from its grant, whenever that was."""
    return _longest(one.call, skew) + sum(_longest(use, skew) for use in one.uses if use.f == "extend" and use.answer is not False)


def _least_length(one: _Lease, skew: Skew) -> int:
    """Give the shortest time for which a lease lasts from its grant: none if it may be released at the same instant, or was lost."""
    if _releases(one.uses) or one.lost is not None:
        return 0
    extends = [use for use in one.uses if use.f == "extend" and use.answer is not False]
    return max(0, min(_shortest(call, skew) for call in [one.call, *extends]))


def _fits(uncertain: list[_Lease], spans: list[_Span], skew: Skew) -> Callable[[_Call], bool]:
    """Tell whether an unanswered grant can explain a refusal [a, b].

    It must have been made at some x >= its invocation, x <= b, x + reach > a, while nobody else held:
    [x, x + least length) meets no must-hold. Grants of equal lengths differ only in their invocation,
    and the first one can be made whenever a later one can.
    """
    first: dict[tuple[int, int], int] = {}
    for one in uncertain:
        lengths = (_reach(one, skew), _least_length(one, skew))
        first[lengths] = min(one.call.start, first.get(lengths, one.call.start))
    free = {least: _free(spans, least) for _, least in first}

    def fits(refusal: _Call) -> bool:
        return any(free[least](max(invoked, refusal.start - reach + 1)) <= refusal.ended for (reach, least), invoked in first.items())

    return fits


def _free(spans: list[_Span], length: int) -> Callable[[int], int]:
    """Give the function from an instant to the first one, not before it, from which nobody must hold for this length."""
    starts: list[int] = []
    ends: list[int] = []
    for span in spans:
        if ends and span.begin - length < ends[-1]:
            ends[-1] = max(ends[-1], span.end)
        else:
            starts.append(span.begin - length)
            ends.append(span.end)

    def free(at: int) -> int:
        place = bisect_left(starts, at) - 1  # the last one that began before: both ends of a blocked interval are free
        return max(at, ends[place]) if place >= 0 else at

    return free


def _spurious(key: str | None, refusal: _Call, last: _Certain | None) -> Anomaly:
    operations: tuple[int, ...] = (refusal.index,)
    why = "nobody had held it before"
    if last is not None:
        ending = min(_endings(last.lease.uses, last.known), key=lambda use: use.ended, default=None)
        why = f"the last holder, {last.lease.who}, no longer held it from {_at(last.most)} on"
        operations = _indices(last.lease.call.index, *([ending.index] if ending else last.lease.basis), refusal.index)
    message = f"{key} was refused to {_who(refusal)} between {_between(refusal)}, although {why}"
    return Anomaly("spurious-refusal", key, operations, refusal.start, message, refusal.end)


def _windows(refusals: list[_Call], length: int) -> list[_Call]:
    """Give, in order of completion, the refusals that each need a lease of this length of their own.

    The fewest intervals [w, w + length) that meet every refusal: put each as late as the first refusal
    not met allows. The result for a prefix is the prefix of the result.
    """
    found: list[_Call] = []
    for refusal in sorted(refusals, key=lambda one: one.ended):
        if not found or refusal.start >= found[-1].ended + length:
            found.append(refusal)
    return found


def _too_many(key: str | None, fitting: list[_Call], uncertain: list[_Lease], skew: Skew) -> Iterator[Anomaly]:
    """Each unanswered grant explains the refusals of one lease; report the first refusal for which none is left."""
    if not uncertain:
        return
    windows = _windows(fitting, max(_reach(one, skew) for one in uncertain))
    invoked = sorted(one.call.start for one in uncertain)
    for count, refusal in enumerate(windows, 1):
        there = bisect_right(invoked, refusal.ended)
        if count > there:
            message = (
                f"{key} was refused to {_who(refusal)} between {_between(refusal)}, although nobody known can have held it and "
                f"unanswered acquisitions ({there}) explain only earlier refusals, each for one lease"
            )
            operations = _indices(
                *(one.call.index for one in uncertain if one.call.start <= refusal.ended), *(w.index for w in windows[:count])
            )
            yield Anomaly("spurious-refusal", key, operations, refusal.start, message, refusal.end)
            return


def _stuck(key: str | None, left: list[_Call], leases: tuple[list[_Certain], list[_Lease]], longest: int) -> Iterator[Anomaly]:
    """Refusals that go on for longer than every lease, with no grant known between them: it does not come free."""
    certain, uncertain = leases
    known = sorted(one.known for one in certain)
    invoked = sorted(one.call.start for one in uncertain)
    gaps: dict[int, list[_Call]] = {}
    for refusal in left:
        gaps.setdefault(bisect_right(known, refusal.start), []).append(refusal)
    for gap in gaps.values():
        windows = _windows(gap, longest)
        last = windows[-1]
        if len(windows) < 2 or len(windows) <= bisect_right(invoked, last.ended):
            continue
        first = min(gap, key=lambda one: one.start)
        message = (
            f"{key} was refused {len(gap)} times from {_at(first.start)} to {_at(gap[-1].ended)}, longer than any lease lasts, "
            f"although nobody can have held it"
        )
        yield Anomaly("stuck", key, _indices(*(window.index for window in windows)), first.start, message, gap[-1].end)


# Words and numbers


def _grant(one: _Lease) -> Grant:
    call, acknowledged = one.call, one.call.answer is True
    return Grant(
        key=call.key,
        owner=call.owner,
        process=call.process,
        index=call.index,
        ttl_ms=call.span_ms,
        acknowledged=acknowledged,
        invoked=call.start,
        acknowledged_at=call.end if acknowledged else None,
        must_end=one.least if acknowledged else None,
        may_end=one.most,
        token=call.token,
        node=call.node,
        operations=(call.index, *sorted(use.index for use in one.uses)),
    )


def _indices(*indices: int) -> tuple[int, ...]:
    return tuple(sorted(set(indices)))


def _at(time: int) -> str:
    return f"{time / NS_PER_S:.3f} s"


def _between(call: _Call) -> str:
    return f"{_at(call.start)} and {_at(call.ended)}"


def _who(call: _Call) -> str:
    return f"{call.owner} (process {call.process})"


def _numbers(names: Sequence[_Name]) -> dict[str, int]:
    leases = [one for name in names for one in name.leases]
    uses = Counter(use.f for one in leases for use in one.uses if use.answer is not None)
    return {
        "locks": len(names),
        "operations": sum(name.calls for name in names),
        "grants": sum(one.call.answer is True for one in leases),
        "unanswered": sum(one.call.answer is None for one in leases),
        "refusals": sum(len(name.refusals) for name in names),
        "extends": uses["extend"],
        "releases": uses["release"],
        "looks": uses["is_held"],
        "strays": sum(len(name.strays) for name in names),
    }


def _summary(numbers: dict[str, int]) -> str:
    return (
        f"no violation by the lease rules: {numbers['grants']} grants on {numbers['locks']} locks, {numbers['unanswered']} acquisitions "
        f"unanswered, {numbers['refusals']} refused; {numbers['extends']} extends, {numbers['releases']} releases and {numbers['looks']} "
        f"looks answered to holders, {numbers['strays']} operations of strangers"
    )


def _count_kinds(anomalies: list[Anomaly]) -> str:
    kinds = Counter(anomaly.kind for anomaly in anomalies)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) + f"; first: {anomalies[0].message}"
