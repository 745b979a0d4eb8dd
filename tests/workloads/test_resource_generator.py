"""The resource workload's generator: the round of a slot, what ends it, and that every record is looked at in the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from driving import SLOTS, Answer, Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import NS_PER_S, Generator, Invocation
from workloads.resource import RESOURCE


def generator(names: int = 2, fenced: int = 0, left_percent: int = 0) -> Generator:
    return RESOURCE.begin({"names": names, "ttl_ms": 600, "fenced": fenced, "left_percent": left_percent}, FUNCTIONS)


def well(invocation: Invocation) -> tuple[str, Any]:
    """Answer as a free lock and a record of 41 would."""
    answers = {
        "try_acquire": {"granted": True, "fencing_token": 7},
        "resource_read": {"value": 41, "token": 7},
        "resource_write": {"written": True},
        "release": {"released": True},
    }
    return "ok", answers[invocation.f]


def but(f: str, type_: str, value: Any = None) -> Answer:
    """Answer well but for one function."""
    return lambda invocation: (type_, value) if invocation.f == f else well(invocation)


def functions(answer: Answer, count: int = 6) -> list[str]:
    slot = Slot(0, generator())
    return [each.f for n in range(count) if (each := slot.one(answer, n * NS_PER_S)) is not None]


ROUND = ["try_acquire", "resource_read", "resource_write", "release"]


def test_a_slot_goes_round() -> None:
    assert functions(well, 9) == [*ROUND, *ROUND, "try_acquire"]


def test_it_writes_what_it_read_plus_one_with_the_token_of_its_grant() -> None:
    slot = Slot(0, generator(names=1))
    acquire, read, write, release = (slot.one(well, NS_PER_S) for _ in range(4))
    assert acquire is not None
    assert read is not None
    assert write is not None
    assert release is not None
    assert acquire.value["ttl_ms"] == 600
    assert (read.key, read.value) == ("t1-record-0", {"lock": "t1-resource-0", "fencing_token": 7})
    assert (write.key, write.value) == ("t1-record-0", {"lock": "t1-resource-0", "fencing_token": 7, "value": 42, "checked": False})
    assert (release.key, release.value) == (acquire.key, {"owner": acquire.value["owner"]})


def test_fenced_writes_ask_for_the_check() -> None:
    slot = Slot(0, generator(fenced=1))
    for _ in range(3):
        slot.one(well, NS_PER_S)
    assert slot.invocations[-1].value["checked"] is True


@pytest.mark.parametrize(("type_", "value"), [("ok", {"granted": False, "fencing_token": None}), ("fail", None), ("info", None)])
def test_who_is_not_granted_the_lock_tries_again(type_: str, value: Any) -> None:
    assert functions(but("try_acquire", type_, value), 3) == ["try_acquire"] * 3


@pytest.mark.parametrize("type_", ["fail", "info"])
def test_an_access_without_an_answer_ends_the_round_with_a_release(type_: str) -> None:
    assert functions(but("resource_read", type_), 4) == ["try_acquire", "resource_read", "release", "try_acquire"]
    assert functions(but("resource_write", type_), 5) == [*ROUND, "try_acquire"]


@pytest.mark.parametrize("type_", ["fail", "info"])
def test_a_release_without_an_answer_is_not_repeated(type_: str) -> None:
    assert functions(but("release", type_), 5) == [*ROUND, "try_acquire"]


def test_a_refused_write_ends_as_a_taken_one() -> None:
    assert functions(but("resource_write", "ok", {"written": False}), 5) == [*ROUND, "try_acquire"]


def test_a_share_of_the_locks_is_left_to_run_out() -> None:
    found = Counter(each.f for each in invocations(drive(lambda: generator(left_percent=25), well)))
    assert 0.6 * found["resource_write"] < found["release"] < 0.9 * found["resource_write"]


def test_no_owner_token_is_used_for_two_attempts() -> None:
    owners = Counter(each.value["owner"] for each in invocations(drive(generator, well)) if each.f == "try_acquire")
    assert set(owners.values()) == {1}


def test_slots_that_are_free_meet_on_one_lock_at_one_instant() -> None:
    refused = but("try_acquire", "ok", {"granted": False, "fencing_token": None})
    met = Counter((each.key, each.at) for each in invocations(drive(generator, refused, times(1))) if each.at)
    assert max(met.values()) >= SLOTS


@pytest.mark.parametrize("names", [1, 3, SLOTS, SLOTS + 3])
def test_in_the_end_every_record_is_looked_at_once_without_a_token(names: int) -> None:
    slots = [Slot(number, generator(names)) for number in range(SLOTS)]
    for slot in slots:
        slot.one(well, NS_PER_S)  # a round is open
        while slot.one(well, 2 * NS_PER_S, "final") is not None:
            pass
    looks = [each for each in invocations(slots) if each.f != "try_acquire"]
    assert Counter(each.key for each in looks) == {f"t1-record-{number}": 1 for number in range(names)}
    assert {(each.f, each.value["fencing_token"]) for each in looks} == {("resource_read", None)}
