"""How often a lock went on after a holder that had died: a count that a claim may ask for."""

from __future__ import annotations

from itertools import pairwise

from harness.judging.checkers.grants import Grant, grants
from harness.judging.checkers.skew import skew_of
from harness.record.history import History


def granted_after_expiry(history: History) -> int:
    """Count the grants by which a lock went on after a holder that had not released it, as one that died does not.

    That each came in time, within TTL + skew + one poll, is what spurious-refusal and stuck of the lease rules
    deny: an attempt invoked after the last instant at which a lease can live may not be refused.
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
