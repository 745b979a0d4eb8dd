"""The throttle workload's generator, driven by hand: bursts, comebacks, and calls that never stop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from driving import Slot, drive, invocations, times

from backends.client import FUNCTIONS
from harness.driving.generator import NS_PER_S, Generator, Invocation
from workloads.throttle import COMEBACKS, THROTTLE

MS = 1_000_000
WINDOW = 300 * MS


def generator(**options: Any) -> Generator:
    return THROTTLE.begin(options, FUNCTIONS)


def answering(invocation: Invocation) -> tuple[str, Any]:
    return "ok", {"value": 1 if invocation.f == "increment" else "1"}


def calls(moments: Any = None, **options: Any) -> list[Invocation]:
    slots = drive(lambda: generator(**options), answering, times(8) if moments is None else moments)
    return [each for each in invocations(slots) if each.f == "increment"]


def test_every_call_counts_by_one_and_sets_the_window_anew() -> None:
    assert all(each.value == {"delta": 1, "ttl_ms": 300} for steady in (0, 1) for each in calls(steady=steady))


def test_a_burst_is_called_by_all_at_the_same_instants() -> None:
    slots = drive(generator, answering, times(0.1))
    instants = [{each.at for each in slot.invocations if each.f == "increment"} for slot in slots]
    assert all(each == {WINDOW // 8, WINDOW // 4, WINDOW * 3 // 8} for each in instants)


def test_who_comes_back_comes_before_the_end_at_it_and_after_it_in_turn() -> None:
    after: dict[int, set[int]] = {}
    for each in calls():
        number, since = divmod(each.at, 3 * WINDOW)
        if since > WINDOW:
            after.setdefault(number % len(COMEBACKS), set()).add(since - WINDOW * 3 // 8 - WINDOW)
    assert all(-WINDOW // 5 < late < 0 for late in after[0] if late < WINDOW // 40)
    assert {late > 0 for late in after[1]} == {False, True}
    assert all(late > 0 for late in after[2])


def test_a_name_serves_for_three_rounds() -> None:
    names = [each.key for each in calls()]
    assert list(dict.fromkeys(names)) == [f"t1-throttle-{n}" for n in range(3)]


def test_steady_calls_never_stop_for_longer_than_a_window() -> None:
    at = sorted(max(given.now, each.at) for slot in drive(lambda: generator(steady=1), answering) for given, each, _, _ in slot.done)
    assert max(later - earlier for earlier, later in pairwise(at)) < WINDOW // 5


def test_between_bursts_a_name_is_only_read() -> None:
    quiet = [WINDOW * 2 // 5 + n * MS for n in range(50)]
    assert {each.f for each in invocations(drive(generator, answering, quiet))} == {"get"}


def test_at_the_end_the_name_is_read_once() -> None:
    slot = Slot(0, generator())
    read = [slot.one(answering, NS_PER_S, "final", final_at=NS_PER_S) for _ in range(2)]
    assert [each.f if each else None for each in read] == ["get", None]
