"""Grants and their bounds: from when until when a lease was live for certain, and until when it may have been.

        invoked     acknowledged                     must_end         may_end
           |- - - - - - - |==============================|- - - - - - - - |
           may-hold         must-hold: the lease is live                    over for certain

Calls are paired by owner token. The rules over these bounds are in `harness.judging.checkers.lease`, with the server
under test, what is sound, and the sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.judging.checkers.bounds import Lease, lease_of
from harness.judging.checkers.calls import ACQUISITIONS, FUNCTIONS, Call, call_of
from harness.judging.checkers.skew import SERVER, Skew
from harness.record.history import Operation


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
class Certain:
    """A lease that was certainly granted: its bounds are known."""

    lease: Lease
    known: int
    least: int
    most: int
    must_end: int


@dataclass(frozen=True, slots=True)
class Name:
    """All that concerns one lock name. `strays` are uses of tokens that were not granted, or not yet.

    `unclear` are tokens that served several attempts whose uses cannot be told apart: what they did is left out, and so are all
    refusals, which it may explain.
    """

    key: str | None
    leases: tuple[Lease, ...]
    refusals: tuple[Call, ...]
    strays: tuple[Call, ...]
    unclear: tuple[str, ...]
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
    attempts: dict[str, list[Call]] = {}
    uses: dict[str, list[Call]] = {}
    for call in calls:
        (attempts if call.f in ACQUISITIONS else uses).setdefault(call.owner, []).append(call)
    leases: list[Lease] = []
    strays: list[Call] = []
    unclear: list[str] = []
    for owner, tries in attempts.items():
        own = uses.pop(owner, [])
        granted = [attempt for attempt in tries if attempt.answer is not False]
        if not _are_told_apart(granted, own):
            unclear.append(owner)
            continue
        strays += [use for use in own if not granted or (use.end is not None and use.end < granted[0].start)]
        leases += [lease_of(attempt, _uses_of(place, granted, own), skew) for place, attempt in enumerate(granted)]
    strays += [use for own in uses.values() for use in own]
    refusals = [attempt for tries in attempts.values() for attempt in tries if attempt.answer is False and not unclear]
    return Name(key, tuple(leases), tuple(refusals), tuple(strays), tuple(unclear), len(calls))


def _are_told_apart(granted: list[Call], uses: list[Call]) -> bool:
    """Say whether each answered use of a token can be of one of its grants only: each grant but the first apart from all else.

    One that was not answered may be made at any time: no use after it says which of the two it was.
    """
    if len(granted) < 2:
        return True
    others = [call for call in (*granted, *uses) if call.end is not None]
    return all(attempt.end is not None for attempt in granted) and all(
        other is attempt or other.ended < attempt.start or other.start > attempt.ended for attempt in granted[1:] for other in others
    )


def _uses_of(place: int, granted: list[Call], uses: list[Call]) -> tuple[Call, ...]:
    """Give the uses that a grant of a token may have seen: those before the next one was granted, and after the one before.

    One that was not answered may be made at any time after its invocation.
    """
    begun = granted[place].start
    until = granted[place + 1].ended if place + 1 < len(granted) else None
    return tuple(use for use in uses if (use.end is None or use.end >= begun) and (until is None or use.start <= until))
