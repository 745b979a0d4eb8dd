"""The document's interface: StateStore and DistributedLock, their results, limits and errors.

Names are those of the document (`state-backends.md`); the rules are those of `guarantees.toml`. Every operation is one
atomic step at the server, except scans, `acquire` and paged index reads. Expired means missing.
Limits are checked by `StateKey` and the `check_*` functions below, before anything is sent, so that
every backend refuses the same input with the same ValueError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

KEY_LIMIT_BYTES = 1_024
VALUE_LIMIT_BYTES = 350_000
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INDEX_TIME_MAX_MS = 2**53
INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)


class StateError(Exception):
    """The server answered that the operation does not apply; nothing was changed.

    StateError
    ├── NotAnInteger   increment on a value that is no int64, or that would overflow
    ├── LockExpired    extend or release by a guard whose lock is gone
    └── LockTimeout    acquire's deadline passed
    """


class NotAnInteger(StateError):
    """The value is not an int64 in the form -?(0|[1-9]\\d*), or the sum would overflow."""


class LockExpired(StateError):
    """The lock is no longer this guard's."""


class LockTimeout(StateError):
    """The lock was not granted before the deadline."""


@dataclass(frozen=True, slots=True)
class StateKey:
    """A key: `namespace:tenant:kind:id`. Only the id may contain a colon, and it is not empty."""

    namespace: str
    tenant: str
    kind: str
    id: str

    def __post_init__(self) -> None:
        for name in ("namespace", "tenant", "kind"):
            if ":" in getattr(self, name):
                raise ValueError(f"{name} {getattr(self, name)!r} contains ':', which only the id may")
        if not self.id:
            raise ValueError("the id of a key is empty")
        check_text(self.canonical, KEY_LIMIT_BYTES, "key")

    @property
    def canonical(self) -> str:
        """Give the key as one string."""
        return f"{self.namespace}:{self.tenant}:{self.kind}:{self.id}"

    @classmethod
    def parse(cls, canonical: str) -> StateKey:
        """Read a canonical key; raise ValueError if it has fewer than four components."""
        parts = canonical.split(":", 3)
        if len(parts) != 4:
            raise ValueError(f"key {canonical!r}, expected namespace:tenant:kind:id")
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Swapped:
    """The swap happened; `version` is the new one."""

    version: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The swap was refused by this state: (None, 0) = missing."""

    value: str | None
    version: int


def check_text(text: str, limit_bytes: int, what: str) -> None:
    """Raise ValueError unless the text is UTF-8 without NUL and within its limit."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} is not valid Unicode text") from None
    if "\0" in text:
        raise ValueError(f"{what} {text!r} contains NUL")
    if size > limit_bytes:
        raise ValueError(f"{what} has {size} bytes, at most {limit_bytes} are allowed")


def check_value(value: str) -> None:
    """Raise ValueError unless the value is within its limits."""
    check_text(value, VALUE_LIMIT_BYTES, "value")


def check_ttl(ttl_ms: int | None, *, required: bool = False) -> None:
    """Raise ValueError unless the TTL is null (where allowed) or at least 1 ms, and fits in 2**53."""
    if ttl_ms is None and not required:
        return
    if not isinstance(ttl_ms, int) or isinstance(ttl_ms, bool) or not 1 <= ttl_ms <= INDEX_TIME_MAX_MS:
        raise ValueError(f"ttl_ms {ttl_ms!r}, expected {'' if required else 'null or '}a whole number of milliseconds >= 1")


def check_int64(number: int, what: str) -> None:
    """Raise ValueError unless the number is an int64."""
    if not isinstance(number, int) or isinstance(number, bool) or not INT64_MIN <= number <= INT64_MAX:
        raise ValueError(f"{what} {number!r}, expected an int64")


def check_index_time(time_ms: int, what: str) -> None:
    """Raise ValueError unless this is a time that an index holds: Unix milliseconds from 0 to 2**53."""
    if not isinstance(time_ms, int) or isinstance(time_ms, bool) or not 0 <= time_ms <= INDEX_TIME_MAX_MS:
        raise ValueError(f"{what} {time_ms!r}, expected Unix milliseconds from 0 to 2**53")


def scan_stem(namespace: str, tenant: str, kind: str, prefix: str) -> str:
    """Give what the canonical keys of a scan begin with; raise ValueError where no key could."""
    if not prefix:
        return StateKey(namespace, tenant, kind, "x").canonical[:-1]
    return StateKey(namespace, tenant, kind, prefix).canonical


def check_kind(kind: str) -> None:
    """Raise ValueError where no key could be of this kind."""
    StateKey("", "", kind, "x")


class StateStore(Protocol):
    """Key-value state. Keys are StateKey, values text; `ttl_ms` None = no expiry."""

    def check_and_set(self, key: StateKey, value: str, ttl_ms: int | None) -> bool:
        """Set if missing; True = newly set. On False neither value nor TTL changes."""
        ...

    def get(self, key: StateKey) -> str | None:
        """Read linearizably; None = missing."""
        ...

    def get_versioned(self, key: StateKey) -> tuple[str, int] | None:
        """Read value and version linearizably. Versions start at 1 and rise by 1 at every write."""
        ...

    def set(self, key: StateKey, value: str, ttl_ms: int | None) -> None:
        """Set unconditionally; replaces the TTL, None clears it."""
        ...

    def delete(self, key: StateKey) -> bool:
        """Remove; True if a live key was removed. Versions start at 1 again."""
        ...

    def increment(self, key: StateKey, delta: int, ttl_ms: int | None) -> int:
        """Add; missing counts as 0. A TTL is set anew at every call, None keeps it.

        Raises NotAnInteger, changing nothing.
        """
        ...

    def compare_and_swap(self, key: StateKey, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        """Set if the version is the expected one (0 = create if missing); TTL as with `set`."""
        ...

    def scan_keys(self, namespace: str, tenant: str, kind: str, prefix: str) -> list[tuple[str, str]]:
        """Give canonical key and value of every live key there whose id begins with `prefix`, taken literally.

        No snapshot and no order, each key at most once: what was live during the whole call is in, what
        was missing during the whole call is not. Several requests, each of which ends within the deadline.
        """
        ...

    def scan_keys_by_kind(self, kind: str) -> list[tuple[str, str]]:
        """Do the same for the keys of one kind in every namespace and tenant."""
        ...

    def index_timeout(self, key: StateKey, expires_at_ms: int) -> None:
        """Enter a key into the index of timeouts, or give its entry another time (Unix ms). The data key need not exist."""
        ...

    def remove_timeout_index(self, key: StateKey) -> None:
        """Take a key out of the index of timeouts; idempotent."""
        ...

    def get_expired_timeouts(self, now_ms: int) -> list[str]:
        """Give the canonical keys of the entries with a time <= now, ascending by time, each once, under the rule of scans."""
        ...

    def index_chain_ready(self, key: StateKey, ready_at_ms: int) -> None:
        """Enter a key into the index of chains, which is separate; else as `index_timeout`."""
        ...

    def remove_chain_ready_index(self, key: StateKey) -> None:
        """Take a key out of the index of chains; idempotent."""
        ...

    def get_ready_chains(self, now_ms: int) -> list[str]:
        """Give the canonical keys of the chains that are ready; else as `get_expired_timeouts`."""
        ...


class LockGuard(Protocol):
    """One grant, named by its owner token."""

    @property
    def owner(self) -> str:
        """The owner token, unique to this grant."""
        ...

    @property
    def fencing_token(self) -> int:
        """Greater than every token acknowledged before this grant was invoked; 0 in a rebuilt guard."""
        ...

    def extend(self, duration_ms: int) -> None:
        """Set expiry to now + duration (may shorten); raises LockExpired if no longer held."""
        ...

    def release(self) -> None:
        """Give the lock back; raises LockExpired if no longer held."""
        ...

    def is_held(self) -> bool:
        """True if this grant was live at some instant during the call."""
        ...


class DistributedLock(Protocol):
    """Leases on names. Not re-entrant. Names are texts under the limits of a key."""

    def try_acquire(self, name: str, ttl_ms: int, *, owner: str | None = None) -> LockGuard | None:
        """Take the lock if it is free. `owner` is a fresh token; drawn here if None."""
        ...

    def guard(self, name: str, owner: str) -> LockGuard:
        """Rebuild a guard from its token: for late and stray releases."""
        ...

    def acquire(self, name: str, ttl_ms: int, timeout_ms: int, *, owner: str | None = None) -> LockGuard:
        """Poll `try_acquire`; raises LockTimeout at the deadline. `owner` as there."""
        ...


class Session(StateStore, DistributedLock, Protocol):
    """A process' private connection: store and lock of one backend.

    Each method raises harness.driving.client.NotApplied, Indeterminate or Unclassified where the server
    did not answer; a StateError is an answer. After an Indeterminate the connection is dropped and
    the next call connects anew.
    """

    @property
    def node(self) -> str | None:
        """The node that answered last."""
        ...

    def close(self) -> None:
        """Drop the connection; idempotent, sends nothing."""
        ...
