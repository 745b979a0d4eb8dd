"""Wrong locks, made of right ones."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping

from backends.mutant import Mutant, Right
from backends.session import Commands

R = Right[Commands]
WAIT_S, LOOK_S = 1.0, 0.01
FOR_EVER_MS = 10**9  # 11 days
BEHIND_MS = 300
ANYBODY = ""
"""The owner by which an edited `is_held` is asked whether anybody holds the lock; no owner is called so."""


def unlucky(word: str, one_in: int = 4) -> bool:
    """Say whether this request is one of those that go wrong: the same each time it is asked."""
    return zlib.crc32(word.encode()) % one_in == 0


def waiting_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    end = time.monotonic() + WAIT_S
    while (token := right.commands.grant(name, owner, ttl_ms, None)) is None and time.monotonic() < end:
        time.sleep(LOOK_S)
    return token


def _lasting_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return right.commands.grant(name, owner, 2 * ttl_ms, within_s)


def _half_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return right.commands.grant(name, owner, max(1, ttl_ms // 2), within_s)


def _half_extend(right: R, name: str, owner: str, duration_ms: int) -> bool:
    return right.commands.extend(name, owner, max(1, duration_ms // 2))


def _endless_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return right.commands.grant(name, owner, FOR_EVER_MS, within_s)


def _stamped_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    return right.commands.grant(name, owner, max(1, ttl_ms - BEHIND_MS * unlucky(owner, 2)), within_s)


def _repeating_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    return None if token is None else (token + 1) // 2


def _stalling_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    return token - 1 if token is not None and token % 8 == 0 else token


def _timed_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    return None if token is None else int(time.time())


def _reentrant_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    mine = right.kept.get((name, owner))
    if mine is not None and right.commands.extend(name, owner, ttl_ms):
        return int(mine)
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    right.kept[(name, owner)] = token
    return token


def _retried_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    return right.commands.grant(name, owner, ttl_ms, within_s) if unlucky(owner) else token


def looking_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    """Look whether anybody holds the lock, then take it: needs an `is_held` that answers for ANYBODY and a grant that does not look."""
    if right.commands.is_held(name, ANYBODY):
        return None
    right.yield_()
    return right.commands.grant(name, owner, ttl_ms, within_s)


def looking_release(right: R, name: str, owner: str) -> bool:
    """Look whether the lock is this owner's, then remove it: needs a release that does not look."""
    if not right.commands.is_held(name, owner):
        return False
    right.yield_()
    return right.commands.release(name, owner)


def _boasting_release(right: R, name: str, owner: str) -> bool:
    right.commands.release(name, owner)
    return True


def _boasting_extend(right: R, name: str, owner: str, duration_ms: int) -> bool:
    right.commands.extend(name, owner, duration_ms)
    return True


def _idle_extend(right: R, name: str, owner: str, duration_ms: int) -> bool:
    return right.commands.is_held(name, owner)


def _noting_grant(right: R, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    token = right.commands.grant(name, owner, ttl_ms, within_s)
    if token is not None:
        right.kept[(name, owner)] = time.monotonic() + ttl_ms / 1000
    return token


def _adding_extend(right: R, name: str, owner: str, duration_ms: int) -> bool:
    end = max(time.monotonic(), right.kept.get((name, owner), 0.0)) + duration_ms / 1000
    held = right.commands.extend(name, owner, max(1, round((end - time.monotonic()) * 1000)))
    if held:
        right.kept[(name, owner)] = end
    return held


MUTANTS: Mapping[str, Mutant] = {
    "grant-waits": Mutant("a refused acquisition waits up to 1 s, whatever time its caller gives it", {"grant": waiting_grant}),
    "ttl-early": Mutant("a lock ends at half of its TTL or extension", {"grant": _half_grant, "extend": _half_extend}),
    "ttl-late": Mutant("a lock is free again only after twice its TTL", {"grant": _lasting_grant}),
    "grant-endless": Mutant("a grant sets no expiry: a lock that is not released is never free again", {"grant": _endless_grant}),
    "grant-stamped": Mutant(
        f"a lock's end is stamped by its client's clock, and every second client's is {BEHIND_MS} ms behind", {"grant": _stamped_grant}
    ),
    "grant-reentrant": Mutant("a grant lets the lock's holder in again", {"grant": _reentrant_grant}),
    "grant-retried": Mutant(
        "one grant in four is asked for again after it was applied, as a hidden retry would, and answered refused",
        {"grant": _retried_grant},
    ),
    "extend-adds": Mutant("extend adds to the time that is left", {"grant": _noting_grant, "extend": _adding_extend}),
    "extend-idle": Mutant("extend answers that it did, and renews nothing", {"extend": _idle_extend}),
    "extend-boasts": Mutant("extend answers that it did, also where the lock was lost", {"extend": _boasting_extend}),
    "release-boasts": Mutant("release answers that it did, also where the lock was lost", {"release": _boasting_release}),
    "fencing-repeats": Mutant("every fencing token is given twice in a row", {"grant": _repeating_grant}),
    "fencing-stalls": Mutant("the fencing counter stands still once in eight", {"grant": _stalling_grant}),
    "fencing-timed": Mutant("the fencing token is the time in seconds", {"grant": _timed_grant}),
}
