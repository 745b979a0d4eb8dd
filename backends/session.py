"""The limits of the interface, checked once for all backends, in front of each backend's commands.

A backend supplies `Commands`: strings in, one atomic step each. Rejected: every backend checking for
itself (one of them forgets, and a limit becomes a difference between backends).
"""

from __future__ import annotations

from typing import Literal, Protocol

from backends import lock
from backends.interface import (
    Conflict,
    NotAnInteger,
    StateKey,
    Swapped,
    check_index_time,
    check_int64,
    check_kind,
    check_ttl,
    check_value,
    scan_stem,
)
from backends.lock import LockCommands

OPERATIONS = (
    "check_and_set",
    "compare_and_swap",
    "delete",
    "due",
    "extend",
    "get",
    "get_versioned",
    "grant",
    "increment",
    "index",
    "is_held",
    "release",
    "scan",
    "scan_kind",
    "set",
    "unindex",
)
"""The names of the commands that reach the server: all of `Commands` except node and close."""


Index = Literal["timeout", "chain"]
"""The two indexes: of timeouts, and of chains that are ready."""


class Commands(LockCommands, Protocol):
    """What a backend does: each method one atomic step at the server; keys are canonical, arguments checked.

    `scan`, `scan_kind` and `due` may be several requests, each an atomic step within the deadline.
    """

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

    def scan(self, stem: str) -> list[tuple[str, str]]:
        """Give key and value of the live keys that begin with `stem` (literally, namespace:tenant:kind:prefix)."""
        ...

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        """Give key and value of the live keys whose third component is `kind`."""
        ...

    def index(self, index: Index, key: str, time_ms: int) -> None:
        """Enter a key, or give its entry another time."""
        ...

    def unindex(self, index: Index, key: str) -> None:
        """Take a key out; idempotent."""
        ...

    def due(self, index: Index, now_ms: int) -> list[str]:
        """Give the keys of the entries with a time <= now, ascending by time, each once."""
        ...

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

    def scan_keys(self, namespace: str, tenant: str, kind: str, prefix: str) -> list[tuple[str, str]]:
        """Give key and value of the live keys there whose id begins with `prefix`."""
        return self._commands.scan(scan_stem(namespace, tenant, kind, prefix))

    def scan_keys_by_kind(self, kind: str) -> list[tuple[str, str]]:
        """Give key and value of the live keys of one kind."""
        check_kind(kind)
        return self._commands.scan_kind(kind)

    def index_timeout(self, key: StateKey, expires_at_ms: int) -> None:
        """Enter a key into the index of timeouts."""
        check_index_time(expires_at_ms, "expires_at_ms")
        self._commands.index("timeout", key.canonical, expires_at_ms)

    def remove_timeout_index(self, key: StateKey) -> None:
        """Take a key out of the index of timeouts."""
        self._commands.unindex("timeout", key.canonical)

    def get_expired_timeouts(self, now_ms: int) -> list[str]:
        """Give the keys whose timeout has come, ascending by time."""
        check_index_time(now_ms, "now_ms")
        return self._commands.due("timeout", now_ms)

    def index_chain_ready(self, key: StateKey, ready_at_ms: int) -> None:
        """Enter a key into the index of chains."""
        check_index_time(ready_at_ms, "ready_at_ms")
        self._commands.index("chain", key.canonical, ready_at_ms)

    def remove_chain_ready_index(self, key: StateKey) -> None:
        """Take a key out of the index of chains."""
        self._commands.unindex("chain", key.canonical)

    def get_ready_chains(self, now_ms: int) -> list[str]:
        """Give the keys of the chains that are ready, ascending by time."""
        check_index_time(now_ms, "now_ms")
        return self._commands.due("chain", now_ms)

    def try_acquire(self, name: str, ttl_ms: int, *, owner: str | None = None) -> lock.Guard | None:
        """Take the lock if it is free."""
        return lock.try_acquire(lock.claim(self._commands, name, owner), ttl_ms)

    def guard(self, name: str, owner: str) -> lock.Guard:
        """Rebuild a guard from its token."""
        return lock.guard(self._commands, name, owner)

    def acquire(self, name: str, ttl_ms: int, timeout_ms: int, *, owner: str | None = None) -> lock.Guard:
        """Poll `try_acquire`; raise LockTimeout at the deadline."""
        return lock.acquire(lock.claim(self._commands, name, owner), ttl_ms, timeout_ms)
