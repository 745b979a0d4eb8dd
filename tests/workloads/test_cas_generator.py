"""The cas workload's generator: what the linearizability check relies on holds of every operation it draws."""

from __future__ import annotations

from typing import Any

import pytest
from driving import Answer, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import MEETING_NEAR_NS, MEETING_NS, Generator, Invocation
from workloads.cas import CAS

DELETED = "t1-cas-deleted"


def generator(keys: int = 3) -> Generator:
    return CAS.begin({"keys": keys}, FUNCTIONS)


def at_version(version: int) -> Answer:
    def answer(invocation: Invocation) -> tuple[str, Any]:
        swapped = {"swapped": True, "version": version, "value": "x"}
        read = {"value": "x", "version": version}
        return "ok", {"get_versioned": read, "compare_and_swap": swapped, "delete": {"deleted": True}}.get(invocation.f, {})

    return answer


def unanswered(invocation: Invocation) -> tuple[str, Any]:
    return "info", None


def failing(invocation: Invocation) -> tuple[str, Any]:
    return "fail", None


answers = pytest.mark.parametrize("answer", [at_version(7), unanswered, failing], ids=["ok", "info", "fail"])


def writes(found: list[Invocation]) -> list[Invocation]:
    return [each for each in found if each.f in ("set", "compare_and_swap")]


@answers
def test_no_value_is_written_twice_to_a_key_by_any_slot(answer: Answer) -> None:
    written = [(each.key, each.value["value"]) for each in writes(invocations(drive(generator, answer)))]
    assert len(written) == len(set(written))


@answers
def test_nothing_has_a_ttl(answer: Answer) -> None:
    assert {each.value["ttl_ms"] for each in writes(invocations(drive(generator, answer)))} == {None}


@answers
def test_deletes_meet_only_their_own_key(answer: Answer) -> None:
    found = invocations(drive(generator, answer))
    assert {each.key for each in found if each.f == "delete"} == {DELETED}


@answers
def test_the_key_that_is_deleted_is_touched_by_two_slots_only(answer: Answer) -> None:
    slots = drive(generator, answer)
    assert {slot.number for slot in slots if any(each.key == DELETED for each in slot.invocations)} == {0, 1}


def test_the_key_that_is_deleted_is_read_and_written_too() -> None:
    used = {each.f for each in invocations(drive(generator, at_version(7))) if each.key == DELETED}
    assert used == {"delete", "get_versioned", "set", "compare_and_swap"}


def test_who_has_deleted_the_key_reads_it_twice_at_once() -> None:
    for slot in drive(generator, at_version(7)):
        found = [(each.f, each.key) for each in slot.invocations]
        after = [found[n + 1 : n + 3] for n, (f, _) in enumerate(found[:-2]) if f == "delete"]
        assert all(two == [("get_versioned", DELETED)] * 2 for two in after)


def test_the_other_keys_are_read_set_and_swapped_and_never_deleted() -> None:
    used = {(each.key, each.f) for each in invocations(drive(generator, at_version(7))) if each.key != DELETED}
    assert used == {(f"t1-cas-{n}", f) for n in range(3) for f in ("get_versioned", "set", "compare_and_swap")}


def test_a_swap_expects_version_0_of_a_key_never_seen() -> None:
    swaps = [each for each in invocations(drive(generator, unanswered)) if each.f == "compare_and_swap"]
    assert {each.value["expected"] for each in swaps} == {0}


def test_a_swap_expects_the_version_that_its_slot_last_saw_of_that_key() -> None:
    answered = 0

    def rising(invocation: Invocation) -> tuple[str, Any]:
        nonlocal answered
        answered += 1
        return at_version(answered)(invocation)

    for slot in drive(generator, rising):
        seen: dict[str, int] = {}
        for _, invocation, _, value in slot.done:
            if invocation.f == "compare_and_swap":
                assert invocation.value["expected"] == seen.get(invocation.key, 0)
            if "version" in value:
                seen[invocation.key] = value["version"]


def test_a_swap_that_did_not_match_teaches_the_version_too() -> None:
    def refusing(invocation: Invocation) -> tuple[str, Any]:
        return "ok", {"swapped": False, "version": 9, "value": "y", "deleted": False} if invocation.f != "get_versioned" else {"version": 9}

    slots = drive(generator, refusing)
    assert 9 in {each.value["expected"] for each in invocations(slots) if each.f == "compare_and_swap"}


@pytest.mark.parametrize("answer", [unanswered, failing], ids=["info", "fail"])
def test_an_operation_without_an_answer_teaches_nothing(answer: Answer) -> None:
    slot = Slot(0, generator())
    for now in times(1):
        slot.one(answer, now)
    assert slot.generator == generator()


def test_near_a_meeting_the_writes_of_all_slots_go_to_one_key_at_one_instant() -> None:
    for number in range(1, 7):
        slots = drive(generator, at_version(7), [number * MEETING_NS - MEETING_NEAR_NS // 2] * 20)
        met = {(each.key, each.at) for each in writes(invocations(slots)) if each.key != DELETED}
        assert met == {(f"t1-cas-{number % 3}", number * MEETING_NS)}


def test_reads_wait_for_no_meeting() -> None:
    assert {each.at for each in invocations(drive(generator, at_version(7))) if each.f == "get_versioned"} == {0}


def test_in_final_nothing_is_asked() -> None:
    assert invocations(drive(generator, at_version(7), phase="final")) == []


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    first, second, other = (invocations(drive(generator, at_version(7), seed=seed)) for seed in (1, 1, 2))
    assert first == second != other
