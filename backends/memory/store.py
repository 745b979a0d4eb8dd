"""The store in memory, shared by the threads of one process.

One mutex around every command, so that each is one atomic step, at one instant; expiry is decided inside it, by the
clock passed in. Rejected: a lock per shard or per key (a reader that evicts an expired entry outside
the lock removes its successor, the bug of mutant `read-evicts`). Expired entries are removed when
their key is next used or a scan meets them; memory grows by those that never are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from backends.interface import INT64_MAX, INT64_MIN, INTEGER, Conflict, Swapped
from backends.session import Index

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A live value: `expires_at_ns` by the store's clock, None = never; from that instant on it is missing."""

    value: str
    version: int
    expires_at_ns: int | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lock."""

    owner: str
    token: int
    expires_at_ns: int


class MemoryStore:
    """The commands of `backends.session`, each under one mutex; thread-safe."""

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns, node: str = "memory") -> None:
        self._clock_ns, self._node = clock_ns, node
        self.mutex = threading.RLock()  # re-entrant: a mutant holds it around several commands
        self._instant_ns: int | None = None
        self.entries: dict[str, Entry] = {}
        self.leases: dict[str, Lease] = {}
        self.indexes: dict[Index, dict[str, int]] = {"timeout": {}, "chain": {}}
        self.fence = 0

    @property
    def node(self) -> str | None:
        return self._node

    def close(self) -> None:
        """Do nothing: there is no connection."""

    @contextmanager
    def instant(self) -> Iterator[None]:
        """Take the mutex for one atomic step, all of it at one instant: a thread may be stopped between two looks at the clock."""
        with self.mutex:
            outer = self._instant_ns
            self._instant_ns = self._now_ns()
            try:
                yield
            finally:
                self._instant_ns = outer

    def _now_ns(self) -> int:
        return self._clock_ns() if self._instant_ns is None else self._instant_ns

    def entry(self, key: str) -> Entry | None:
        """Give the live entry; call it under the mutex."""
        found = self.entries.get(key)
        if found is None or not self.passed(found.expires_at_ns):
            return found
        del self.entries[key]
        return None

    def lease(self, name: str) -> Lease | None:
        """Give the live lease; call it under the mutex."""
        found = self.leases.get(name)
        if found is None or not self.passed(found.expires_at_ns):
            return found
        del self.leases[name]
        return None

    def passed(self, expires_at_ns: int | None) -> bool:
        """Say whether this instant has come; None never does."""
        return expires_at_ns is not None and self._now_ns() >= expires_at_ns

    def after_ns(self, ms: int) -> int:
        """Give the instant this many milliseconds from now."""
        return self._now_ns() + ms * NS_PER_MS

    def check_and_set(self, key: str, value: str, ttl_ms: int | None) -> bool:
        with self.instant():
            if self.entry(key) is not None:
                return False
            self.entries[key] = Entry(value, 1, self._expiry(ttl_ms))
            return True

    def get(self, key: str) -> str | None:
        with self.instant():
            found = self.entry(key)
            return found.value if found else None

    def get_versioned(self, key: str) -> tuple[str, int] | None:
        with self.instant():
            found = self.entry(key)
            return (found.value, found.version) if found else None

    def set(self, key: str, value: str, ttl_ms: int | None) -> None:
        with self.instant():
            found = self.entry(key)
            self.entries[key] = Entry(value, found.version + 1 if found else 1, self._expiry(ttl_ms))

    def delete(self, key: str) -> bool:
        with self.instant():
            found = self.entry(key)
            if found is None:
                return False
            del self.entries[key]
            return True

    def increment(self, key: str, delta: int, ttl_ms: int | None) -> int | None:
        with self.instant():
            found = self.entry(key) or Entry("0", 0, None)
            # The length first: int() of a long text takes quadratic time, and is refused by Python from 4,300 digits on.
            if len(found.value) > 20 or not INTEGER.fullmatch(found.value):
                return None
            old, new = int(found.value), int(found.value) + delta
            if not (INT64_MIN <= old <= INT64_MAX and INT64_MIN <= new <= INT64_MAX):
                return None
            expires_at_ns = found.expires_at_ns if ttl_ms is None else self.after_ns(ttl_ms)
            self.entries[key] = Entry(str(new), found.version + 1, expires_at_ns)
            return new

    def compare_and_swap(self, key: str, expected_version: int, value: str, ttl_ms: int | None) -> Swapped | Conflict:
        with self.instant():
            found = self.entry(key)
            version = found.version if found else 0
            if version != expected_version:
                return Conflict(found.value if found else None, version)
            self.entries[key] = Entry(value, version + 1, self._expiry(ttl_ms))
            return Swapped(version + 1)

    def scan(self, stem: str) -> list[tuple[str, str]]:
        with self.instant():
            return self._live(key for key in self.entries if key.startswith(stem))

    def scan_kind(self, kind: str) -> list[tuple[str, str]]:
        with self.instant():
            return self._live(key for key in self.entries if key.split(":", 3)[2] == kind)

    def index(self, index: Index, key: str, time_ms: int) -> None:
        with self.instant():
            self.indexes[index][key] = time_ms

    def unindex(self, index: Index, key: str) -> None:
        with self.instant():
            self.indexes[index].pop(key, None)

    def due(self, index: Index, now_ms: int) -> list[str]:
        with self.instant():
            times = self.indexes[index]
            return sorted((key for key, time_ms in times.items() if time_ms <= now_ms), key=times.__getitem__)

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None = None) -> int | None:
        with self.instant():
            if self.lease(name) is not None:
                return None
            self.fence += 1
            self.leases[name] = Lease(owner, self.fence, self.after_ns(ttl_ms))
            return self.fence

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        with self.instant():
            found = self.lease(name)
            if found is None or found.owner != owner:
                return False
            self.leases[name] = replace(found, expires_at_ns=self.after_ns(duration_ms))
            return True

    def release(self, name: str, owner: str) -> bool:
        with self.instant():
            found = self.lease(name)
            if found is None or found.owner != owner:
                return False
            del self.leases[name]
            return True

    def is_held(self, name: str, owner: str) -> bool:
        with self.instant():
            found = self.lease(name)
            return found is not None and found.owner == owner

    def _live(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        found = [(key, self.entry(key)) for key in list(keys)]  # the list first: looking at an expired entry removes it
        return [(key, entry.value) for key, entry in found if entry is not None]

    def _expiry(self, ttl_ms: int | None) -> int | None:
        return None if ttl_ms is None else self.after_ns(ttl_ms)
