"""What a nemesis recorded, as typed values: made once, by the history's own words, and of foreign ones nothing."""

from __future__ import annotations

from typing import Any

import pytest
from trials import NS_PER_MS, Script, failover_trial

from harness.driving.nemesis import Fault
from harness.record.format import encode, parse
from harness.record.history import NO_ANSWER, SPLIT_BRAIN, Effect, Header, History, MalformedHistory
from harness.registry import load, names

READINGS = ("faults", "roles", "owners", "clocks", "overslept", "marks", "first_act")
CUTTING = ("cancel-wait", "hold-back-replication", "isolate-primary")


def with_header(**header: Any) -> History:
    return History((), Header(**header))


def test_a_fault_is_one_value_with_the_moments_of_its_phases() -> None:
    history = failover_trial(f="isolate-primary").history()
    (fault,) = history.faults
    assert (fault.name, fault.id, fault.targets, fault.changes_roles, fault.node) == ("isolate-primary", 1, ("n1",), True, "n1")
    assert {phase: each.time // NS_PER_MS for phase, each in fault.moments.items()} == {
        "begin": 1500,
        "active": 1800,
        "healing": 8500,
        "healed": 9000,
    }
    assert all(history.events[each.index].value["phase"] == phase for phase, each in fault.moments.items())
    assert fault.first == fault.begin
    assert fault.proved


@pytest.mark.parametrize("missing", ["active", "healed"])
def test_a_fault_that_was_not_proved_active_and_healed_is_not_proved(missing: str) -> None:
    script = Script()
    script.fault("pause", {phase: at for at, phase in enumerate(("begin", "active", "healing", "healed")) if phase != missing})
    (fault,) = script.history().faults
    assert not fault.proved


def test_a_fault_that_failed_says_why() -> None:
    script = Script()
    script.nemesis(1, "pause", {"id": 1, "phase": "begin", "targets": ["n1"]})
    script.nemesis(2, "pause", {"id": 1, "phase": "failed", "targets": ["n1"], "probe": {"state": "running"}, "reason": "not proved"})
    (fault,) = script.history().faults
    assert (fault.active, fault.reason, fault.probe) == (None, "not proved", {})
    assert fault.failed is not None


def test_of_two_events_of_one_phase_the_first_counts() -> None:
    script = Script()
    for at, phase in enumerate(("begin", "active", "healing", "healing")):
        script.nemesis(at, "pause", {"id": 1, "phase": phase, "targets": ["n1"]})
    (fault,) = script.history().faults
    assert fault.healing is not None
    assert fault.healing.time == 2 * NS_PER_MS


def test_a_fault_met_twice_is_two_faults() -> None:
    script = Script()
    script.fault("pause", {"begin": 1}, id_=1)
    script.fault("pause", {"begin": 2}, id_=2)
    assert [fault.id for fault in script.history().faults] == [1, 2]


def test_roles_keep_what_a_node_told_and_a_silent_one_did_not_answer() -> None:
    script = Script()
    script.role(1, "n1", "primary", epoch=3, run_id="a")
    script.role(2, "n1", NO_ANSWER, epoch=None)
    seen = script.history().roles
    assert [(each.role, each.epoch, each.run_id, each.answered) for each in seen] == [
        ("primary", 3, "a", True),
        (NO_ANSWER, None, None, False),
    ]


def test_a_meter_tells_nanoseconds() -> None:
    script = Script()
    script.nemesis(5, "lag", {"late_ms": 1.5})
    assert [(each.moment.time, each.ns) for each in script.history().overslept] == [(5 * NS_PER_MS, 1_500_000)]


def test_an_observer_tells_the_owners_of_a_key() -> None:
    script = Script()
    script.nemesis(5, "observer", {"key": "k", "owners": {"n1": "a", "n2": None}})
    assert [(each.key, each.owners) for each in script.history().owners] == [("k", {"n1": "a", "n2": None})]


def test_a_void_mark_says_why_and_others_do_not() -> None:
    script = Script()
    script.trial(1, "begin")
    script.trial(2, "void", reason="the primary changed")
    assert [(each.n, each.phase, each.reason) for each in script.history().marks] == [
        (1, "begin", None),
        (1, "void", "the primary changed"),
    ]


def test_the_first_act_is_a_clients_or_any_nemesis_and_no_look_at_roles_or_clocks() -> None:
    script = Script()
    script.trial(1, "begin")
    script.role(2, "n1", "primary")
    script.clock(3)
    script.nemesis(4, "start", None)
    script.operation(5, 6, "get", {}, {"value": None})
    history = script.history()
    assert history.first_act is history.events[3]


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_is_made_once(reading: str) -> None:
    history = failover_trial().history()
    assert getattr(history, reading) is getattr(history, reading)


def test_operations_and_trials_are_made_once() -> None:
    history = failover_trial().history()
    assert history.operations() is history.operations()
    assert history.trials() is history.trials()


# Effects


def test_effects_are_those_that_the_header_tells() -> None:
    history = with_header(faults=("blackout",), effects={"blackout": (Effect.CUTS_A_SIDE,), "isolate-primary": ()})
    assert history.effects_of("blackout") == {Effect.CUTS_A_SIDE}
    assert history.effects_of("isolate-primary") == frozenset()


@pytest.mark.parametrize("name", CUTTING)
def test_an_older_history_takes_the_effects_of_the_installed_fault(name: str) -> None:
    assert Effect.CUTS_REPLICATION in with_header(faults=(name,)).effects_of(name)


def test_a_fault_that_nobody_knows_has_no_effects() -> None:
    assert with_header(faults=("blackout",)).effects_of("blackout") == frozenset()


def test_a_run_has_a_fault_with_all_effects_only_if_one_fault_has_them() -> None:
    both = {"a": (Effect.CUTS_A_SIDE,), "b": (Effect.CUTS_REPLICATION,)}
    assert not with_header(faults=("a", "b"), effects=both).has_fault_with(SPLIT_BRAIN)
    assert with_header(faults=("kill", "isolate-primary")).has_fault_with(SPLIT_BRAIN)
    assert not with_header().has_fault_with(SPLIT_BRAIN)


def test_a_split_brain_of_the_primary_is_none_that_met_a_replica() -> None:
    assert not with_header(faults=("isolate-primary:replica",)).has_fault_with(SPLIT_BRAIN)


def test_exactly_these_faults_cut_replication_and_kill_nobody() -> None:
    assert {name for name in names("faults") if Effect.CUTS_REPLICATION in load("faults", name).effects} == set(CUTTING)


def test_a_fault_and_all_that_follow_it_are_told() -> None:
    fault: Fault = load("faults", "hold-back-replication")
    assert [each.name for each in fault.with_followers()] == ["hold-back-replication", "kill"]


def test_effects_of_a_header_are_read_as_they_were_written() -> None:
    header = Header(faults=("blackout",), effects={"blackout": (Effect.CUTS_A_SIDE,)})
    assert parse(encode(header)).header == header


def test_an_effect_that_is_none_is_refused_with_its_line() -> None:
    with pytest.raises(MalformedHistory, match=r"history:1: Invalid enum value 'cuts-all'"):
        parse(b'{"holdwater":1,"effects":{"blackout":["cuts-all"]}}\n')


# What was healed at once


def healed_at(**healings: float) -> list[list[str]]:
    """Give the strikes of faults that began one after the other, by their names; each is proved to be healed 5 ms after its healing."""
    script = Script()
    for number, (name, at) in enumerate(healings.items(), 1):
        script.fault(name, {"begin": number, "active": number + 0.5, "healing": at, "healed": at + 5}, id_=number)
    return [[fault.name for fault in strike] for strike in script.history().strikes]


def test_faults_whose_healings_stand_side_by_side_are_one_strike_in_order_of_their_begin() -> None:
    assert healed_at(first=102, second=101) == [["first", "second"]]


def test_faults_that_are_healed_one_by_one_are_strikes_of_their_own_in_order_of_their_begin() -> None:
    assert healed_at(first=200, second=100) == [["first"], ["second"]]


def test_faults_that_were_never_healed_are_one_strike() -> None:
    script = Script()
    for number, name in enumerate(("first", "second"), 1):
        script.fault(name, {"begin": number, "active": number + 0.5}, id_=number)
    assert [len(strike) for strike in script.history().strikes] == [2]


def test_without_a_fault_there_is_no_strike() -> None:
    assert Script().history().strikes == ()


def test_a_fault_tells_the_delay_that_was_recorded_with_its_begin_else_that_of_the_installed_one() -> None:
    script = Script()
    script.nemesis(1, "latency", {"id": 1, "phase": "begin", "targets": [], "delay_ms": 7})
    script.nemesis(2, "latency", {"id": 2, "phase": "begin", "targets": []})
    script.nemesis(3, "nowhere", {"id": 3, "phase": "begin", "targets": []})
    assert [fault.delay_ms for fault in script.history().faults] == [7, load("faults", "latency").delay_ms, 0]
