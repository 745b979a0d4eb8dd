""" "Duplicates are rare": how many extra holders a failover gave to each name.

An extra holder is an acknowledged grant on the side of the new primary whose must-hold overlaps one
from the other side. Each name may have one and a failover be called rare; a name with more
contradicts it. O(n log n) a key by a sweep over must-holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from harness.checkers.lease import Grant, grants
from harness.history import History
from harness.verdict import Anomaly, Verdict, invalid, unknown, valid

ALLOWED = 1
FUNCTIONS = ("try_acquire", "acquire_within", "extend", "release", "is_held")


def extra_holders(history: History) -> Verdict:
    """Count the extra holders of each name in one trial; unknown without two sides or grants."""
    sides = set(history.header.sides.values()) if history.header else set()
    held = [each for each in grants(op for op in history.operations() if op.f in FUNCTIONS) if _held(each)]
    if len(sides) < 2 or not held:
        return unknown("no grants on two sides were seen")
    first = history.side(0)
    by_name: dict[str | None, list[Grant]] = {}
    for grant in held:
        by_name.setdefault(grant.key, []).append(grant)
    extras = {name: _extras(found, [history.side(each.process) == first for each in found]) for name, found in by_name.items()}
    counts = {name: len(found) for name, found in extras.items()}
    numbers = {"median": median(counts.values()), "maximum": max(counts.values()), "names": len(counts)}
    beyond = {name: found for name, found in extras.items() if len(found) > ALLOWED}
    if not beyond:
        return valid(f"at most {ALLOWED} extra holder on each of {len(counts)} names", **numbers)
    summary = f"{len(beyond)} of {len(counts)} names had more than {ALLOWED} extra holder, at most {max(counts.values())}"
    return invalid(summary, [_anomaly(name, found) for name, found in beyond.items()], **numbers)


def _held(grant: Grant) -> bool:
    return (
        grant.acknowledged and grant.acknowledged_at is not None and grant.must_end is not None and grant.must_end > grant.acknowledged_at
    )


def _extras(found: Sequence[Grant], on_first: Sequence[bool]) -> list[Grant]:
    """Give the grants of the other side that overlap one of the first side, in order of acknowledgement."""
    ours = sorted((_start(each), _end(each)) for each, first in zip(found, on_first, strict=True) if first)
    theirs = sorted((each for each, first in zip(found, on_first, strict=True) if not first), key=_start)
    latest, extras, taken = -1, [], 0
    for grant in theirs:
        while taken < len(ours) and ours[taken][0] < _end(grant):
            latest = max(latest, ours[taken][1])
            taken += 1
        if any(start < _end(grant) and end > _start(grant) for start, end in ours[:taken]) and latest > _start(grant):
            extras.append(grant)
    return extras


def _start(grant: Grant) -> int:
    assert grant.acknowledged_at is not None
    return grant.acknowledged_at


def _end(grant: Grant) -> int:
    assert grant.must_end is not None
    return grant.must_end


def _anomaly(name: str | None, found: Sequence[Grant]) -> Anomaly:
    last = max(found, key=_start)
    owners = ", ".join(grant.owner for grant in found)
    return Anomaly(
        "extra-holders",
        name,
        tuple(grant.index for grant in found),
        at=_start(last),
        message=f"{name} had {len(found)} extra holders in one failover ({owners}), each beside a holder on the other side",
        live=_start(found[0]),
    )
