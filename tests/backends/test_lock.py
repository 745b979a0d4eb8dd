"""Polling for a lock, with a simulated clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from backends.interface import LockTimeout
from backends.lock import GRACE_S, POLL_S, acquire, claim
from harness.driving.client import Indeterminate, NotApplied


@dataclass
class Simulated:
    """A lock that is free from `free_at_s` on, and a clock that moves when slept on, and by `cost_s` a poll."""

    free_at_s: float
    cost_s: float = 0.0
    now_s: float = 0.0
    polls: list[float] = field(default_factory=list)
    owners: set[str] = field(default_factory=set)
    budgets: list[float | None] = field(default_factory=list)
    error: Exception | None = None

    def grant(self, name: str, owner: str, ttl_ms: int, within_s: float | None) -> int | None:
        self.polls.append(self.now_s)
        self.owners.add(owner)
        self.budgets.append(within_s)
        self.now_s += self.cost_s
        if self.error:
            raise self.error
        return 7 if self.polls[-1] >= self.free_at_s else None

    def extend(self, name: str, owner: str, duration_ms: int) -> bool:
        raise NotImplementedError

    def release(self, name: str, owner: str) -> bool:
        raise NotImplementedError

    def is_held(self, name: str, owner: str) -> bool:
        raise NotImplementedError

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds

    def acquire(self, timeout_ms: int, owner: str = "o") -> int:
        return acquire(claim(self, "n", owner), 1000, timeout_ms, clock=lambda: self.now_s, sleep=self.sleep).fencing_token


def test_a_free_lock_is_granted_at_the_first_poll() -> None:
    lock = Simulated(0)
    assert lock.acquire(1000) == 7
    assert lock.polls == [0]


def test_a_lock_is_granted_within_one_poll_of_its_end() -> None:
    lock = Simulated(0.5)
    assert lock.acquire(1000) == 7
    assert lock.polls[-1] - 0.5 <= 1.25 * POLL_S


def test_polls_are_jittered_by_the_owner_and_repeat_with_it() -> None:
    def polls(owner: str) -> list[float]:
        lock = Simulated(0.5)
        lock.acquire(1000, owner)
        return lock.polls

    assert polls("a") == polls("a") != polls("b")
    gaps = [after - before for before, after in zip(polls("a"), polls("a")[1:], strict=False)]
    assert min(gaps) >= 0.75 * POLL_S - 1e-9
    assert max(gaps) <= 1.25 * POLL_S + 1e-9
    assert len({round(gap, 6) for gap in gaps}) > 5


def test_the_last_poll_is_at_the_deadline_and_none_after_it() -> None:
    lock = Simulated(10)
    with pytest.raises(LockTimeout):
        lock.acquire(100)
    assert lock.polls[-1] == pytest.approx(0.1)
    assert lock.now_s == pytest.approx(0.1)


def test_a_timeout_of_zero_is_one_poll() -> None:
    lock = Simulated(10)
    with pytest.raises(LockTimeout):
        lock.acquire(0)
    assert lock.polls == [0]


def test_a_slow_poll_across_the_deadline_is_the_last() -> None:
    lock = Simulated(10, cost_s=0.3)
    with pytest.raises(LockTimeout):
        lock.acquire(200)
    assert lock.polls == [0]


def test_every_poll_has_the_rest_of_the_time_and_the_grace() -> None:
    lock = Simulated(0.2)
    lock.acquire(500)
    assert lock.budgets == [pytest.approx(max(0.0, 0.5 - at) + GRACE_S) for at in lock.polls]


@pytest.mark.parametrize("error", [Indeterminate("sent"), NotApplied("not sent")])
def test_an_unanswered_poll_ends_it(error: Exception) -> None:
    lock = Simulated(0, error=error)
    with pytest.raises(type(error)):
        lock.acquire(1000)
    assert len(lock.polls) == 1


def test_one_acquire_has_one_owner() -> None:
    lock = Simulated(0.3)
    acquire(claim(lock, "n", None), 1000, 500, clock=lambda: lock.now_s, sleep=lock.sleep)
    assert len(lock.owners) == 1
