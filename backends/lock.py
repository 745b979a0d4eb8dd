"""Guards and the polling acquire, over the four lock commands that every backend has.

Polling and not waiting in a queue: the interface promises no order, and a poll needs nothing at the
server that could be lost with it.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from backends.interface import KEY_LIMIT_BYTES, LockExpired, LockTimeout, check_text, check_ttl

POLL_S = 0.020
# A poll that starts just before the deadline of `acquire` may still take this long: without it a
# healthy server would be given no time, and its answer would be lost as an indeterminate one.
GRACE_S = 0.150


class LockCommands(Protocol):
    """What a backend does for a lock: each one atomic step; arguments are checked already."""

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        """Take the lock if it is free and give its fencing token. `within_s` may lower the deadline."""
        ...

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        """Let the lock end at now + duration; False if it is not this owner's."""
        ...

    def release(self, name: str, owner: str) -> bool:
        """Remove the lock; False if it is not this owner's."""
        ...

    def is_held(self, name: str, owner: str) -> bool:
        """Say whether the lock is this owner's."""
        ...


@dataclass(frozen=True, slots=True)
class Guard:
    """One grant; a rebuilt one has fencing token 0. Uses its session's connection: one thread only."""

    commands: LockCommands
    name: str
    owner: str
    fencing_token: int = 0

    def extend(self, duration_ms: int) -> None:
        """Set expiry to now + duration; raise LockExpired if no longer held."""
        check_ttl(duration_ms, required=True)
        if not self.commands.extend(self.name, self.owner, duration_ms):
            raise LockExpired(f"lock {self.name!r} is not held by {self.owner!r}")

    def release(self) -> None:
        """Give the lock back; raise LockExpired if no longer held."""
        if not self.commands.release(self.name, self.owner):
            raise LockExpired(f"lock {self.name!r} is not held by {self.owner!r}")

    def is_held(self) -> bool:
        """Say whether this grant was live at some instant during the call."""
        return self.commands.is_held(self.name, self.owner)


def guard(commands: LockCommands, name: str, owner: str) -> Guard:
    """Rebuild a guard; raise ValueError for a name or owner outside the limits."""
    _check(name, "lock name")
    _check(owner, "owner token")
    return Guard(commands, name, owner)


def claim(commands: LockCommands, name: str, owner: str | None) -> Guard:
    """Give the guard of a lock that is yet to be taken, with an owner token of its own where none is given."""
    return guard(commands, name, uuid.uuid4().hex if owner is None else owner)


def try_acquire(claimed: Guard, ttl_ms: int, within_s: float | None = None) -> Guard | None:
    """Take the lock if it is free."""
    check_ttl(ttl_ms, required=True)
    token = claimed.commands.grant(claimed.name, claimed.owner, ttl_ms, within_s)
    return None if token is None else replace(claimed, fencing_token=token)


def acquire(
    claimed: Guard,
    ttl_ms: int,
    timeout_ms: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Guard:
    """Poll until granted, the last time at the deadline; raise LockTimeout after it.

    Returns within the timeout + GRACE_S even if the server hangs. An Indeterminate poll ends it: the
    lock may be ours by then, and polling on would wait for ourselves.
    """
    if not isinstance(timeout_ms, int) or isinstance(timeout_ms, bool) or timeout_ms < 0:
        raise ValueError(f"timeout_ms {timeout_ms!r}, expected a whole number of milliseconds >= 0")
    deadline = clock() + timeout_ms / 1000
    poll, last = 0, False
    while True:
        granted = try_acquire(claimed, ttl_ms, max(0.0, deadline - clock()) + GRACE_S)
        if granted is not None:
            return granted
        left_s = deadline - clock()
        if last or left_s <= 0:
            raise LockTimeout(f"lock {claimed.name!r} was not granted within {timeout_ms} ms")
        poll += 1
        pause_s = _pause_s(claimed.owner, poll)
        last = pause_s >= left_s
        sleep(min(pause_s, left_s))


def _pause_s(owner: str, poll: int) -> float:
    # Drawn from the token, so that waiters spread out and a run with given tokens repeats.
    return POLL_S * (0.75 + 0.5 * (zlib.crc32(f"{owner}:{poll}".encode()) / 2**32))


def _check(text: str, what: str) -> None:
    if not text:
        raise ValueError(f"{what} is empty")
    check_text(text, KEY_LIMIT_BYTES, what)
