"""Gates: each is met by a good trial and named where the trial is spoiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from trials import NS_PER_MS, Script, failover_trial, latency_trial, opening, quiet_trial

from harness.judging.gates import Gate, began, exposure, overlapping_pairs, validity, window
from harness.judging.roles import promotions
from harness.record.clock import clock_sane
from harness.record.history import BROKEN, CLIENTS, UNCLASSIFIED, History


def unmet(gates: tuple[Gate, ...]) -> list[str]:
    return [gate.name for gate in gates if not gate.met]


def measured(history: History, name: str, **more: Any) -> int:
    return next(gate.measured for gate in exposure(history, ["lock"], **more) if gate.name == name)


@pytest.mark.parametrize("script", [quiet_trial("lock", "dedup", "cas", "counter"), latency_trial("lock", "dedup"), failover_trial("lock")])
def test_a_good_trial_meets_every_gate(script: Script) -> None:
    history = script.history()
    assert unmet((*validity(history), *exposure(history))) == []


# Validity


def test_an_operation_before_the_steady_state_is_unmet() -> None:
    script = quiet_trial()
    script.operation(0.8, 0.9, "is_held", {"owner": "x"}, {"held": False})
    assert unmet(validity(script.history())) == ["steady"]


def test_a_fault_before_the_steady_state_is_unmet() -> None:
    script = quiet_trial()
    script.fault("latency", {"begin": 0.8}, ())
    assert "steady" in unmet(validity(script.history()))


def test_a_history_without_trial_marks_never_was_steady() -> None:
    script = Script()
    script.pairs(0, 12, "lock")
    assert {"steady", "clock_samples"} <= set(unmet(validity(script.history())))


def test_a_wall_clock_that_jumped_is_unmet() -> None:
    script = quiet_trial()
    script.clock(1500, wall_ahead_ms=2)
    assert unmet(validity(script.history())) == ["clock_samples"]


@pytest.mark.parametrize(("ahead_ms", "sane"), [(1.5, True), (1.51, False), (-1.5, True), (-1.51, False)])
def test_clocks_may_part_by_1_ms_and_500_ppm_between_samples(ahead_ms: float, sane: bool) -> None:
    script = Script()
    script.clock(0)
    script.clock(1000, wall_ahead_ms=ahead_ms)
    assert clock_sane(script.history()) is sane


def test_a_clock_that_drifts_slowly_is_sane_however_far_it_gets() -> None:
    script = Script()
    for second in range(60):
        script.clock(1000 * second, wall_ahead_ms=second * 0.4)
    assert clock_sane(script.history())


def test_an_unclassified_error_is_unmet() -> None:
    script = quiet_trial()
    script.operation(50, 60, "is_held", {"owner": "x"}, None, type_="info", error=UNCLASSIFIED + "OddError: ?")
    assert unmet(validity(script.history())) == ["unclassified_errors"]


def test_a_broken_operation_is_unmet() -> None:
    script = quiet_trial()
    script.operation(50, 60, "is_held", {"owner": "x"}, None, type_="info", error=BROKEN + "TypeError: ?")
    assert unmet(validity(script.history())) == ["broken_operations"]


def test_a_classified_error_is_no_matter() -> None:
    script = quiet_trial()
    script.operation(50, 60, "is_held", {"owner": "x"}, None, type_="info", error="TimeoutError: no answer")
    assert unmet(validity(script.history())) == []


def test_a_node_that_answered_and_whose_role_nobody_saw_is_unmet() -> None:
    script = latency_trial()
    script.operation(50, 60, "is_held", {"owner": "x"}, {"held": False}, node="n9")
    assert unmet(validity(script.history())) == ["roles_known"]


def test_threads_of_one_process_need_no_role() -> None:
    script = Script()
    opening(script, nodes=False)
    script.pairs(10, 12, "lock", node="memory")
    assert unmet(validity(script.history())) == []


@pytest.mark.parametrize("at", [500, 1250, 3140, 4000])
def test_a_promotion_that_no_fault_was_meant_to_make_is_unmet(at: float) -> None:
    script = latency_trial()
    script.role(at, "n2", "primary", epoch=2, run_id="b")
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


@pytest.mark.parametrize("change", [{"epoch": 2, "run_id": "a"}, {"epoch": 1, "run_id": "z"}])
def test_an_epoch_or_run_id_that_moves_by_itself_is_unmet(change: dict[str, Any]) -> None:
    script = quiet_trial()
    script.role(500, "n1", "primary", **change)
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def test_the_same_role_recorded_again_is_no_change() -> None:
    script = quiet_trial()
    script.role(500, "n1", "primary", epoch=None, run_id="a")
    script.role(600, "n1", "silent", epoch=None)
    script.role(700, "n1", "primary", epoch=1, run_id="a")
    assert unmet(validity(script.history())) == []


def test_a_change_before_the_fault_that_is_meant_to_make_one_is_unmet() -> None:
    script = failover_trial()
    script.role(1400, "n2", "primary", epoch=2, run_id="b")
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def test_a_change_after_the_trial_is_settled_is_unmet() -> None:
    script = failover_trial()
    script.role(11_000, "n1", "primary", epoch=3, run_id="a")
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def replica_trial(f: str, *, changes_roles: bool) -> Script:
    script = Script(faults=(f,))
    opening(script)
    script.fault(f, {"begin": 1100, "active": 1200, "healing": 2000, "healed": 2100}, ("n2",), changes_roles=changes_roles)
    script.trial(2200, "settled")
    return script


def test_a_paused_replica_may_be_away_and_come_back() -> None:
    script = replica_trial("pause", changes_roles=False)
    script.role(1150, "n2", "paused")
    script.role(2050, "n2", "replica", run_id="b")
    assert unmet(validity(script.history())) == []


def test_a_paused_node_may_not_come_back_as_another() -> None:
    script = replica_trial("pause", changes_roles=False)
    script.role(1150, "n2", "paused")
    script.role(2050, "n2", "replica", run_id="c")
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def test_a_killed_replica_may_come_back_with_a_new_run_id() -> None:
    script = replica_trial("kill", changes_roles=True)
    script.role(1150, "n2", "dead")
    script.role(2050, "n2", "replica", run_id="c")
    assert unmet(validity(script.history())) == []


@pytest.mark.parametrize(("node", "role"), [("n1", "dead"), ("n1", "replica"), ("n2", "primary")])
def test_the_death_of_a_replica_excuses_no_change_of_the_primary(node: str, role: str) -> None:
    script = replica_trial("kill", changes_roles=True)
    script.role(1500, node, role)
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def test_the_death_of_a_replica_excuses_no_new_epoch() -> None:
    script = replica_trial("kill", changes_roles=True)
    script.role(1500, "n2", "dead", epoch=2)
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


# Exposure


@pytest.mark.parametrize("phase", ["active", "healed"])
def test_a_fault_that_was_not_proved_is_unmet(phase: str) -> None:
    script = latency_trial()
    script.lines = [(at, line) for at, line in script.lines if not (line["f"] == "latency" and line["value"]["phase"] == phase)]
    script.fault("latency", {"failed": 1250 if phase == "active" else 3100})
    assert "faults_proved" in unmet(exposure(script.history()))


def test_a_planned_fault_that_never_began_is_unmet() -> None:
    script = quiet_trial()
    script.faults = ("cut",)
    assert "faults_proved" in unmet(exposure(script.history()))


def test_every_workload_is_counted_by_itself() -> None:
    script = latency_trial("lock")
    script.workloads = ("lock", "dedup")
    assert unmet(exposure(script.history())) == ["attempted_during:dedup", "acknowledged_after:dedup", "overlapping_pairs:dedup"]


def test_operations_around_the_fault_are_not_during_it() -> None:
    script = latency_trial()
    before = measured(script.history(), "attempted_during:lock")
    script.pairs(1105, 5, "lock")
    script.pairs(3010, 5, "lock")
    assert measured(script.history(), "attempted_during:lock") == before == 24


def scheduled(*, pairs_in_the_second: int) -> Script:
    """Give a trial with two faults that are healed one by one, the first from 1.2 s to 2 s and the second from 2.2 s to 3 s."""
    script = Script(workloads=("lock",), faults=("latency", "kill"))
    opening(script)
    script.fault("latency", {"begin": 1100, "active": 1200, "healing": 2000, "healed": 2100})
    script.fault("kill", {"begin": 2150, "active": 2200, "healing": 3000, "healed": 3100}, changes_roles=True, id_=2)
    script.pairs(1300, 12, "lock", node="n2")
    script.pairs(2300, pairs_in_the_second, "lock", node="n2")
    script.pairs(3200, 12, "lock", node="n2")
    script.trial(3150, "settled")
    return script


def test_each_fault_of_a_schedule_needs_its_own_attempts() -> None:
    assert measured(scheduled(pairs_in_the_second=12).history(), "attempted_during:lock") == 24
    assert measured(scheduled(pairs_in_the_second=3).history(), "attempted_during:lock") == 6


def test_after_a_schedule_is_after_its_last_healing() -> None:
    assert measured(scheduled(pairs_in_the_second=12).history(), "acknowledged_after:lock") == 24


def test_the_window_of_a_schedule_is_that_of_the_faults_that_change_roles() -> None:
    history = scheduled(pairs_in_the_second=12).history()
    assert window(history, "begin", "healing") == (2150 * NS_PER_MS, 3000 * NS_PER_MS)
    assert began(history) == 2150 * NS_PER_MS


def test_the_new_primary_of_a_schedule_is_counted_until_the_fault_that_made_it_is_healed() -> None:
    script = scheduled(pairs_in_the_second=0)
    script.role(2400, "n2", "primary", epoch=2, run_id="b")
    attempt = {"owner": "0-1", "ttl_ms": 100}
    for at in (1500, 2500, 3050):
        script.operation(at, at + 1, "try_acquire", attempt, {"granted": False, "fencing_token": None}, node="n2")
    assert measured(script.history(), "answered_by_new", needed={"answered_by_new": 1}) == 1


def test_only_answers_after_healing_are_acknowledged_after_it() -> None:
    script = latency_trial()
    for n in range(5):
        script.operation(3500 + n, 3600 + n, "is_held", {"owner": "x"}, None, type_="info", error="TimeoutError")
    assert measured(script.history(), "acknowledged_after:lock") == 24


def test_a_trial_that_was_cut_off_is_not_settled() -> None:
    script = quiet_trial()
    script.complete = False
    assert unmet(exposure(script.history())) == ["settled"]


def test_a_claims_own_numbers_replace_the_general_ones() -> None:
    history = latency_trial().history()
    assert unmet(exposure(history, ["lock"], {"attempted_during": 25})) == ["attempted_during:lock"]


def test_overlapping_pairs_are_those_in_flight_together_on_one_key() -> None:
    script = Script()
    script.operation(0, 10, "is_held", {}, {"held": True}, key="a")
    script.operation(5, 15, "is_held", {}, {"held": True}, key="a")  # with the first
    script.operation(12, 20, "is_held", {}, {"held": True}, key="a")  # with the second
    script.operation(13, 14, "is_held", {}, {"held": True}, key="b")  # alone on its key
    script.operation(13, 14, "is_held", {}, None, key="a", type_="fail", error="refused")  # never happened
    history = script.history()
    assert overlapping_pairs(history, history.operations()) == 2


def test_promotions_name_the_new_primary_and_the_old_one() -> None:
    history = failover_trial().history()
    assert [(found.node, found.old, found.moment.time) for found in promotions(history)] == [("n2", "n1", 3000 * NS_PER_MS)]


def test_a_node_that_restarts_as_the_primary_it_was_is_no_promotion() -> None:
    script = failover_trial()
    script.lines = [(at, line) for at, line in script.lines if line["f"] != "role" or at < 1000]
    script.role(1600, "n1", "dead")
    script.role(1700, "n1", "primary", run_id="z")
    assert promotions(script.history()) == []


def test_answers_of_the_new_primary_count_from_its_promotion_until_healing() -> None:
    script = failover_trial()
    script.pairs(2500, 3, "lock", node="n2")
    script.pairs(8600, 3, "lock", node="n2")
    script.pairs(5000, 3, "lock", node="n1")
    assert measured(script.history(), "answered_by_new", needed={"answered_by_new": 5}) == 24


def test_grants_of_the_old_primary_count_from_the_promotion_until_healing() -> None:
    script = failover_trial()
    for at in (2000, 4000, 5000, 8600):
        script.operation(at, at + 1, "try_acquire", {"owner": f"o{at}", "ttl_ms": 1}, {"granted": True, "fencing_token": 1}, node="n1")
    needed = {"granted_by_old_after_promotion": 1}
    assert measured(script.history(), "granted_by_old_after_promotion", needed=needed) == 2


def test_without_a_promotion_the_gates_of_a_failover_are_unmet() -> None:
    needed = {"promoted": 1, "answered_by_new": 5, "granted_by_old_after_promotion": 1}
    assert unmet(exposure(latency_trial().history(), ["lock"], needed)) == list(needed)


def test_gates_of_a_bound_are_unmet_without_one() -> None:
    assert "attempted_on_old_after_bound" in unmet(exposure(failover_trial().history(), ["lock"], {"attempted_on_old_after_bound": 20}))


def test_a_window_reaches_from_the_first_begin_to_the_settled_state() -> None:
    assert window(failover_trial().history(), "begin", "settled") == (1500 * NS_PER_MS, 10_000 * NS_PER_MS)


def test_a_window_that_never_ended_is_open_to_the_end() -> None:
    script = failover_trial()
    script.lines = [(at, line) for at, line in script.lines if line["value"] != {"n": 1, "phase": "settled"}]
    history = script.history()
    assert window(history, "begin", "settled") == (1500 * NS_PER_MS, history.events[-1].time)


def test_without_a_fault_there_is_no_window() -> None:
    assert window(quiet_trial().history(), "begin", "settled") is None


def test_gates_judge_one_trial_of_a_longer_run_by_itself() -> None:
    first, second = latency_trial().history(), quiet_trial().history()
    shifted = tuple(
        type(event)(
            index=event.index + len(first.events),
            time=event.time + 20_000 * NS_PER_MS,
            process=event.process + 1000 if isinstance(event.process, int) else event.process,
            type=event.type,
            f=event.f,
            key=event.key,
            value={**event.value, "n": 2} if event.f == "trial" else event.value,
            node=event.node,
            error=event.error,
        )
        for event in second.events
    )
    run = replace(first, events=first.events + shifted)
    parts = [trial.history for trial in run.trials()]
    assert [unmet((*validity(part), *exposure(part, ["lock"]))) for part in parts] == [
        [],
        ["faults_proved", "attempted_during:lock", "acknowledged_after:lock"],
    ]


# Clients that are paused, and what they harm


def client_pause_trial(*, nodes: bool = False) -> Script:
    script = Script(workloads=("resource",), faults=("client-pause",))
    opening(script, nodes=nodes)
    script.fault("client-pause", {"begin": 1100, "active": 1900, "healing": 3000, "healed": 3100}, (CLIENTS,))
    script.pairs(2000, 12, "resource", node="resource")
    script.pairs(3200, 12, "resource", node="resource")
    script.trial(3150, "settled")
    return script


def test_a_fault_on_clients_needs_no_role_of_a_node() -> None:
    script = client_pause_trial()
    script.operation(1200, 1201, "is_held", {"owner": "x"}, {"held": False}, node="memory")
    history = script.history()
    assert unmet((*validity(history), *exposure(history))) == []


def test_beside_a_fault_on_clients_the_roles_of_several_nodes_are_needed() -> None:
    script = client_pause_trial()
    for node in ("n1", "n2"):
        script.operation(1200, 1201, "is_held", {"owner": "x"}, {"held": False}, node=node)
    assert unmet(validity(script.history())) == ["roles_known"]


def test_a_fault_on_clients_excuses_no_change_of_roles() -> None:
    script = client_pause_trial(nodes=True)
    script.role(2500, "n2", "primary", epoch=2, run_id="b")
    assert unmet(validity(script.history())) == ["unplanned_role_changes"]


def test_what_the_lag_meter_says_is_no_fault() -> None:
    script = quiet_trial()
    script.nemesis(0.9, "lag", {"late_ms": 0.0})
    script.nemesis(500, "lag", {"late_ms": 31.5})
    history = script.history()
    assert unmet((*validity(history), *exposure(history))) == []


def grant(script: Script, at: float, owner: str, ttl_ms: int = 100) -> None:
    script.operation(at, at + 1, "try_acquire", {"owner": owner, "ttl_ms": ttl_ms}, {"granted": True, "fencing_token": 1}, key="t1-lock")


def after_expiry(script: Script) -> int:
    return measured(script.history(), "granted_after_expiry", needed={"granted_after_expiry": 1})


def test_grants_after_holders_that_did_not_release_are_counted() -> None:
    script = quiet_trial()
    for number in range(4):
        grant(script, 1000 + 200 * number, f"o{number}")
    assert after_expiry(script) == 3


def test_a_grant_after_a_release_is_none_of_them_but_one_after_which_a_sleeper_released_too_late_is() -> None:
    script = quiet_trial()
    grant(script, 1000, "a")
    script.operation(1050, 1051, "release", {"owner": "a"}, {"released": True}, key="t1-lock")
    grant(script, 1200, "b")
    grant(script, 1400, "c")
    script.operation(1450, 1451, "release", {"owner": "b"}, {"released": False}, key="t1-lock")
    assert after_expiry(script) == 1


def test_a_grant_inside_anothers_lease_is_no_grant_after_its_end() -> None:
    script = quiet_trial()
    grant(script, 1000, "a", 500)
    grant(script, 1200, "b")
    assert after_expiry(script) == 0


def test_writes_of_holders_that_have_been_succeeded_are_counted() -> None:
    script = client_pause_trial()
    script.operation(2500, 2501, "resource_read", {"lock": "t1-lock", "fencing_token": 8}, {"value": 0, "token": 8}, key="t1-record-0")
    argument = {"lock": "t1-lock", "value": 1, "fencing_token": 7, "checked": True}
    script.operation(2600, 2601, "resource_write", argument, {"written": False}, key="t1-record-0")
    assert measured(script.history(), "stale_writes_tried", needed={"stale_writes_tried": 1}) == 1


def test_what_a_workload_beside_it_drives_too_counts_for_no_share() -> None:
    """Else the one that did nothing would be taken for exercised by the other's work."""
    script = quiet_trial("lock", "resource")
    script.operation(300, 310, "try_acquire", {"owner": "a", "ttl_ms": 800}, {"granted": True, "fencing_token": 1}, key="t1-lock-9")
    counted = {gate.name: gate.measured for gate in exposure(script.history())}
    assert (counted["acknowledged_after:lock"], counted["acknowledged_after:resource"]) == (0, 24)


def test_an_operation_on_a_workloads_own_key_counts_for_its_share_whatever_is_driven_beside_it() -> None:
    script = quiet_trial("lock", "resource")
    argument, granted = {"owner": "a", "ttl_ms": 800}, {"granted": True, "fencing_token": 1}
    script.operation(300, 310, "try_acquire", argument, granted, key="t1-churn-0")
    script.operation(320, 330, "try_acquire", argument, granted, key="t1-resource-0")
    counted = {gate.name: gate.measured for gate in exposure(script.history())}
    assert (counted["acknowledged_after:lock"], counted["acknowledged_after:resource"]) == (1, 25)


def test_an_operation_on_anothers_key_counts_for_no_share_though_nobody_else_drives_its_function() -> None:
    script = quiet_trial("dedup", "counter")
    script.operation(300, 310, "check_and_set", {"value": "v", "ttl_ms": None}, {"set": True}, key="t1-counter-0")
    counted = {gate.name: gate.measured for gate in exposure(script.history())}
    assert counted["acknowledged_after:dedup"] == 24
