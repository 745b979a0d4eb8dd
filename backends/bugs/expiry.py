"""Wrong times of expiry, made of right ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backends.mutant import Mutant, Right, Step
from backends.session import Commands

R = Right[Commands]
Ttl = Callable[[int], int | None]
SECOND_MS = 1000


def _with_ttl(operation: str, change: Ttl) -> dict[str, Step]:
    """Give the operation with another TTL than the one that it was given; the TTL is its last argument, but for grant's deadline."""

    def step(right: R, *arguments: Any) -> Any:
        at = 2 if operation == "grant" else len(arguments) - 1
        ttl_ms = arguments[at]
        changed = (*arguments[:at], None if ttl_ms is None else change(ttl_ms), *arguments[at + 1 :])
        return getattr(right.commands, operation)(*changed)

    return {operation: step}


def _none(ttl_ms: int) -> None:
    return None


def _short(ttl_ms: int) -> int:
    return max(1, ttl_ms * 7 // 10)


def _truncated(ttl_ms: int) -> int:
    return max(1, ttl_ms // SECOND_MS * SECOND_MS)


def _rounded_up(ttl_ms: int) -> int:
    return -(-ttl_ms // SECOND_MS) * SECOND_MS


def _everywhere(change: Ttl) -> dict[str, Step]:
    return {name: step for each in WITH_TTL for name, step in _with_ttl(each, change).items()}


def _renewed_once(right: R, key: str, delta: int, ttl_ms: int | None) -> int | None:
    found = right.commands.get(key)
    return right.commands.increment(key, delta, ttl_ms if found is None else None)


WITH_TTL = ("check_and_set", "set", "compare_and_swap", "increment", "grant")

MUTANTS: Mapping[str, Mutant] = {
    "check-and-set-endless": Mutant("check_and_set ignores its TTL", _with_ttl("check_and_set", _none)),
    "set-endless": Mutant("set ignores its TTL", _with_ttl("set", _none)),
    "cas-endless": Mutant("compare_and_swap ignores its TTL", _with_ttl("compare_and_swap", _none)),
    "increment-endless": Mutant("increment ignores its TTL: the window of a throttle never ends", _with_ttl("increment", _none)),
    "check-and-set-short": Mutant("a key that check_and_set sets lives 30 % too short", _with_ttl("check_and_set", _short)),
    "set-short": Mutant("a key that set writes lives 30 % too short", _with_ttl("set", _short)),
    "increment-short": Mutant("a counter's window ends 30 % too early", _with_ttl("increment", _short)),
    "increment-renews-once": Mutant("increment sets its TTL only where it makes the key", {"increment": _renewed_once}),
    "ttl-truncated": Mutant("TTLs are cut to whole seconds", _everywhere(_truncated)),
    "ttl-rounded-up": Mutant("TTLs are rounded up to whole seconds", _everywhere(_rounded_up)),
}
