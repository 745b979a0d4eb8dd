"""The index workload's generator: both indexes, entries moved and removed, lists at their very times, names that are only names."""

from __future__ import annotations

from collections import Counter
from typing import Any

from driving import SLOTS, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from backends.interface import INDEX_TIME_MAX_MS, StateKey
from harness.driving.generator import NS_PER_S, Generator, Invocation
from harness.record.keys import in_full
from workloads.index import IDS, INDEX, LAST_MS


def generator(**options: Any) -> Generator:
    return INDEX.begin(options, FUNCTIONS)


def answering(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"keys": []} if "now_ms" in invocation.value else {}


def test_every_function_of_both_indexes_is_driven() -> None:
    drawn = Counter(each.f for each in invocations(drive(generator, answering)))
    assert set(drawn) == INDEX.functions
    assert min(drawn.values()) > 50


def test_every_name_and_time_is_within_the_limits_of_the_interface() -> None:
    for each in invocations(drive(generator, answering)):
        if "key" in each.value:
            assert StateKey.parse(in_full(each.value["key"]))
        assert all(0 <= each.value[name] <= INDEX_TIME_MAX_MS for name in ("time_ms", "now_ms") if name in each.value)


def test_every_hostile_id_is_used() -> None:
    names = {each.value["key"] for each in invocations(drive(generator, answering)) if "key" in each.value}
    assert all(any(name.endswith(f"-{id_}") for name in names) for id_ in IDS)


def test_lists_ask_for_the_very_time_of_an_entry_and_the_instant_before() -> None:
    drawn = invocations(drive(generator, answering))
    entered = {each.value["time_ms"] for each in drawn if "time_ms" in each.value}
    asked = Counter(each.value["now_ms"] for each in drawn if "now_ms" in each.value)
    assert sum(number for at, number in asked.items() if at in entered) > 50
    assert sum(number for at, number in asked.items() if at + 1 in entered) > 20
    assert asked[LAST_MS] > 20


def test_a_slot_keeps_as_many_entries_as_it_is_told_and_moves_and_removes_its_own() -> None:
    slot = Slot(2, generator(kept=2, shared=0, list_percent=0))
    for now in times(1):
        slot.one(answering, now)
    kept = set[str]()
    moved = 0
    for each in slot.invocations:
        name = each.value["key"]
        assert name.startswith("t1-2-")
        moved += name in kept and "time_ms" in each.value
        kept = kept | {name} if "time_ms" in each.value else kept - {name}
        assert len(kept) <= 2
    assert moved > 20


def test_slots_meet_on_one_entry_that_is_everybodys_and_some_of_them_list() -> None:
    near = NS_PER_S - 1
    met = [each for each in invocations(drive(generator, answering, [near])) if each.at == NS_PER_S]
    assert len(met) == SLOTS
    assert {each.value["key"] for each in met if "key" in each.value} == {"t1-shared-2"}
    assert any("now_ms" in each.value for each in met)


def test_at_the_end_a_slot_lists_all_takes_its_own_out_and_lists_again() -> None:
    slot = Slot(0, generator(kept=2, shared=0, list_percent=0))
    for now in times(0.1):
        slot.one(answering, now)
    slot.done.clear()
    while slot.one(answering, NS_PER_S, "final", final_at=NS_PER_S) is not None:
        pass
    said = ["list" if "now_ms" in each.value else "leave" for each in slot.invocations]
    assert said == ["list", "list", *["leave"] * (len(said) - 4), "list", "list"]
    assert {each.value["now_ms"] for each in slot.invocations if "now_ms" in each.value} == {LAST_MS}


def test_what_was_not_answered_is_no_entry_of_ones_own() -> None:
    slot = Slot(0, generator(kept=1, shared=0, list_percent=0))
    for now in times(0.2):
        slot.one(lambda _: ("info", None), now)
    assert len({each.value["key"] for each in slot.invocations}) == len(slot.invocations)
