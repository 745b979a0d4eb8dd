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
        leases.append(lease_of(attempt, tuple(use for use in own if use.end is None or use.end >= attempt.start), skew))
    strays += [use for own in uses.values() for use in own]
    refusals = tuple(call for call in attempts.values() if call.answer is False)
    return Name(key, tuple(leases), refusals, tuple(strays), (), len(calls))
