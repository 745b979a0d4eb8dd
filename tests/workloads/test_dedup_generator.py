"""The dedup workload's generator: all slots meet on the same new key, and every key is read back once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from driving import SLOTS, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import NS_PER_S, Generator, Invocation
from workloads.dedup import DEDUP


def generator(keys_per_s: int = 20) -> Generator:
    return DEDUP.begin({"keys_per_s": keys_per_s}, FUNCTIONS)


def winning(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"set": True} if invocation.f == "check_and_set" else {"value": None}


def unanswered(invocation: Invocation) -> tuple[str, Any]:
    return "info", None


@pytest.mark.parametrize("now", [0, 1, 49_999_999, 50_000_000, NS_PER_S, 7 * NS_PER_S + 3])
def test_all_slots_choose_the_same_key_and_instant_at_the_same_time(now: int) -> None:
    chosen = {(each.f, each.key, each.at) for each in invocations(drive(generator, winning, [now]))}
    assert len(chosen) == 1


def test_the_instant_is_never_past_and_less_than_one_key_away() -> None:
    for now in times(1, per_s=997):
        invocation = Slot(0, generator(17)).one(winning, now)
        assert invocation is not None
        assert now <= invocation.at <= now + NS_PER_S // 17 + 1


def test_slots_that_come_at_different_times_within_one_key_still_meet() -> None:
    met = [Slot(number, generator()).one(winning, NS_PER_S + number * 10_000_000) for number in range(SLOTS)]
    assert len({(each.key, each.at) for each in met if each is not None}) == 1


def test_a_slot_that_comes_back_at_once_goes_on_to_the_next_key() -> None:
    slot = Slot(0, generator())
    assert [each.key for _ in range(3) if (each := slot.one(winning, 0)) is not None] == ["t1-dedup-1", "t1-dedup-2", "t1-dedup-3"]


def test_a_slot_that_was_late_leaves_out_what_is_past() -> None:
    slot = Slot(0, generator())
    slot.one(winning, 0)
    late = slot.one(winning, 2 * NS_PER_S)
    assert late is not None
    assert late.key == "t1-dedup-41"


@pytest.mark.parametrize("answer", [winning, unanswered], ids=lambda answer: answer.__name__)
def test_no_slot_tries_a_key_twice_and_no_value_is_given_twice(answer: Any) -> None:
    slots = drive(generator, answer)
    for slot in slots:
        assert len({each.key for each in slot.invocations}) == len(slot.invocations)
    values = [each.value["value"] for each in invocations(slots)]
    assert len(values) == len(set(values))


def test_nothing_has_a_ttl() -> None:
    assert {each.value["ttl_ms"] for each in invocations(drive(generator, winning))} == {None}


@pytest.mark.parametrize("keys_per_s", [7, 20, 300])
def test_in_final_every_key_that_anybody_tried_is_read_by_exactly_one_slot(keys_per_s: int) -> None:
    slots = [Slot(number, generator(keys_per_s)) for number in range(SLOTS)]
    ready = [0] * SLOTS
    end = 2 * NS_PER_S
    for now in times(2, per_s=61):
        for slot in slots:
            if ready[slot.number] <= now and (tried := slot.one(winning, now)) is not None:
                ready[slot.number] = tried.at
    tried_keys = {each.key for each in invocations(slots)}
    for slot in slots:
        slot.done.clear()
        while slot.one(winning, end, "final", final_at=end) is not None:
            pass
    reads = Counter(each.key for each in invocations(slots) if each.f == "get")
    assert tried_keys <= set(reads)
    assert set(reads.values()) == {1}
    assert {each.f for each in invocations(slots)} == {"get"}


@pytest.mark.parametrize("final_at", [NS_PER_S, NS_PER_S + 30_000_000])
def test_the_last_key_that_can_be_chosen_before_final_is_read(final_at: int) -> None:
    last = Slot(3, generator()).one(winning, final_at - 1)
    slots = drive(generator, winning, [final_at] * 20, phase="final", final_at=final_at)
    assert last is not None
    assert last.key in {each.key for each in invocations(slots)}


def test_after_its_reads_a_slot_has_nothing_left() -> None:
    slot = Slot(0, generator())
    while slot.one(winning, NS_PER_S, "final", final_at=NS_PER_S) is not None:
        pass
    assert slot.one(winning, 2 * NS_PER_S, "final", final_at=NS_PER_S) is None


def test_the_same_times_draw_the_same_whatever_the_seed() -> None:
    assert invocations(drive(generator, winning, seed=1)) == invocations(drive(generator, winning, seed=2))
