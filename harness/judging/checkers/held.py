"""Grants after holders that had died: a count that a claim may ask for."""

from __future__ import annotations

from itertools import pairwise

from harness.judging.checkers.grants import Grant, grants
from harness.judging.checkers.skew import skew_of
from harness.record.history import History


def granted_after_expiry(history: History) -> int:
    """Count the grants that followed a holder who never released. A holder that died does not.

    Whether each came in time (TTL + skew + one poll) is not counted here. The lease rules say so: past the last instant at which
    a lease can live no attempt may be refused, which is spurious-refusal, or stuck.
    """
    operations = history.operations()
    releases = {operation.index: operation.start for operation in operations if operation.f == "release"}
    of_key: dict[str | None, list[Grant]] = {}
    for grant in grants(operations, skew_of(history)):
        if grant.acknowledged_at is not None:
            of_key.setdefault(grant.key, []).append(grant)
    count = 0
    for found in of_key.values():
        ordered = sorted(found, key=lambda grant: grant.acknowledged_at or 0)
        for before, after in pairwise(ordered):
            granted = after.acknowledged_at or 0
            released = any(releases.get(index, granted) < granted for index in before.operations)
            count += not released and (before.must_end or 0) <= granted
    return count
