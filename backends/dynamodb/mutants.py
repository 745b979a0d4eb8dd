"""Planted bugs of the DynamoDB backend: edits of its requests, other clocks than its clients', and operations in several requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backends.bugs import SHARED, unanswered
from backends.mutant import Mutant, Right, Step, planted
from harness.driving.backend import Planted
from harness.driving.system import Need

if TYPE_CHECKING:
    from backends.dynamodb.session import ClientClock, DynamoCommands

    Change = Callable[[ClientClock], ClientClock]

LONG_MS = 10**12
SLOW_S = 0.25  # longer than the clocks' bound, by which others wait for a lock that is over


def _boundless(clock: ClientClock) -> ClientClock:
    return replace(clock, bound_ms=0)


def _patient(clock: ClientClock) -> ClientClock:
    """Give a clock for which nothing of others is ever over."""
    return replace(clock, bound_ms=LONG_MS)


def _by(change: Change, *operations: str) -> dict[str, Step]:
    """Give these operations by another clock."""

    def step(operation: str) -> Step:
        def done(right: Right[DynamoCommands], *arguments: Any) -> Any:
            return getattr(right.commands.by(change), operation)(*arguments)

        return done

    return {operation: step(operation) for operation in operations}


def _slow_looking_release(right: Right[DynamoCommands], name: str, owner: str) -> bool:
    if not right.commands.is_held(name, owner):
        return False
    time.sleep(SLOW_S)
    return right.commands.release(name, owner)


OWNED, ALIVE = "o = :o AND ", " AND e > :now"

MUTANTS: Mapping[str, Mutant] = {
    **SHARED,
    **unanswered.MUTANTS,
    "release-unchecked": Mutant(
        "release and extend do not check the owner: a late holder frees or prolongs another's lock",
        edits=(("release", OWNED, ""), ("extend", OWNED, "")),
    ),
    "release-looks-first": Mutant(
        f"release looks whose the lock is, then removes it in a second request {SLOW_S * 1000:.0f} ms later: it may be another's by then",
        {"release": _slow_looking_release},
        (("release", OWNED, ""),),
    ),
    "grant-after-release-only": Mutant("a grant does not look whether the lock has expired", _by(_patient, "grant")),
    "extend-expired": Mutant("extend does not look whether the lock has expired", edits=(("extend", ALIVE, ""),)),
    "release-expired": Mutant("release does not look whether the lock has expired", edits=(("release", ALIVE, ""),)),
    "clock-bound-ignored": Mutant(
        "who waits for another does not wait longer by the bound of the clients' clocks",
        _by(_boundless, "grant", "check_and_set"),
        needs=frozenset({Need.CLIENT_CLOCKS.value}),
    ),
    "cas-unchecked": Mutant("compare_and_swap does not compare", edits=(("compare_and_swap", "n = :n AND ", ""),)),
    "versions-restart": Mutant("set begins the versions again at 1", edits=(("set", "n = n + :one", "n = :one"),)),
    "get-expired": Mutant("a read does not look whether the key has expired", _by(_patient, "get", "get_versioned")),
    "set-expired": Mutant("set does not look whether the key has expired: versions go on", _by(_patient, "set")),
    "cas-expired": Mutant("compare_and_swap does not look whether the key has expired", _by(_patient, "compare_and_swap")),
    "increment-expired": Mutant(
        "increment does not look whether the key has expired: it counts on, and brings the counter back", _by(_patient, "increment")
    ),
    "delete-expired": Mutant("delete does not look whether the key has expired", _by(_patient, "delete")),
    "check-and-set-expired": Mutant("check_and_set does not look whether the key has expired", _by(_patient, "check_and_set")),
    "scan-expired": Mutant("a scan does not look whether a key has expired", _by(_patient, "scan", "scan_kind")),
    "set-keeps-ttl": Mutant("set without a TTL keeps the one that was there", edits=(("set", " REMOVE e", ""),)),
    "cas-keeps-ttl": Mutant("compare_and_swap without a TTL keeps the one that was there", edits=(("compare_and_swap", " REMOVE e", ""),)),
}

_SAID = planted(MUTANTS, SHARED)
PLANTED: Mapping[str, Planted] = {**_SAID, "clock-bound-ignored": replace(_SAID["clock-bound-ignored"], unseen=True)}
