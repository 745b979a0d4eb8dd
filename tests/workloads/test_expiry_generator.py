"""The expiry workload's generator, driven by hand: what a key is, who makes it, and what is aimed at its end."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from driving import SLOTS, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import NS_PER_S, Generator, Invocation
from workloads.expiry import AIMED, EXPIRY, FATES, MAKERS, life

MS = 1_000_000
PERIOD = 2 * 320 + 40
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
    return EXPIRY.begin({"lanes": 1, "own": 0, **options}, FUNCTIONS)


def answering(invocation: Invocation) -> tuple[str, Any]:
    return "ok", ANSWERS[invocation.f]


def began(key: str) -> int:
    """Give when the time of a key of the only lane began."""
    return int(key.rpartition("-")[2]) * PERIOD * MS


def lives(count: int = 400) -> list[Any]:
    return [life("t1", place, 320) for place in range(count)]


def test_keys_have_every_length_maker_fate_and_aim() -> None:
    assert {each.ttl_ms for each in lives()} == {80, 160, 240, 320}
    assert {each.maker for each in lives()} == set(MAKERS)
    assert {each.fate for each in lives()} == set(FATES)
    assert {each.aimed for each in lives()} == set(AIMED)
    assert None in {each.meets_ms for each in lives()}


def test_a_key_ends_within_its_time_whatever_becomes_of_it() -> None:
    assert all(0 < each.born < each.turned < each.end < PERIOD * MS for each in lives())


def test_a_key_is_the_same_for_every_slot_and_another_in_another_trial() -> None:
    assert life("t1", 7, 320) == life("t1", 7, 320)
    assert [life("t1", place, 320).fate for place in range(40)] != [life("t2", place, 320).fate for place in range(40)]


def test_a_crowd_makes_a_key_all_at_once_and_nobody_before() -> None:
    for place in range(8):
        at = began(f"-{place}") + 40 * MS
        made = invocations(drive(generator, answering, [at - 20 * MS]))
        assert [(each.f, each.at) for each in made] == [(life("t1", place, 320).maker, at)] * SLOTS
        before = invocations(drive(generator, answering, [at - 35 * MS]))
        assert {each.f for each in before} <= {"get", "get_versioned"}


def test_a_key_that_is_left_is_only_refused_and_looked_at_until_its_end() -> None:
    for each in invocations(drive(generator, answering, times(8))):
        mine = life("t1", int(each.key.rpartition("-")[2]), 320)
        if mine.fate == "left" and each.at == began(each.key) + mine.turned:
            assert each.f == "check_and_set"


def test_a_cleared_key_gets_no_ttl_and_a_renewed_one_its_own() -> None:
    turned: dict[str, set[Any]] = {}
    for each in invocations(drive(generator, answering, times(12))):
        mine = life("t1", int(each.key.rpartition("-")[2]), 320)
        if each.at == began(each.key) + mine.turned and mine.fate in ("cleared", "renewed"):
            turned.setdefault(mine.fate, set()).add(each.value["ttl_ms"] == mine.ttl_ms)
            assert each.value["ttl_ms"] in (None, mine.ttl_ms)
    assert turned == {"cleared": {False}, "renewed": {True}}


def test_what_is_aimed_at_the_end_comes_from_both_sides() -> None:
    sides: Counter[bool] = Counter()
    for each in invocations(drive(generator, answering, times(12))):
        end = began(each.key) + life("t1", int(each.key.rpartition("-")[2]), 320).end
        if each.at and abs(each.at - end) <= 20 * MS:
            sides[each.at < end] += 1
    assert min(sides[True], sides[False]) > 100


def test_where_all_come_at_once_it_is_just_after_the_end_and_some_look() -> None:
    place = next(place for place, each in enumerate(lives()) if each.meets_ms and each.aimed == "set")
    mine = life("t1", place, 320)
    at = began(mine.key) + mine.end + round(mine.meets_ms * MS)
    met = [each for seed in range(8) for each in invocations(drive(generator, answering, [at - 10 * MS], seed=seed))]
    assert {each.at for each in met} == {at}
    assert {each.f for each in met} == {"set", "get", "get_versioned"}


def test_an_increment_before_the_end_brings_no_ttl_and_keeps_it() -> None:
    seen = 0
    for slot in drive(generator, answering, times(12)):
        for given, each, _, _ in slot.done:
            mine = life("t1", int(each.key.rpartition("-")[2]), 320)
            if each.f == "increment" and each.at == 0 and given.now - began(each.key) < mine.end - 31 * MS:
                seen += 1
                assert each.value["ttl_ms"] is None
    assert seen


def test_no_number_is_written_twice_and_all_can_be_counted_on() -> None:
    written = [each.value["value"] for each in invocations(drive(generator, answering)) if "value" in each.value]
    assert len(written) == len(set(written))
    assert all(each.isdigit() for each in written)


def test_lanes_of_a_crowd_overlap_so_that_two_keys_are_used_at_a_time() -> None:
    one, two = ({each.key for each in invocations(drive(lambda n=n: generator(lanes=n), answering, times(0.5)))} for n in (1, 2))
    assert (len(one), len(two)) == (1, 3)


def test_at_the_end_the_present_keys_are_looked_at_once() -> None:
    slot = Slot(0, generator(lanes=2))
    looked = [slot.one(answering, NS_PER_S, "final", final_at=NS_PER_S) for _ in range(3)]
    assert [each.f if each else None for each in looked] == ["get_versioned", "get_versioned", None]


# What a slot has to itself


def own_keys(slot: Slot) -> dict[str, list[tuple[int, Invocation]]]:
    found: dict[str, list[tuple[int, Invocation]]] = {}
    for context, each, _, _ in slot.done:
        if "-own-" in each.key:
            found.setdefault(each.key, []).append((max(context.now, each.at), each))
    return found


@cache
def alone() -> list[Slot]:
    return drive(lambda: generator(own=1), answering, times(30))


def test_a_slots_own_key_is_no_other_slots() -> None:
    keys = [key for slot in alone() for key in own_keys(slot)]
    assert len(keys) == len(set(keys)) > 100


def test_a_slots_own_key_is_made_looked_at_used_when_it_is_over_and_its_version_read() -> None:
    met: set[tuple[str, str]] = set()
    for slot in alone():
        for uses in own_keys(slot).values():
            if len(uses) < 3:
                continue  # it was not carried to its end
            (made_at, made), *looks, (used_at, used), (_, last) = uses
            ttl_ms = made.value["ttl_ms"]
            assert last.f == "get_versioned"
            assert used_at - made_at >= (ttl_ms + 5) * MS
            assert all(0 < made_at + ttl_ms * MS - at <= 40 * MS for at, _ in looks)
            met.add((made.f, used.f))
    assert met == {(made, used) for made in MAKERS for used in AIMED}


def test_a_slots_own_key_that_is_swapped_in_expects_to_be_missing() -> None:
    made = [uses[0][1] for slot in alone() for uses in own_keys(slot).values()]
    assert {each.value["expected"] for each in made if each.f == "compare_and_swap"} == {0}
