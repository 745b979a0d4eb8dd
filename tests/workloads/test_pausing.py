"""The gate of a run's workers: who is stopped, until when, and that every way out wakes all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.driving.system import PausesClients, Sleeper
from harness.record.history import Event
from workloads.resource.pausing import Pauses

LOCK, RECORD, TTL_MS = "t1-resource-0", "t1-record-0", 600
PATIENCE_S = 30.0


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Workers:
    """Slots that go through a gate, with a clock of their own."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stopped = False
        self.pauses = Pauses(lambda: self.now_s)

    def ended(self, slot: int, f: str, key: str, argument: Any, answer: Any) -> None:
        invoke = Event(index=0, time=0, process=slot, type="invoke", f=f, key=key, value=argument)
        self.pauses.note(slot, invoke, Event(index=1, time=1, process=slot, type="ok", f=f, key=key, value=answer))

    def granted(self, slot: int, token: int, lock: str = LOCK) -> None:
        self.ended(slot, "try_acquire", lock, {"owner": str(token), "ttl_ms": TTL_MS}, {"granted": True, "fencing_token": token})

    def read(self, slot: int, token: int | None, lock: str = LOCK) -> None:
        self.ended(slot, "resource_read", RECORD, {"lock": lock, "fencing_token": token}, {"value": 0, "token": token})

    def released(self, slot: int) -> None:
        self.ended(slot, "release", LOCK, {"owner": "x"}, {"released": True})

    def holds(self, slot: int, token: int, lock: str = LOCK) -> None:
        self.granted(slot, token, lock)
        self.read(slot, token, lock)

    def passes(self, slot: int) -> bool:
        """Say whether a slot is let through without being asked to stop."""
        asked: list[bool] = []

        def stop() -> bool:
            asked.append(True)
            return True

        self.pauses.wait(slot, stop)
        return not asked

    @contextmanager
    def asleep(self, slot: int) -> Iterator[threading.Thread]:
        """Let a slot come to the gate and fall asleep there; it must be awake in the end."""
        thread = threading.Thread(target=self.pauses.wait, args=(slot, lambda: self.stopped))
        thread.start()
        try:
            self.now_s += 0.001
            eventually(lambda: any(each.slot == slot and each.slept_ms > 0 for each in self._nudged()))
            yield thread
        finally:
            self.stopped = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def _nudged(self) -> list[Sleeper]:
        self.now_s += 0.001
        return self.pauses.sleepers()


def armed() -> Workers:
    workers = Workers()
    workers.pauses.pause_holders()
    return workers


def stopped(workers: Workers) -> list[int]:
    return [each.slot for each in workers.pauses.sleepers()]


def test_nobody_is_stopped_before_holders_are_paused() -> None:
    workers = Workers()
    workers.holds(1, 5)
    assert stopped(workers) == []


def test_a_holder_that_has_read_is_stopped() -> None:
    workers = armed()
    workers.holds(1, 5)
    assert stopped(workers) == [1]


def test_a_holder_from_before_that_reads_now_is_stopped() -> None:
    workers = Workers()
    workers.granted(1, 5)
    workers.pauses.pause_holders()
    workers.read(1, 5)
    assert stopped(workers) == [1]


def test_who_has_not_read_or_reads_without_the_lock_or_after_its_release_is_not_stopped() -> None:
    workers = armed()
    workers.granted(1, 5)
    workers.read(2, None)
    workers.granted(3, 6)
    workers.released(3)
    workers.read(3, 6)
    workers.granted(4, 7, "other")
    workers.read(4, 7, LOCK)
    assert stopped(workers) == []


def test_a_refused_acquisition_holds_nothing() -> None:
    workers = armed()
    workers.ended(1, "try_acquire", LOCK, {"owner": "x", "ttl_ms": TTL_MS}, {"granted": False, "fencing_token": None})
    workers.read(1, 5)
    assert stopped(workers) == []


def test_one_is_stopped_on_each_lock_and_the_next_holder_is_spared() -> None:
    workers = armed()
    workers.holds(1, 5)
    workers.holds(2, 6)
    workers.holds(3, 7, "other")
    assert stopped(workers) == [1, 3]


def test_it_sleeps_until_its_lease_has_passed_and_a_later_holder_has_read() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.now_s += 10 * TTL_MS / 1000
        thread.join(0.2)
        assert thread.is_alive()
        workers.holds(2, 6)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    (sleeper,) = workers.pauses.sleepers()
    assert (sleeper.slot, sleeper.key, sleeper.ttl_ms, sleeper.back) == (1, LOCK, TTL_MS, False)
    assert sleeper.slept_ms > TTL_MS


def test_a_later_holder_alone_does_not_wake_it_inside_its_lease() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.holds(2, 6)
        thread.join(0.2)
        assert thread.is_alive()
        workers.now_s += 2 * TTL_MS / 1000
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_an_earlier_holder_that_reads_late_does_not_wake_it() -> None:
    workers = armed()
    workers.granted(2, 4)
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.now_s += 10 * TTL_MS / 1000
        workers.read(2, 4)
        thread.join(0.2)
        assert thread.is_alive()


def test_it_is_back_once_it_has_acted_again() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.pauses.resume_clients()
        thread.join(PATIENCE_S)
        assert [each.back for each in workers.pauses.sleepers()] == [False]
        workers.ended(2, "is_held", LOCK, {"owner": "x"}, {"held": False})
        assert [each.back for each in workers.pauses.sleepers()] == [False]
        workers.ended(1, "is_held", LOCK, {"owner": "x"}, {"held": False})
        assert [each.back for each in workers.pauses.sleepers()] == [True]


def test_once_it_is_awake_the_next_holder_may_be_stopped() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.now_s += 10 * TTL_MS / 1000
        workers.holds(2, 6)
        thread.join(PATIENCE_S)
    workers.holds(3, 7)
    assert stopped(workers) == [1, 3]


def test_resuming_wakes_all_and_stops_nobody_any_more() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.pauses.resume_clients()
        workers.pauses.resume_clients()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    workers.holds(2, 6)
    assert stopped(workers) == [1]


def test_who_was_chosen_and_had_not_come_yet_is_let_through_after_resuming() -> None:
    workers = armed()
    workers.holds(1, 5)
    workers.pauses.resume_clients()
    assert stopped(workers) == []
    assert workers.passes(1)


def test_resuming_without_a_pause_changes_nothing() -> None:
    workers = Workers()
    workers.pauses.resume_clients()
    assert workers.passes(1)


def test_a_run_that_stops_wakes_a_sleeper() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1) as thread:
        workers.stopped = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_another_pause_forgets_the_sleepers_of_the_one_before() -> None:
    workers = armed()
    workers.holds(1, 5)
    with workers.asleep(1):
        workers.pauses.pause_holders()
        assert stopped(workers) == [1]
        workers.pauses.resume_clients()
        eventually(lambda: workers.passes(1))
    workers.pauses.pause_holders()
    assert stopped(workers) == []


def test_pauses_are_what_a_fault_on_clients_asks() -> None:
    assert isinstance(Pauses(), PausesClients)
