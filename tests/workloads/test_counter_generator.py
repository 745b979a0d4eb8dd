"""The counter workload's generator: one delta, no TTL, and a last read by every slot."""

from __future__ import annotations

from typing import Any

import pytest
from driving import Slot, drive, invocations

from backends.client import FUNCTIONS
from harness.driving.generator import MEETING_NEAR_NS, MEETING_NS, NS_PER_S, Generator, Invocation
from workloads.counter import COUNTER


def generator(delta: int = 1) -> Generator:
    return COUNTER.begin({"delta": delta}, FUNCTIONS)


def answer(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"value": 1 if invocation.f == "increment" else "1"}


@pytest.mark.parametrize("delta", [1, -3])
def test_every_increment_has_the_one_delta_and_no_ttl(delta: int) -> None:
    found = [each.value for each in invocations(drive(lambda: generator(delta), answer)) if each.f == "increment"]
    assert found
    assert all(each == {"delta": delta, "ttl_ms": None} for each in found)


def test_both_counters_are_incremented_and_read() -> None:
    used = {(each.key, each.f) for each in invocations(drive(generator, answer))}
    assert used == {(f"t1-counter-{n}", f) for n in range(2) for f in ("increment", "get")}


def test_near_a_meeting_the_increments_of_all_slots_go_to_one_counter_at_one_instant() -> None:
    for number in range(1, 5):
        slots = drive(generator, answer, [number * MEETING_NS - MEETING_NEAR_NS // 2] * 10)
        met = {(each.key, each.at) for each in invocations(slots) if each.f == "increment"}
        assert met == {(f"t1-counter-{number % 2}", number * MEETING_NS)}


def test_in_final_a_slot_reads_once_and_has_then_nothing_left() -> None:
    slot = Slot(0, generator())
    found = [slot.one(answer, NS_PER_S, "final", final_at=NS_PER_S) for _ in range(3)]
    assert [each and each.f for each in found] == ["get", None, None]


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    first, second, other = (invocations(drive(generator, answer, seed=seed)) for seed in (1, 1, 2))
    assert first == second != other
