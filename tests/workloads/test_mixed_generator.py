"""The mixed workload's generator, driven by hand: all functions on few keys, each key's crowd, what is written and read back."""

from __future__ import annotations

from typing import Any

from driving import SLOTS, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import MEETING_NS, NS_PER_S, Generator, Invocation
from workloads.mixed import LARGEST, MIXED, WEIGHTS

ANSWERS = {
    "get": {"value": None},
    "get_versioned": {"value": "x", "version": 3},
    "compare_and_swap": {"swapped": False, "version": 3, "value": "x"},
    "check_and_set": {"set": True},
    "delete": {"deleted": True},
    "increment": {"value": 1},
    "set": {},
}


def generator(**options: Any) -> Generator:
    return MIXED.begin(options, FUNCTIONS)


def answering(invocation: Invocation) -> tuple[str, Any]:
    return "ok", ANSWERS[invocation.f]


def test_every_function_of_a_key_is_driven_and_meets_the_others_on_one_key() -> None:
    on_key: dict[str, set[str]] = {}
    for each in invocations(drive(generator, answering)):
        on_key.setdefault(each.key, set()).add(each.f)
    assert sum(functions == set(WEIGHTS) for functions in on_key.values()) >= 8


def test_keys_are_new_again_and_again_and_the_one_before_is_used_a_little_longer() -> None:
    asked = [(given.now, each.key) for slot in drive(generator, answering) for given, each, _, _ in slot.done]
    late = sum(int(key.rpartition("-")[2]) < now * 3 // NS_PER_S for now, key in asked)
    assert {key for _, key in asked} == {f"t1-mixed-{n}" for n in range(10)}
    assert 0.05 * len(asked) < late < 0.25 * len(asked)


def test_a_crowd_has_keys_of_its_own_and_slots_of_both_sides() -> None:
    slots = drive(lambda: generator(crowd=2), answering)
    keys = [{each.key for each in slot.invocations} for slot in slots]
    assert [keys[0] & other == keys[0] for other in keys] == [True, False, True, False]


def test_no_value_is_written_twice() -> None:
    written = [each.value["value"] for each in invocations(drive(generator, answering)) if "value" in each.value]
    assert len(written) == len(set(written)) > 100


def test_written_are_numbers_texts_and_numbers_beyond_which_nothing_counts() -> None:
    written = [each.value["value"] for each in invocations(drive(generator, answering)) if "value" in each.value]
    numbers = [int(each) for each in written if each.isdigit()]
    assert len(numbers) < len(written)
    assert any(LARGEST - number < 2**53 for number in numbers)
    assert all(number <= LARGEST for number in numbers)


def test_half_of_what_is_written_has_a_ttl() -> None:
    ttls = [each.value["ttl_ms"] for each in invocations(drive(generator, answering)) if "ttl_ms" in each.value]
    assert 0.4 * len(ttls) < ttls.count(None) < 0.6 * len(ttls)


def test_a_swap_expects_the_version_that_was_seen_last() -> None:
    expected = {each.value["expected"] for each in invocations(drive(generator, answering)) if each.f == "compare_and_swap"}
    assert expected == {0, 3}


def test_near_a_meeting_the_crowd_meets_on_one_key_at_one_instant() -> None:
    met = invocations(drive(generator, answering, [2 * MEETING_NS - 1]))
    assert len(met) == SLOTS
    assert {(each.key, each.at) for each in met} == {("t1-mixed-1", 2 * MEETING_NS)}


def test_at_the_end_every_key_is_read_once() -> None:
    slots = [Slot(number, generator(crowd=2)) for number in range(SLOTS)]
    for now in times(2):
        for slot in slots:
            slot.one(answering, now)
    used = {each.key for each in invocations(slots)}
    for slot in slots:
        slot.done.clear()
        while slot.one(answering, 2 * NS_PER_S, "final", final_at=2 * NS_PER_S) is not None:
            pass
    read = [each.key for each in invocations(slots)]
    assert used <= set(read)
    assert len(read) == len(set(read))
