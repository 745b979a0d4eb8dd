"""Leases: at most one holder at a time, nobody's lease lost, prolonged, refused or used without reason.

The server under test: `try_acquire` is granted at an instant when nobody's lease is live and lasts for
its TTL; `extend` by the live owner sets the end anew, *also to an earlier one*; whoever is not the live
owner is refused. What the clients saw bounds the life of each grant (`harness.judging.checkers.grants`). Each rule
contradicts one execution order with one of these bounds: here those on who was granted, and
`harness.judging.checkers.refusals` on who was refused. O(n log n) in the operations of a key; listing pairs of
holders costs one step a pair up to `PAIRS_LISTED`.

*Soundness.* Invalid is sound: no execution of the server gives this history, if its clock keeps within
the skew, owner tokens are unique, and, with client clocks, a guard is used by clients of one clock.
Valid is not complete: orders that need three or more operations placed jointly are missed (the exact
problem is NP-hard), hence "no violation by the lease rules". A wider interval never makes a valid
history invalid. Neither does an answer withheld, save one: withholding what proves a grant moves it to
the rules for unanswered grants, which see more. Even so a possible history is never condemned.
Unknown: nothing was granted, the clock was not sane, or of more than one in twenty attempts it is not clear which of its
token's grants was used: such tokens are left out, and all refusals of their locks, which they may explain.

*Where this goes beyond these bounds*, each for a reason:
1. A lease may also end early by the skew: clocks of whole milliseconds cut up to 1 ms off, and the clock
   gate itself lets the server's clock gain 1 ms + 500 ppm on ours.
2. Operations may overlap inside one guard, a token may be used before its grant is answered, and an
   unanswered grant may be used: workloads release and extend with tokens they are unsure of. An answer
   that could come only from the owner proves such a grant; its may-hold then ends.
3. A refused operation of the owner cuts must-hold only where it came early: a later one says nothing new.
4. An acknowledged extend took effect while the lease was live, so it counts from the earlier of its
   completion and the end before it. Without this, withholding its answer could *lower* may-hold.
5. With client clocks the owner's own clock ends its lease up to twice the bound before others see it end. It may be set back
   within the bound: a lease that its owner saw over may come back, and an extend that may have followed a refusal undoes it.
6. Disjoint must-holds fix the order of their grants, so a third grant may find no room between two. This
   halves what is missed where calls last up to twice the TTL (21 to 10 % of impossible histories).

Rejected: the overlap of must-holds alone (finds 23 % of missing owner checks, and no call longer than its
TTL); "an unanswered extend can only lengthen" (condemned correct servers); difference constraints (only
worth it if a mutant escapes).

Sources: Gray and Cheriton, Leases, SOSP 1989, sections 2 and 5 (the holder's and the server's view of a
term, clocks); Garey and Johnson, Computers and Intractability, 1979, SS1 (sequencing within intervals:
why the exact problem is hard). The proofs stand beside the code.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice

from harness.judging.check import Check, Kind
from harness.judging.checkers.calls import Call, at_s, between_s, indices_of, who_asked
from harness.judging.checkers.grants import Certain, Name, names_of
from harness.judging.checkers.held import granted_after_expiry
from harness.judging.checkers.refusals import Span, free_for, least_length, refused_wrongly
from harness.judging.checkers.skew import NS_PER_MS, Skew, skew_of
from harness.judging.checkers.survival import survival
from harness.judging.verdict import Anomaly, Verdict, first_of, invalid, kinds_of, unknown, valid
from harness.record.clock import clock_sane, excess_ns
from harness.record.history import History

PAIRS_LISTED = 1_000
"""Pairs of holders listed on one key; from there on each further grant is listed once, against the one that ends last."""

UNCLEAR = 0.05


def lease(history: History, skew: Skew | None = None) -> Verdict:
    """Judge every lock of a history by the lease rules; see the module for what valid and invalid mean.

    Anomalies are two-holders, lost-early, alive-too-late, spurious-refusal, stuck and stranger.
    Raises MalformedHistory where an operation lacks its owner, TTL or answer.
    """
    skew = skew_of(history) if skew is None else skew
    names = names_of(history.operations(), skew)
    anomalies = sorted((anomaly for name in names for anomaly in _judge(name, skew)), key=lambda anomaly: (anomaly.at, anomaly.operations))
    numbers = _numbers(names)
    if not clock_sane(history):
        parted = f"wall and monotonic time parted {excess_ns(history) / NS_PER_MS:.1f} ms too far"
        return unknown(f"the clock was not sane: {parted}; {len(anomalies)} anomalies by it do not count", **numbers)
    if anomalies:
        return invalid(_found(anomalies), anomalies, **numbers)
    unclear = [owner for name in names for owner in name.unclear]
    if len(unclear) > UNCLEAR * (numbers["grants"] + len(unclear)):
        return unknown(f"owner token {unclear[0]} served several attempts: its grants cannot be told apart", **numbers)
    if not any(one.known is not None for name in names for one in name.leases):
        return unknown("no acknowledged grant was seen", **numbers)
    return valid(_summary(numbers), **numbers)


# The rules


def _judge(name: Name, skew: Skew) -> Iterator[Anomaly]:
    certain = name.certain()
    for stray in name.strays:
        if stray.answer:
            yield _stranger(name.key, stray)
    for one in certain:
        yield from _lost_early(name.key, one)
        yield from _alive_too_late(name.key, one)
    pairs = list(_two_holders(certain))
    for first, second in pairs:
        yield _both(name.key, first, second)
    spans: list[Span] = []
    if not pairs:  # else must-holds overlap and say nothing about who else can have held
        spans, crowded = _in_order(certain, skew)
        crowded += _squeezed(certain, spans, skew)
        for crowd in crowded:
            yield _no_room(name.key, crowd)
        spans = [] if crowded else spans
    yield from refused_wrongly(name, certain, spans, skew)


def _stranger(key: str | None, use: Call) -> Anomaly:
    message = f"{use.f} on {key} with the token of {who_asked(use)}, which had not been granted, took effect between {between_s(use)}"
    return Anomaly("stranger", key, (use.index,), use.start, message, use.end)


def _lost_early(key: str | None, one: Certain) -> Iterator[Anomaly]:
    """The lease was refused its owner wholly before it can have ended."""
    lost = one.lease.lost
    if lost is None:
        return
    refusal = lost.refusal
    message = (
        f"{one.lease.who} was granted {key} by {at_s(one.known)} and should have held it until {at_s(lost.due)} at least, "
        f"but its {refusal.f} was refused between {between_s(refusal)}"
    )
    operations = indices_of(one.lease.call.index, *lost.basis, refusal.index)
    yield Anomaly("lost-early", key, operations, refusal.ended, message, lost.due, one.known)


def _alive_too_late(key: str | None, one: Certain) -> Iterator[Anomaly]:
    """The owner succeeded after its lease was over; the first such operation is reported, with the number of all."""
    late = one.lease.late
    if not late:
        return
    use = late[0].use
    more = f", and {len(late) - 1} more after it" if len(late) > 1 else ""
    message = f"{use.f} of {one.lease.who} on {key} took effect between {between_s(use)}, although {late[0].why}{more}"
    indices = indices_of(one.lease.call.index, *late[0].basis, use.index)
    yield Anomaly("alive-too-late", key, indices, use.start, message, late[-1].use.end, one.known)


def _two_holders(certain: list[Certain]) -> Iterator[tuple[Certain, Certain]]:
    """Give the pairs of grants that fit in neither order.

    If A was first, its end <= B's grant <= B.known; if B was, its end <= A's grant <= A.known. Not an
    overlap of must-holds: that of a call longer than its TTL is empty, and yet it conflicts with a
    must-hold that strictly contains [least, known]. In either case the earlier known one ends after the
    later known one was granted, so that it is still active then.
    """
    active: list[tuple[int, int, Certain]] = []  # heap by end of must-hold
    longest: Certain | None = None
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


def _both(key: str | None, first: Certain, second: Certain) -> Anomaly:
    first, second = sorted((first, second), key=lambda one: one.known)
    shared = [(max(one[0], other[0]), min(one[1], other[1]), one, other) for one in _promised(first) for other in _promised(second)]
    at, until, one, other = min((each for each in shared if each[0] < each[1]), default=shared[0])
    message = f"{_held(first, one, key)}, and {_held(second, other, 'it')}"
    operations = [index for each in (first, second) for index in (each.lease.call.index, *each.lease.must_basis)]
    if until <= at:
        message = (
            f"{first.lease.who} and {second.lease.who} were both granted {key}, and neither can have ended before the other began: "
            f"{_granted(first)}, and {_granted(second)}"
        )
        at = min((use.ended for use in _seen_late(first, second)), default=at)
        operations += [index for each in (first, second) for index in each.lease.basis]
    operations += [late.use.index for each in (first, second) for late in each.lease.late if late.use.start < max(at, until)]
    return Anomaly("two-holders", key, indices_of(*operations), at, message, until if until > at else None, first.known)


def _promised(one: Certain) -> list[tuple[int, int]]:
    """Give when a lease was promised to its owner, at least: at first, and anew by extends that came too late."""
    return [(one.known, one.must_end), *one.lease.again]


def _held(one: Certain, span: tuple[int, int], key: str | None) -> str:
    how = "held" if span[0] == one.known else "was let hold"
    return f"{one.lease.who} {how} {key} from {at_s(span[0])} until at least {at_s(span[1])}"


def _seen_late(first: Certain, second: Certain) -> Iterator[Call]:
    """Give the successes of one that came too late, after the other was granted the lease: there the two are seen."""
    for one, other in ((first, second), (second, first)):
        yield from (late.use for late in one.lease.late if late.use.start > other.known)


def _granted(one: Certain) -> str:
    """Say from when on a grant counts and what shows that it went on: a success of its owner after it was over, or its bound."""
    if one.lease.late:
        use = one.lease.late[-1].use
        return f"{one.lease.who} by {at_s(one.known)}, whose {use.f} took effect between {between_s(use)}"
    return f"{one.lease.who} by {at_s(one.known)}, which ended at {at_s(one.least)} at the earliest"


def _in_order(certain: list[Certain], skew: Skew) -> tuple[list[Span], list[list[Certain]]]:
    """Give the must-holds, each as long as its predecessors force it to be, and the grants that leave no room for one.

    Disjoint must-holds fix the order of their grants. So each was granted only after the one before
    ended, and then lasts at least its shortest length from there.
    """
    spans: list[Span] = []
    conflicts: list[list[Certain]] = []
    ordered = sorted((one for one in certain if one.known < one.least), key=lambda one: one.known)
    over, first = -1, 0  # the earliest end of the one before, and the first of the grants from which it follows
    for place, one in enumerate(ordered):
        granted = max(one.lease.call.start, over)
        if granted > one.known:
            conflicts.append(ordered[first : place + 1])
        if granted > one.known or over <= one.lease.call.start:
            granted, first = one.lease.call.start, place
        over = granted + least_length(one.lease, skew)
        if over <= one.least:
            over, first = one.least, place
        spans.append(Span(one.known, over, one))
    return spans, conflicts


def _squeezed(certain: list[Certain], spans: list[Span], skew: Skew) -> list[list[Certain]]:
    """Give the grants without a must-hold (calls longer than their TTL) that fit nowhere between those of others."""
    found = []
    free: dict[int, Callable[[int], int]] = {}
    for one in certain:
        if one.known < one.least:
            continue
        length = least_length(one.lease, skew)
        if length not in free:
            free[length] = free_for(spans, length)
        if free[length](one.lease.call.start) > one.known:
            place = bisect_right(spans, one.lease.call.start, key=lambda span: span.end)
            around = [span.one for span in islice(spans, place, None) if span.begin < one.known + length]
            found.append([*around, one])
    return found


def _no_room(key: str | None, crowd: list[Certain]) -> Anomaly:
    *others, one = crowd
    holders = ", ".join(other.lease.who for other in others[-3:])
    message = f"{one.lease.who} was granted {key} by {at_s(one.known)}, but there is no room for its lease: {holders} must have held it"
    operations = indices_of(*(index for each in crowd for index in (each.lease.call.index, *each.lease.basis)))
    return Anomaly("two-holders", key, operations, one.known, message, live=min(each.known for each in crowd))


# Numbers


def _numbers(names: Sequence[Name]) -> dict[str, int]:
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


def _found(anomalies: list[Anomaly]) -> str:
    return f"{kinds_of(anomalies)}; {first_of(anomalies)}"


KINDS = (
    Kind(
        name="two-holders",
        rule="Of two granted leases one must have ended before the other began.",
        heading="{key} had two owners",
        one="Two {who} held the same lock once",
        many="Two {who} held the same lock {times}",
        brief="two owners",
        rank=10,
        strip=True,
        caused=True,
    ),
    Kind(
        name="lost-early",
        rule="An acknowledged lease lasts for its TTL.",
        heading="{key}: a lease was lost before its time",
        one="One lease was lost before its time",
        many="{n} leases were lost before their time",
        rank=60,
        strip=True,
        caused=True,
    ),
    Kind(
        name="alive-too-late",
        rule="A lease that is over cannot be used.",
        heading="{key}: a lease was used after its end",
        one="One lease was used after its end",
        many="{n} leases were used after their end",
        rank=70,
        strip=True,
        caused=True,
    ),
    Kind(
        name="stranger",
        rule="Only the owner of a lease can extend or release it.",
        heading="{key}: somebody else's token took effect",
        one="Somebody else's token took effect once",
        many="Somebody else's token took effect {times}",
        rank=80,
        strip=True,
        caused=True,
    ),
    Kind(
        name="stuck",
        rule="A lock that nobody can hold is free.",
        heading="{key} stayed refused though nobody can have held it",
        one="A free lock stayed refused once",
        many="A free lock stayed refused {times}",
        rank=140,
        strip=True,
        caused=True,
    ),
    Kind(
        name="spurious-refusal",
        rule="A lock is refused only while somebody may hold it.",
        heading="{key} was refused though nobody can have held it",
        one="A free lock was refused once",
        many="A free lock was refused {times}",
        rank=150,
        strip=True,
        caused=True,
    ),
)

LEASE = Check(
    name="lease",
    sentence="at most one holder at a time, nobody's lease lost, prolonged, refused or used without reason",
    kinds=KINDS,
    judge=lambda history, terms: lease(history),
    families=("lease",),
    gates={
        "held_across": lambda history, terms: survival(history).locks_held_across,
        "answered_inside_hold": lambda history, terms: survival(history).locks_probed,
        "held_before_cut": lambda history, terms: survival(history, whole=True).locks_held_across,
        "answered_inside_that_hold": lambda history, terms: survival(history, whole=True).locks_probed,
        "granted_after_expiry": lambda history, terms: granted_after_expiry(history),
    },
)
