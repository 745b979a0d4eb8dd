"""The limits of the interface, checked once for all backends, in front of each backend's commands.

A backend supplies `Commands`: strings in, one atomic step each. Rejected: every backend checking for
itself (one of them forgets, and a limit becomes a difference between backends).
"""

from __future__ import annotations

from typing import Protocol

from backends import lock
from backends.interface import Conflict, NotAnInteger, StateKey, Swapped, check_int64, check_ttl, check_value
from backends.lock import LockCommands

OPERATIONS = (
    "check_and_set",
    "compare_and_swap",
    "delete",
    "extend",
    "get",
    "get_versioned",
    "grant",
    "increment",
    "is_held",
    "release",
    "set",
)
"""The names of the commands that reach the server: all of `Commands` except node and close."""


class Commands(LockCommands, Protocol):
    """What a backend does: each method one atomic step at the server; keys are canonical, arguments checked."""

    @property
    def node(self) -> str | None:
        """The node that answered last."""
        ...

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool: ...

    def get(self, key: str) -> str | None: ...

    def get_versioned(self, key: str) -> tuple[str, int] | None: ...

    def set(self, key: str, value: str, ttl_ms: int | None) -> None: ...

    def delete(self, key: str) -> bool: ...

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        """Add; None (and no change) if the value is no integer or the sum no int64."""
        ...

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict: ...

    def close(self) -> None: ...


class CheckedSession:
    """A Session over a backend's commands. Raises ValueError before anything is sent; not thread-safe.

    Each backend derives one class from it, which only says how its commands are made.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    @property
    def node(self) -> str | None:
        """The node that answered last."""
        return self._commands.node

    def close(self) -> None:
        """Drop the connection; idempotent, sends nothing."""
        self._commands.close()

    def check_and_set(self, key: StateKey, value: str, ttl_ms: int | None) -> bool:
        """Set if missing; True = newly set."""
        check_value(value)
        check_ttl(ttl_ms)
        return self._commands.check_and_set(key.canonical, value, ttl_ms)

    def get(self, key: StateKey) -> str | None:
        """Read; None = missing."""
        return self._commands.get(key.canonical)

    def get_versioned(self, key: StateKey) -> tuple[str, int] | None:
        """Read value and version; None = missing."""
        return self._commands.get_versioned(key.canonical)

    def set(self, key: StateKey, value: str, ttl_ms: int | None) -> None:
        """Set unconditionally; a TTL of None clears it."""
        check_value(value)
        check_ttl(ttl_ms)
        self._commands.set(key.canonical, value, ttl_ms)

    def delete(self, key: StateKey) -> bool:
        """Remove; True if a live key was removed."""
        return self._commands.delete(key.canonical)

    def increment(self, key: StateKey, delta: int, ttl_ms: int | None) -> int:
        """Add; raise NotAnInteger, changing nothing, where it cannot."""
        check_int64(delta, "delta")
        check_ttl(ttl_ms)
        value = self._commands.increment(key.canonical, delta, ttl_ms)
        if value is None:
            raise NotAnInteger(f"{key.canonical!r} + {delta} is no int64")
        return value

    def compare_and_swap(self, key: StateKey, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        """Set if the version is the expected one; 0 = create if missing."""
        check_int64(expected_version, "expected_version")
        check_value(value)
        check_ttl(ttl_ms)
        return self._commands.compare_and_swap(key.canonical, expected_version, value, ttl_ms)

    def try_acquire(self, name: str, ttl_ms: int, *, owner: str | None = None) -> lock.Guard | None:
        """Take the lock if it is free."""
        return lock.try_acquire(self._commands, name, ttl_ms, owner)

    def guard(self, name: str, owner: str) -> lock.Guard:
        """Rebuild a guard from its token."""
        return lock.guard(self._commands, name, owner)

    def acquire(self, name: str, ttl_ms: int, timeout_ms: int, *, owner: str | None = None) -> lock.Guard:
        """Poll `try_acquire`; raise LockTimeout at the deadline."""
        return lock.acquire(self._commands, name, ttl_ms, timeout_ms, owner=owner)
