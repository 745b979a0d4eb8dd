"""The bound of acquire: what is late, what the machine explains, and that grants by it are judged as leases all the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import Script

from harness.judging.checkers.lease import lease
from harness.judging.checks import verdicts
from harness.judging.verdict import Status, Verdict
from harness.record.history import MalformedHistory
from workloads.acquire.bound import acquire_bound

KEY = "t1-acquire-0"
GRANTED, REFUSED = {"granted": True, "fencing_token": 1}, {"granted": False, "fencing_token": None}
TIMEOUT_MS = 300


class Waits(Script):
    """Acquisitions, and what a lag meter saw; `metered` = it ran."""

    def __init__(self, *lasted_ms: float, metered: bool = True) -> None:
        super().__init__(("acquire",))
        if metered:
            self.lag(0, 0)
        for lasted in lasted_ms:
            self.wait(1000, lasted)

    def lag(self, at: float, late_ms: float) -> None:
        self.nemesis(at, "lag", {"late_ms": late_ms})

    def wait(self, at: float, lasted: float, answer: Any = REFUSED, type_: Any = "ok", owner: str = "o", **more: Any) -> None:
        argument = {"owner": f"{owner}-{len(self.lines)}", "ttl_ms": 150, "timeout_ms": TIMEOUT_MS}
        self.operation(at, at + lasted, "acquire_within", argument, answer if type_ == "ok" else None, key=KEY, type_=type_, **more)

    def judged(self) -> Verdict:
        return acquire_bound(self.history())


@pytest.mark.parametrize(
    ("lasted", "status"),
    [(0, Status.VALID), (550, Status.VALID), (551, Status.UNKNOWN), (650, Status.UNKNOWN), (651, Status.INVALID), (9000, Status.INVALID)],
)
def test_beyond_the_bound_is_late_and_just_beyond_it_in_doubt(lasted: float, status: Status) -> None:
    assert Waits(lasted).judged().status is status


@pytest.mark.parametrize("type_", ["ok", "fail", "info"])
def test_whatever_the_outcome_it_must_come_in_time(type_: Any) -> None:
    waits = Waits()
    waits.wait(1000, 700, GRANTED, type_)
    (found,) = waits.judged().all_anomalies()
    assert (found.kind, found.key, found.operations) == ("acquire-late", KEY, (1,))
    waits = Waits()
    waits.wait(1000, 540, GRANTED, type_)
    assert waits.judged().status is Status.VALID


def test_the_longest_time_beyond_the_timeout_is_given() -> None:
    assert Waits(10, 420, 310).judged().numbers == {"waits": 3, "most_over_ms": 120, "set_aside": 0, "overslept_ms": 0}
    assert Waits(10, 9000).judged().numbers["most_over_ms"] == 8700


def test_without_a_lag_meter_nothing_late_is_condemned() -> None:
    verdict = Waits(9000, metered=False).judged()
    assert verdict.status is Status.UNKNOWN
    assert "nothing measured" in verdict.summary
    assert Waits(500, metered=False).judged().status is Status.VALID


def test_what_the_machine_overslept_meanwhile_is_taken_off() -> None:
    waits = Waits(700, *[10] * 30)
    waits.lag(1600, 160)
    verdict = waits.judged()
    assert verdict.status is Status.VALID
    assert (verdict.numbers["set_aside"], verdict.numbers["waits"]) == (1, 30)


def test_more_than_one_in_twenty_set_aside_is_unknown() -> None:
    waits = Waits(700, *[10] * 10)
    waits.lag(1600, 160)
    assert waits.judged().status is Status.UNKNOWN


def test_only_what_was_overslept_during_the_wait_counts() -> None:
    waits = Waits(700)
    waits.lag(1000, 500)  # ended as it began
    waits.lag(2300, 500)  # began after it
    assert waits.judged().status is Status.INVALID


def test_a_sleep_that_reaches_out_of_the_wait_counts_in_part() -> None:
    waits = Waits(700)
    waits.lag(1020, 500)  # 20 ms of it
    waits.lag(1900, 230)  # 30 ms of it
    assert waits.judged().status is Status.UNKNOWN  # 700 - 50 is 650
    waits = Waits(702)
    waits.lag(1020, 500)
    waits.lag(1900, 228)
    assert waits.judged().status is Status.INVALID


def test_a_sleep_around_the_whole_wait_explains_it() -> None:
    waits = Waits(700, *[10] * 30)
    waits.lag(2000, 1500)
    assert waits.judged().numbers["set_aside"] == 1


def test_a_long_wait_is_late_however_the_machine_slept_for_a_part_of_it() -> None:
    waits = Waits(3000)
    waits.lag(2000, 500)
    assert waits.judged().status is Status.INVALID


def test_one_that_never_came_back_is_late_if_the_history_goes_on_long_enough() -> None:
    def cut_off(until: float) -> Verdict:
        waits = Waits(5000, 10)
        waits.lines = [(at, line) for at, line in waits.lines if at < 5000]
        waits.clock(until)
        return waits.judged()

    assert cut_off(1000 + 700).status is Status.INVALID
    assert cut_off(1000 + 500).status is Status.VALID


def test_without_any_it_is_unknown() -> None:
    assert Waits().judged().status is Status.UNKNOWN


@pytest.mark.parametrize("argument", [None, {}, {"timeout_ms": "300"}, {"timeout_ms": True}, {"timeout_ms": -1}])
def test_an_invocation_without_its_timeout_is_malformed(argument: Any) -> None:
    script = Script()
    script.operation(1, 2, "acquire_within", argument, REFUSED, key=KEY)
    with pytest.raises(MalformedHistory, match="timeout_ms"):
        acquire_bound(script.history())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300)), max_size=6), st.integers(0, 900))
def test_more_oversleeping_never_makes_a_wait_late(sleeps: list[tuple[int, int]], lasted: int) -> None:
    waits, at = Waits(lasted), 500
    before = waits.judged().status
    for gap, late in sleeps:
        at += gap + late
        waits.lag(at, late)
    assert before is Status.INVALID or waits.judged().status is not Status.INVALID


# The lease rules on the same keys


def test_a_key_on_which_somebody_waits_is_judged_by_bound_lease_and_fencing() -> None:
    assert set(verdicts(Waits(10).history())) == {"acquire-bound", "lease", "fencing"}


def held(script: Script, at: float, owner: str, ttl_ms: int, token: int) -> None:
    script.operation(at, at + 1, "try_acquire", {"owner": owner, "ttl_ms": ttl_ms}, {"granted": True, "fencing_token": token}, key=KEY)


def test_a_wait_that_is_granted_after_the_holder_ran_out_is_no_second_holder() -> None:
    waits = Waits()
    held(waits, 1000, "a", 200, 1)
    waits.wait(1010, 210, {"granted": True, "fencing_token": 2})
    held(waits, 1400, "b", 200, 3)
    assert lease(waits.history()).status is Status.VALID


def test_a_wait_that_is_granted_while_another_holds_is_a_second_holder() -> None:
    waits = Waits()
    held(waits, 1000, "a", 2000, 1)
    waits.wait(1010, 210, {"granted": True, "fencing_token": 2})
    assert [anomaly.kind for anomaly in lease(waits.history()).all_anomalies()] == ["two-holders"]


def test_a_wait_that_timed_out_while_another_held_for_a_part_of_it_is_no_spurious_refusal() -> None:
    waits = Waits()
    held(waits, 1000, "a", 200, 1)
    waits.wait(1010, 300)
    assert lease(waits.history()).status is Status.VALID


def test_a_wait_that_timed_out_while_nobody_can_have_held_is_a_spurious_refusal() -> None:
    waits = Waits()
    held(waits, 1000, "a", 200, 1)
    waits.wait(1300, 300)
    assert [anomaly.kind for anomaly in lease(waits.history()).all_anomalies()] == ["spurious-refusal"]


def test_a_wait_without_an_answer_may_have_been_granted() -> None:
    waits = Waits()
    waits.wait(1000, 450, type_="info")
    held(waits, 100, "a", 200, 1)
    waits.wait(1500, 100)
    assert lease(waits.history()).status is Status.VALID
