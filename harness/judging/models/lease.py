"""Leases: locks with a TTL and an owner token. No sequential model: their rules are of real time (`harness.judging.checkers.lease`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.judging.family import Family
from harness.record.history import Event

MARKS = frozenset({"try_acquire", "acquire_within", "extend", "is_held"})


def _releases(events: Sequence[Event], _used: frozenset[str]) -> bool:
    # `release` is a function of two families: that of a lease names the owner whose it is.
    return any(event.f == "release" and isinstance(event.value, Mapping) and "owner" in event.value for event in events)


LEASE = Family(
    name="lease",
    sentence="a lock with a TTL and an owner token: the lease rules, and fencing",
    functions=MARKS | {"release"},
    marks=MARKS,
    marked=_releases,
    rank=10,
)
