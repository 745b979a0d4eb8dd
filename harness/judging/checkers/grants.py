"""Grants and their bounds: from when until when a lease was live for certain, and until when it may have been.

        invoked     acknowledged                     must_end         may_end
           |- - - - - - - |==============================|- - - - - - - - |
           may-hold         must-hold: the lease is live                    over for certain

Calls are paired by owner token. The rules over these bounds are in `harness.judging.checkers.lease`, with the server
under test, what is sound, and the sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.judging.checkers.calls import ACQUISITIONS, FUNCTIONS, Call, at_s, between_s, call_of, who_asked
from harness.record.history import History, Operation

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Skew:
    """How far the clock that ends leases may be from ours, in nanoseconds and parts per million.

    `bound_ns` is b, the largest difference between two clients' clocks where those end leases; who
    waits for another's lease waits up to 2 b longer, and a holder whose clock is set within b sees its own
    end up to b early.
    """

    fixed_ns: int = 2 * NS_PER_MS
    drift_ppm: int = 500
    bound_ns: int = 0

    def early(self, span_ms: int) -> int:
        """Give the nanoseconds by which a lease of this length may end before its time."""
        return self.fixed_ns + span_ms * self.drift_ppm + self.bound_ns  # ms * ppm = ns

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


def skew_of(history: History) -> Skew:
    """Give the skew that a history's header calls for: that of client clocks where it names their bound."""
    bound_ms = history.header.clock_bound_ms if history.header else None
    return SERVER if bound_ms is None else client_clocks(bound_ms)


@dataclass(frozen=True, slots=True)
class Grant:
    """One acquisition that was answered granted, or was not answered. Times in nanoseconds.

    Must-hold is [acknowledged_at, must_end), where that is not empty; may-hold is [invoked, may_end).
    Successes of its owner from when it was over on lengthen neither: they are anomalies of their own. `again` is when
    such an extend promised it anew, [from, until) each.
    `least` is the earliest end that all answers allow, those successes included: an order of grants may rest on it alone.
    `acknowledged_at`, `must_end` and `least` are None for an unanswered acquisition. `may_end` is None where no
    end is known: an unanswered acquisition may take effect at any time, unless a later answer proves it.
    `key` is the lock's name, None where the history has one lock without a name (a key of null).
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
    least: int | None
    may_end: int | None
    token: int | None
    node: str | None
    operations: tuple[int, ...]
    again: tuple[tuple[int, int], ...] = ()


def grants(operations: Iterable[Operation], skew: Skew = SERVER) -> list[Grant]:
    """Give all grants of any keys, in order of invocation; O(n log n).

    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    found = [_grant(lease) for name in names_of(operations, skew) for lease in name.leases]
    return sorted(found, key=lambda grant: grant.index)


def _grant(one: Lease) -> Grant:
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
        must_end=one.must_end if acknowledged else None,
        least=one.least if acknowledged else None,
        may_end=one.may_end,
        token=call.token,
        node=call.node,
        operations=(call.index, *sorted(use.index for use in one.uses)),
        again=one.again if acknowledged else (),
    )


# The grants of a lock name


@dataclass(frozen=True, slots=True)
class _Lost:
    """A refusal of the owner that ended before `due`, the earliest end as far as it could see, and what `due` follows from."""

    refusal: Call
    due: int
    basis: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Late:
    """A success of the owner after its lease was over: why it was, and the operations that say so."""

    use: Call
    why: str
    basis: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """A grant with its bounds.

    `known` is the first instant at which the grant is certain to have been made, None if never;
    `least` and `most` bound its end (SPEC 6: Emin, Emax), None where `known` is. `basis` are the
    operations from which `least` follows. `late` are the successes of its owner after it was over: where there
    are any, no end fits. `must_end` and `may_end` are `least` and `most` without them, the ends of what its owner was
    promised at first, and `must_basis` the operations from which the former follows; `again` is when it was promised
    anew, by an extend that came too late and yet took effect.
    """

    call: Call
    uses: tuple[Call, ...]
    known: int | None
    least: int | None
    most: int | None
    basis: tuple[int, ...]
    lost: _Lost | None
    late: tuple[Late, ...] = ()
    must_end: int | None = None
    may_end: int | None = None
    must_basis: tuple[int, ...] = ()
    again: tuple[tuple[int, int], ...] = ()

    @property
    def who(self) -> str:
        """Its owner token and process."""
        return who_asked(self.call)


@dataclass(frozen=True, slots=True)
class Certain:
    """A lease that was certainly granted: its bounds are known."""

    lease: Lease
    known: int
    least: int
    most: int
    must_end: int


@dataclass(frozen=True, slots=True)
class Name:
    """All that concerns one lock name. `strays` are uses of tokens that were not granted, or not yet."""

    key: str | None
    leases: tuple[Lease, ...]
    refusals: tuple[Call, ...]
    strays: tuple[Call, ...]
    twice: tuple[str, ...]
    calls: int

    def certain(self) -> list[Certain]:
        """Give the leases that were granted for certain, answered or proved by a later answer."""
        found = []
        for one in self.leases:
            if one.known is not None and one.least is not None and one.most is not None and one.must_end is not None:
                found.append(Certain(one, one.known, one.least, one.most, one.must_end))
        return found

    def uncertain(self) -> list[Lease]:
        """Give the leases that may have been granted, at any time from their invocation on, or never."""
        return [one for one in self.leases if one.known is None]


def names_of(operations: Iterable[Operation], skew: Skew) -> list[Name]:
    """Pair the operations on each lock name by owner token, and bound each grant.

    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    calls: dict[str | None, list[Call]] = {}
    for operation in operations:
        if operation.f not in FUNCTIONS or operation.status == "fail":
            continue
        call = call_of(operation)
        if call.answer is None and call.f == "is_held":
            continue  # an unanswered look constrains nothing
        calls.setdefault(operation.key, []).append(call)
    return [_name(key, found, skew) for key, found in calls.items()]


def _name(key: str | None, calls: list[Call], skew: Skew) -> Name:
    attempts: dict[str, Call] = {}
    uses: dict[str, list[Call]] = {}
    twice: list[str] = []
    for call in calls:
        if call.f not in ACQUISITIONS:
            uses.setdefault(call.owner, []).append(call)
        elif call.owner in attempts:
            twice.append(call.owner)
        else:
            attempts[call.owner] = call
    if twice:  # nothing can be attributed: judge nothing
        return Name(key, (), (), (), tuple(twice), len(calls))
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
    return Name(key, tuple(leases), refusals, tuple(strays), (), len(calls))


# The bounds of one grant


def _lease(call: Call, uses: tuple[Call, ...], skew: Skew) -> Lease:
    proofs = [use for use in uses if use.answer]
    # What succeeded was done by the owner, so the grant was made by then, answered or not.
    ends = [one.ended for one in proofs] + ([call.ended] if call.answer else [])
    if not ends:
        return Lease(call, uses, None, None, None, (), None)
    known = min(ends)
    lost = _lost(call, uses, known, skew)
    least, basis = _least(call, uses, lost, skew)
    late = tuple(_late(call, uses, known, skew))
    first_late = min((one.use.start for one in late), default=None)
    in_time = uses if first_late is None else tuple(use for use in uses if use.start < first_late)
    must_end, must_basis = _least(call, in_time, _lost(call, in_time, known, skew), skew) if late else (least, basis)
    most = _most(call, uses, known, skew)
    may_end = _most(call, in_time, known, skew) if late else most
    again = tuple(span for one in late if one.use.f == "extend" and (span := _again(one.use, uses, skew))[0] < span[1])
    return Lease(call, uses, known, least, most, basis, lost, late, must_end, may_end, must_basis, again)


def _again(extend: Call, uses: tuple[Call, ...], skew: Skew) -> tuple[int, int]:
    """Give from when until when, at least, an extend that came too late promises the lease anew."""
    others = [use for use in uses if use is not extend and (use.end is None or use.end >= extend.start)]
    ends = [max(extend.start, use.start) + shortest_of(use, skew) for use in others if use.f == "extend" and use.answer is not False]
    ends += [use.start for use in others if use.answer is False or (use.f == "release" and use.start > extend.start)]
    return extend.ended, min([extend.start + shortest_of(extend, skew), *ends])


def extends_of(uses: Iterable[Call], answer: bool | None) -> list[Call]:
    """Give the extends that were answered so; None: not answered."""
    return [use for use in uses if use.f == "extend" and use.answer is answer]


def releases_of(uses: Iterable[Call]) -> list[Call]:
    """Give the releases that took effect, or may have."""
    return [use for use in uses if use.f == "release" and use.answer is not False]


def refused_of(uses: Iterable[Call], known: int) -> list[Call]:
    """Give the refusals that looked after the grant had been made: an earlier one may have seen the time before it."""
    return [use for use in uses if use.answer is False and use.start > known]


def shortest_of(call: Call, skew: Skew) -> int:
    """Give the shortest time in ns for which a lease lasts from when this grant or extend was done."""
    return call.span_ms * NS_PER_MS - skew.early(call.span_ms)


def longest_of(call: Call, skew: Skew) -> int:
    """Give the longest time in ns for which others may see it last from then."""
    return call.span_ms * NS_PER_MS + skew.late(call.span_ms)


def _setters(call: Call, extends: list[Call]) -> tuple[int, list[Call]]:
    """Give the earliest instant of the last acknowledged operation that set the end, and which it may have been.

    The last one was done no earlier than any of them began, so one that had ended by then was not it.
    """
    last = max([call.start] + [extend.start for extend in extends])
    return last, [extend for extend in extends if extend.ended >= last] or [call]


def _basis(call: Call, extends: list[Call]) -> tuple[int, ...]:
    return tuple(setter.index for setter in _setters(call, extends)[1] if setter is not call)


def _expiry(call: Call, extends: list[Call], unanswered: list[Call], skew: Skew) -> int:
    """Give the earliest expiry if all of `extends` were done and any of `unanswered`; these can only lower it."""
    last, setters = _setters(call, extends)
    ends = [last + shortest_of(setter, skew) for setter in setters]
    ends += [max(last, extend.start) + shortest_of(extend, skew) for extend in unanswered]
    return min(ends)


def _lost(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> _Lost | None:
    """Give the refusal that ended before the lease could have, if there is one.

    It looked at x <= its end. The owner's successes came before x, as a token never comes back, so
    those begun by then set the end. Only the refusal that ends first can be too early: the bound falls
    with every operation begun later.
    """
    refused = refused_of(uses, known)
    if not refused:
        return None
    first = min(refused, key=lambda use: use.ended)
    before = [use for use in uses if use.start <= first.ended]
    extends = extends_of(before, True)
    due = min([_expiry(call, extends, extends_of(before, None), skew)] + [release.start for release in releases_of(before)])
    return _Lost(first, due, _basis(call, extends)) if first.ended < due else None


def _least(call: Call, uses: tuple[Call, ...], lost: _Lost | None, skew: Skew) -> tuple[int, tuple[int, ...]]:
    """Give the earliest possible end of the lease, and the operations that say so."""
    extends = extends_of(uses, True)
    least = _expiry(call, extends, extends_of(uses, None), skew)
    least = min([least] + [release.start for release in releases_of(uses)])
    if lost is not None:
        least = min(least, lost.refusal.start)  # its owner knows from here on: reported as lost, not as held twice
    proof = max((use for use in uses if use.answer), key=lambda use: use.start, default=None)
    if proof is not None and proof.start > least:
        return proof.start, (proof.index,)
    return least, _basis(call, extends)


class Latest:
    """The latest possible end after the acknowledged extends so far, pushed in order of completion."""

    def __init__(self, call: Call, known: int, skew: Skew) -> None:
        self.end = known + longest_of(call, skew)
        self._skew = skew
        self._last = call.start
        self._setters: list[Call] = []

    def push(self, extend: Call) -> None:
        """Take in the next acknowledged extend."""
        self._last = max(self._last, extend.start)
        self._setters = [setter for setter in self._setters if setter.ended >= self._last] + [extend]
        if len(self._setters) == 1:  # all others were before it: it was done while the lease was live
            self.end = min(extend.ended, self.end) + longest_of(extend, self._skew)
        else:
            self.end = max(setter.ended + longest_of(setter, self._skew) for setter in self._setters)


def lengthened(end: int, extends: Iterable[Call], skew: Skew) -> int:
    """Add extends that may have been done at any time, each once, if the lease can have lived to see it begin."""
    for extend in sorted(extends, key=lambda one: one.start):
        if extend.start >= end:
            break
        end += longest_of(extend, skew)
    return end


def _most(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> int:
    """Give the latest possible end of the lease."""
    latest = Latest(call, known, skew)
    for extend in sorted(extends_of(uses, True), key=lambda use: use.ended):
        latest.push(extend)
    ends = [lengthened(latest.end, extends_of(uses, None), skew)]
    # At the very instant of an ending both orders are possible: the end is closed, hence + 1.
    ends += [use.ended + 1 for use in uses if use.f == "release" and use.answer]
    ends += [use.ended + 1 + skew.seen_over() for use in refused_of(uses, known)]
    return min(ends)


def endings_of(uses: Iterable[Call], known: int) -> list[Call]:
    """Give the answers after which the lease is over: acknowledged releases, and refusals of its owner."""
    return [use for use in uses if use.f == "release" and use.answer] + refused_of(uses, known)


# What came too late


def _late(call: Call, uses: tuple[Call, ...], known: int, skew: Skew) -> Iterator[Late]:
    extends = sorted(extends_of(uses, True), key=lambda use: use.ended)
    overs = [(use.ended + (0 if use.f == "release" and use.answer else skew.seen_over()), use) for use in endings_of(uses, known)]
    overs = sorted(overs, key=lambda over: over[0])[:2]
    released = next((use for use in uses if use.f == "release" and use.answer), None)
    latest, done = Latest(call, known, skew), 0
    for use in sorted((use for use in uses if use.answer), key=lambda use: use.start):
        while done < len(extends) and extends[done].ended < use.start:
            latest.push(extends[done])
            done += 1
        over = next((ending for at, ending in overs if ending is not use and at < use.start), None)
        if over is not None:
            how = "released" if over.answer else f"seen lost (by {over.f})"
            yield Late(use, f"it had been {how} by {at_s(over.ended)}", (over.index,))
        elif released is not None and use.f == "release" and use is not released:
            yield Late(use, f"it was also released between {between_s(released)}", (released.index,))
        elif use.start >= latest.end and use.start >= (end := _end_before(use, latest.end, uses, skew)):
            yield Late(use, f"its lease ended by {at_s(end)}", tuple(extend.index for extend in extends[max(0, done - 1) : done]))


def _end_before(use: Call, end: int, uses: Iterable[Call], skew: Skew) -> int:
    """Give the latest end before this use: extends that overlap it, or were not answered, may have been done before it."""
    others = [other for other in uses if other.f == "extend" and other.answer is not False and other is not use]
    return lengthened(end, [other for other in others if other.end is None or other.end >= use.start], skew)
