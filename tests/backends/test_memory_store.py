"""The memory store with a simulated clock: expiry is exact to the nanosecond."""

from __future__ import annotations

import pytest

from backends.interface import Conflict
from backends.memory.store import MemoryStore

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 5

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


def test_a_value_is_live_until_the_instant_of_its_end(store: MemoryStore, clock: Clock) -> None:
    store.set("k", "a", 2)
    clock.now += 2 * MS - 1
    assert store.get("k") == "a"
    clock.now += 1
    assert store.get("k") is None
    assert store.compare_and_swap("k", 1, "b", None) == Conflict(None, 0)


def test_a_lock_is_held_until_the_instant_of_its_end(store: MemoryStore, clock: Clock) -> None:
    assert store.grant("n", "a", 2) == 1
    clock.now += 2 * MS - 1
    assert store.grant("n", "b", 2) is None
    clock.now += 1
    assert store.is_held("n", "a") is False
    assert store.grant("n", "b", 2) == 2


def test_an_extend_counts_from_now(store: MemoryStore, clock: Clock) -> None:
    store.grant("n", "a", 10)
    clock.now += 9 * MS
    assert store.extend("n", "a", 3)
    clock.now += 3 * MS - 1
    assert store.is_held("n", "a")
    clock.now += 1
    assert not store.extend("n", "a", 3)


def test_an_increment_on_an_expired_value_counts_from_zero(store: MemoryStore, clock: Clock) -> None:
    assert store.increment("k", 5, 1) == 5
    clock.now += MS
    assert store.increment("k", 5, None) == 5
    clock.now += MS
    assert store.get_versioned("k") == ("5", 1)


def test_a_refused_increment_keeps_the_ttl(store: MemoryStore, clock: Clock) -> None:
    store.set("k", "text", 1)
    assert store.increment("k", 1, 1_000) is None
    clock.now += MS
    assert store.get("k") is None


def test_an_expired_value_is_removed_when_looked_at(store: MemoryStore, clock: Clock) -> None:
    store.set("k", "a", 1)
    store.grant("n", "a", 1)
    clock.now += MS
    store.get("k")
    store.is_held("n", "a")
    assert not store.entries
    assert not store.leases


def test_a_command_looks_at_the_clock_once() -> None:
    readings = iter(range(0, 100 * MS, MS))
    store = MemoryStore(lambda: next(readings))
    store.set("k", "a", 3)  # at 0 ms: until 3 ms
    store.set("k", "b", 3)  # at 1 ms: until 4 ms
    assert [store.get("k") for _ in range(3)] == ["b", "b", None]  # at 2, 3 and 4 ms
