"""The acquire workload's generator: who waits, who holds, and what is given back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from driving import Answer, drive, invocations

from backends.client import FUNCTIONS
from harness.driving.generator import NS_PER_S, Generator, Invocation
from workloads.acquire import ACQUIRE


def generator() -> Generator:
    return ACQUIRE.begin({}, FUNCTIONS)


def granted(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"released": True} if invocation.f == "release" else {"granted": True, "fencing_token": 1}


def answer(type_: str, value: Any) -> Answer:
    return lambda invocation: (type_, value)


def test_most_wait_and_some_hold_for_longer() -> None:
    found = invocations(drive(generator, granted))
    share = Counter(each.f for each in found)
    assert share["acquire_within"] > share["try_acquire"] > 0
    assert {(each.value["timeout_ms"], each.value["ttl_ms"]) for each in found if each.f == "acquire_within"} == {(300, 150)}
    assert {each.value["ttl_ms"] for each in found if each.f == "try_acquire"} == {500}


def test_about_half_of_the_waiters_give_back_what_they_were_granted_and_holders_never_do() -> None:
    found = invocations(drive(generator, granted))
    waiters = {(each.key, each.value["owner"]) for each in found if each.f == "acquire_within"}
    released = [(each.key, each.value["owner"]) for each in found if each.f == "release"]
    assert set(released) <= waiters
    assert len(released) == len(set(released))
    assert 0.3 * len(waiters) < len(released) < 0.7 * len(waiters)


@pytest.mark.parametrize(("type_", "value"), [("ok", {"granted": False, "fencing_token": None}), ("info", None), ("fail", None)])
def test_what_was_not_granted_for_certain_is_not_released(type_: str, value: Any) -> None:
    assert {each.f for each in invocations(drive(generator, answer(type_, value)))} == {"acquire_within", "try_acquire"}


def test_no_owner_token_is_used_for_two_attempts() -> None:
    owners = Counter(each.value["owner"] for each in invocations(drive(generator, granted)) if each.f != "release")
    assert set(owners.values()) == {1}


def test_nothing_is_left_to_do_in_the_end() -> None:
    assert invocations(drive(generator, granted, [NS_PER_S], phase="final")) == []
