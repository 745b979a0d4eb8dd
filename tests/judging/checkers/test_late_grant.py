"""The bound on a cut-off primary: what counts as late, who is asked, and when nothing can be said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trials import Script

from harness.judging.checkers.late_grant import late_grant, staying_side
from harness.judging.verdict import Status, Verdict
from harness.record.history import SPLIT_BRAIN, Effect, Header, History

NS_PER_MS = 1_000_000
BOUND_NS = 3_000 * NS_PER_MS
SIDES = {"0": "clients-a", "1": "clients-a", "2": "clients-b", "3": "clients-b"}
A, B = 0, 2  # a process of each side; processes of slot s are s + 4, s + 8, ...
PHASES = {"begin": 1500, "active": 1800, "healing": 8500, "healed": 9000}  # the zone is [4500, 8500)


def cut(*leave_out: str) -> Script:
    script = Script(faults=("isolate-primary",))
    script.fault("isolate-primary", {phase: at for phase, at in PHASES.items() if phase not in leave_out}, changes_roles=True)
    return script


def judge(script: Script, sides: dict[str, str] = SIDES, bound_ns: int = BOUND_NS) -> Verdict:
    return late_grant(seen(script, sides), bound_ns)


def seen(script: Script, sides: dict[str, str] = SIDES) -> History:
    return replace(script.history(), header=Header(faults=("isolate-primary",), concurrency=4, sides=sides))


def acquire(
    script: Script, start: float, end: float, *, granted: bool = True, process: int = A, node: str | None = "n1", **more: Any
) -> None:
    answer = {"granted": granted, "fencing_token": 1 if granted else None} if more.get("type_", "ok") == "ok" else None
    script.operation(start, end, "try_acquire", {"owner": f"{start}", "ttl_ms": 800}, answer, process=process, node=node, **more)


def test_a_grant_asked_after_the_bound_and_given_by_the_old_primary_is_late() -> None:
    script = cut()
    acquire(script, 4600, 4601)
    verdict = judge(script)
    (found,) = verdict.all_anomalies()
    assert (found.kind, found.key, found.at) == ("late-grant", "t1-a", 4601 * NS_PER_MS)
    assert found.operations == (script.index_of(type="invoke"),)
    assert found.message == ("n1 acknowledged t1-a to process 0 at 4.601 s, asked 3.100 s after the cut began; the bound is 3 s")
    assert verdict.numbers["late"] == 1


def test_the_zone_begins_at_the_bound() -> None:
    script = cut()
    acquire(script, 4500, 4501)
    assert judge(script).status is Status.INVALID


def test_without_sides_nobody_is_known_to_have_tried_on_the_old_primary() -> None:
    script = cut()
    acquire(script, 5000, 5001, granted=False)
    acquire(script, 5100, 5101, node="n2", process=B)
    verdict = judge(script, sides={})
    assert (verdict.status, set(verdict.numbers.values())) == (Status.UNKNOWN, {0})


def test_a_dedup_win_after_the_bound_is_late() -> None:
    script = cut()
    script.operation(4600, 4601, "check_and_set", {"value": "v", "ttl_ms": None}, {"set": True}, process=A)
    (found,) = judge(script).all_anomalies()
    assert "that process 0 had set t1-a" in found.message


def test_an_acquire_that_waited_counts_from_its_invocation() -> None:
    script = cut()
    argument = {"owner": "o", "ttl_ms": 800, "timeout_ms": 500}
    script.operation(4600, 4900, "acquire_within", argument, {"granted": True, "fencing_token": 1}, process=A)
    script.operation(4400, 4950, "acquire_within", argument, {"granted": True, "fencing_token": 2}, process=A + 1)
    assert judge(script).numbers["late"] == 1


@pytest.mark.parametrize(
    ("start", "end"),
    [(4400, 4600), (1600, 1601), (8400, 8600), (8600, 8601)],
    ids=["asked before the bound", "long before", "answered after healing began", "asked after healing began"],
)
def test_a_grant_outside_the_zone_is_not_late(start: float, end: float) -> None:
    script = cut()
    acquire(script, start, end)
    acquire(script, 5000, 5001, granted=False)
    assert judge(script).status is Status.VALID


@pytest.mark.parametrize("spoil", [{"granted": False}, {"type_": "fail"}, {"type_": "info"}, {"node": "n2"}])
def test_a_refusal_an_error_and_another_node_s_grant_are_not_late(spoil: dict[str, Any]) -> None:
    script = cut()
    acquire(script, 5000, 5001, **spoil)
    assert judge(script).status is Status.VALID


def test_an_extension_is_no_grant() -> None:
    script = cut()
    script.operation(5000, 5001, "extend", {"owner": "o", "duration_ms": 800}, {"held": True}, process=A)
    acquire(script, 5100, 5101, granted=False)
    verdict = judge(script)
    assert (verdict.status, verdict.numbers["attempted_on_old_after_bound"]) == (Status.VALID, 1)


def test_a_grant_by_the_old_primary_is_late_whoever_asked() -> None:
    script = cut()
    acquire(script, 5000, 5001, process=B)
    assert judge(script).status is Status.INVALID


def test_attempts_on_the_old_primary_count_whatever_came_of_them() -> None:
    script = cut()
    acquire(script, 5000, 5001, granted=False)
    acquire(script, 5100, 5200, type_="info", process=A + 1)
    acquire(script, 5300, 5301, type_="fail", process=A + 5)
    acquire(script, 4400, 4401, granted=False, process=A + 8)
    assert judge(script).numbers == {"attempted_on_old_after_bound": 3, "answered_by_new_after_bound": 0, "late": 0}


def test_answers_of_the_new_primary_count_on_the_other_side_only() -> None:
    script = cut()
    acquire(script, 5000, 5001, process=B, node="n2")
    acquire(script, 5100, 5101, process=B, node="n2", granted=False)
    acquire(script, 5200, 5201, process=B, node="n1", granted=False)
    acquire(script, 5300, 5400, process=B, node="n2", type_="info")
    acquire(script, 5500, 5501, process=A, node="n2")
    assert judge(script).numbers == {"attempted_on_old_after_bound": 1, "answered_by_new_after_bound": 2, "late": 0}


def test_a_process_that_took_over_a_slot_is_on_its_side() -> None:
    script = cut()
    acquire(script, 5000, 5001, process=A + 8, granted=False)
    assert judge(script).numbers["attempted_on_old_after_bound"] == 1


def test_without_a_proved_cut_it_is_unknown() -> None:
    script = cut("active")
    acquire(script, 5000, 5001)
    assert judge(script).status is Status.UNKNOWN
    assert judge(Script()).status is Status.UNKNOWN


def test_without_an_attempt_after_the_bound_it_is_unknown_and_its_numbers_say_so() -> None:
    script = cut()
    acquire(script, 2000, 2001)
    verdict = judge(script)
    assert (verdict.status, verdict.numbers["attempted_on_old_after_bound"]) == (Status.UNKNOWN, 0)


def test_a_grant_that_does_not_say_its_node_is_unknown() -> None:
    script = cut()
    acquire(script, 5000, 5001, node=None)
    assert judge(script).status is Status.UNKNOWN


def test_a_history_that_ends_before_healing_is_judged_to_its_end() -> None:
    script = cut("healing", "healed")
    acquire(script, 9500, 9501)
    assert judge(script).status is Status.INVALID


def test_each_cut_of_a_trial_has_a_zone_of_its_own() -> None:
    script = cut()
    script.fault("isolate-primary", {"begin": 20_000, "active": 20_300, "healing": 28_000, "healed": 28_500}, ("n2",), id_=2)
    acquire(script, 10_000, 10_001, granted=False)
    acquire(script, 22_000, 22_001, node="n2")
    acquire(script, 24_000, 24_001, node="n1")
    acquire(script, 25_000, 25_001, node="n2")
    verdict = judge(script)
    assert [found.at for found in verdict.all_anomalies()] == [25_001 * NS_PER_MS]
    assert verdict.numbers["attempted_on_old_after_bound"] == 2


def test_the_staying_side_is_clients_a_or_that_of_the_first_slot() -> None:
    assert staying_side(seen(Script(), {"0": "clients-b", "1": "clients-a"})) == "clients-a"
    assert staying_side(seen(Script(), {"0": "left", "1": "right"})) == "left"
    assert staying_side(Script().history()) is None


@settings(max_examples=100, deadline=None)
@given(
    calls=st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 900), st.booleans(), st.sampled_from(["n1", "n2"])), max_size=8),
    wider=st.integers(0, 300),
    longer_ms=st.integers(0, 2_000),
)
def test_a_wider_interval_and_a_later_bound_never_make_a_grant_late(
    calls: list[tuple[int, int, bool, str]], wider: int, longer_ms: int
) -> None:
    def late(wider: int, longer_ms: int) -> int:
        script = cut()
        for slot, (start, lasts, granted, node) in enumerate(calls):
            acquire(script, start - wider / 1000, start + lasts + wider / 1000, granted=granted, node=node, process=4 * slot)
        verdict = judge(script, bound_ns=BOUND_NS + longer_ms * NS_PER_MS)
        return 0 if verdict.status is Status.UNKNOWN else verdict.numbers["late"]

    assert late(wider, longer_ms) <= late(0, 0)


@pytest.mark.parametrize(("effects", "status"), [(tuple(SPLIT_BRAIN), Status.INVALID), ((Effect.CUTS_A_SIDE,), Status.UNKNOWN)])
def test_a_split_brain_is_told_by_its_effects_and_not_by_its_name(effects: tuple[Effect, ...], status: Status) -> None:
    script = Script()
    script.fault("blackout", PHASES, changes_roles=True)
    acquire(script, 4600, 4601)
    header = Header(faults=("blackout",), concurrency=4, sides=SIDES, effects={"blackout": effects})
    assert late_grant(replace(script.history(), header=header), BOUND_NS).status is status
