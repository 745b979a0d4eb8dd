"""Choosing a mutant by name, replacing some of a backend's commands, and the planted bugs that need nothing but commands."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from backends.interface import Conflict, Swapped
from backends.session import Commands

Mutant = TypeVar("Mutant")
C = TypeVar("C")
Step = Callable[..., Any]
"""(right, *arguments of the operation) -> its result"""
WAIT_S, LOOK_S = 1.0, 0.01


@dataclass(frozen=True, slots=True)
class Right(Generic[C]):
    """What a wrong step is made of: the right commands, and what lets others run between two of them."""

    commands: C
    yield_: Callable[[], None]


def bound(steps: Mapping[str, Step], right: Right[C]) -> dict[str, Step]:
    """Give steps as operations, which take arguments only."""
    return {name: partial(step, right) for name, step in steps.items()}


def choose(mutants: Mapping[str, Mutant], name: str) -> Mutant:
    """Give the mutant of this name; raise ValueError naming the nearest."""
    if name in mutants:
        return mutants[name]
    near = difflib.get_close_matches(name, mutants, 1, cutoff=0.0)
    raise ValueError(f"unknown mutant {name!r}, did you mean {near[0]!r}? There are: {', '.join(sorted(mutants))}")


def altered(commands: Commands, steps: Mapping[str, Callable[..., Any]]) -> Commands:
    """Give these commands with some of them replaced, by method name."""
    return cast(Commands, _Altered(commands, steps))


class _Altered:
    def __init__(self, commands: Commands, steps: Mapping[str, Callable[..., Any]]) -> None:
        self._commands, self._steps = commands, steps

    def __getattr__(self, name: str) -> Any:
        return self._steps[name] if name in self._steps else getattr(self._commands, name)


def get_then_set(right: Right[Commands], key: str, value: str, ttl_ms: int | None) -> bool:
    """check_and_set as a read and a write: two processes can both read "missing"."""
    if right.commands.get(key) is not None:
        return False
    right.yield_()
    right.commands.set(key, value, ttl_ms)
    return True


def stale_cas(right: Right[Commands], key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
    """compare_and_swap as a read and an unconditional write: the version compared may be gone by then."""
    current, version = right.commands.get_versioned(key) or (None, 0)
    if version != expected_version:
        return Conflict(current, version)
    right.yield_()
    right.commands.set(key, value, ttl_ms)
    return Swapped(version + 1)


def waiting_grant(right: Right[Commands], name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    """An acquisition that waits for the lock, as a blocking one would, and does not look at its caller's deadline."""
    end = time.monotonic() + WAIT_S
    while (token := right.commands.grant(name, owner, ttl_ms, None)) is None and time.monotonic() < end:
        time.sleep(LOOK_S)
    return token


def lasting_grant(right: Right[Commands], name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
    """An acquisition whose lease lasts twice its TTL: after its holder's death the lock is not free in time."""
    return right.commands.grant(name, owner, 2 * ttl_ms, within_s)
