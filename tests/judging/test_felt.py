"""What clients feel of a fault: their own answers must agree with what its probe proved. Times in milliseconds.

Each trial's fault begins at 1100, is proved at 1200, healed from 3000 on, and healed for certain at 3100. Slots 0 and 1 are of the
first side, 2 and 3 of the other one; before the fault n1 answered all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from trials import Script, opening

from harness.judging.felt import felt
from harness.judging.gates import exposure
from harness.judging.trials import TrialEvidence, with_doubt
from harness.judging.verdict import Status, valid
from harness.record.history import CLIENTS, Effect, Event, Header, History

SIDES = {"0": "clients-a", "1": "clients-a", "2": "clients-b", "3": "clients-b"}
LINK = "clients-a -> n1"
SLOTS = range(4)


def trial(*, met: str = "n1") -> Script:
    """Begin a trial in which each slot was answered once by a node before any fault."""
    script = Script()
    opening(script)
    for slot in SLOTS:
        asks(script, 100, slot=slot, node=met)
    return script


def asks(script: Script, at: float, took: float = 2, *, slot: int = 0, node: str | None = "n1", ok: bool = True) -> None:
    """Let a slot look at a lock, or try to in vain."""
    result = {"held": False} if ok else None
    script.operation(at, at + took, "is_held", {"owner": "x"}, result, node=node, type_="ok" if ok else "fail", process=slot)


def loses(script: Script, at: float, f: str, key: str, argument: Mapping[str, Any], *, process: int) -> None:
    """Let a request end without an answer."""
    script.operation(at, at + 200, f, argument, None, key=key, type_="info", process=process)


def history(script: Script, *effects: Effect, target: str = LINK, delay_ms: int | None = None, **header: Any) -> History:
    """Add the fault, and give the history."""
    common = {"id": 1, "targets": [target], "changes_roles": False, "probe": {}}
    for at, phase in ((1100, "begin"), (1200, "active"), (3000, "healing"), (3100, "healed")):
        more = {"delay_ms": delay_ms} if phase == "begin" and delay_ms is not None else {}
        script.nemesis(at, "some-fault", {**common, **more, "phase": phase})
    script.trial(3150, "settled")
    told = {"sides": SIDES, "concurrency": None, "effects": {"some-fault": effects}, **header}
    return replace(script.history(), header=Header(workloads=(), faults=("some-fault",), **told))


def contradicted(script: Script, *effects: Effect, **more: Any) -> str | None:
    """Say what contradicts the fault, which must show in clients' answers."""
    ((_, said),) = felt(history(script, *effects, **more))
    return said


def asked_nothing(script: Script, *effects: Effect, **more: Any) -> bool:
    return felt(history(script, *effects, **more)) == []


SILENT = [(Effect.CUTS_A_SIDE, LINK), (Effect.SILENCES_A_NODE, "n1")]


# A cut link, a silent node


@pytest.mark.parametrize(("effect", "target"), SILENT)
def test_silence_is_felt_where_nothing_was_answered_and_something_was_asked(effect: Effect, target: str) -> None:
    script = trial()
    asks(script, 2000, ok=False)
    assert contradicted(script, effect, target=target) is None


@pytest.mark.parametrize(("effect", "target"), SILENT)
def test_an_answer_contradicts_silence(effect: Effect, target: str) -> None:
    script = trial()
    asks(script, 2000, ok=False)
    asks(script, 2600)
    said = contradicted(script, effect, target=target)
    assert said is not None
    assert said.startswith("n1 answered 1 operation of clients")
    assert said.endswith(" while it was on, first at 2.602 s")


@pytest.mark.parametrize(("effect", "target"), SILENT)
def test_silence_that_left_nothing_unanswered_was_not_felt(effect: Effect, target: str) -> None:
    said = contradicted(trial(), effect, target=target)
    assert said is not None
    assert said.endswith("asked of n1 went unanswered")


@pytest.mark.parametrize(("effect", "target"), SILENT)
@pytest.mark.parametrize(("at", "took"), [(1150, 100), (2900, 150), (3200, 2)])
def test_what_was_asked_before_the_proof_or_answered_after_the_healing_began_contradicts_nothing(
    effect: Effect, target: str, at: float, took: float
) -> None:
    script = trial()
    asks(script, 2000, ok=False)
    asks(script, at, took, slot=1)
    assert contradicted(script, effect, target=target) is None


def test_a_cut_of_one_side_leaves_the_other_its_answers() -> None:
    script = trial()
    asks(script, 2000, ok=False)
    asks(script, 2600, slot=2)
    assert contradicted(script, Effect.CUTS_A_SIDE) is None


def test_a_node_cut_off_goes_on_answering_the_first_side_only() -> None:
    script = trial()
    asks(script, 2000, slot=2, ok=False)
    asks(script, 2600, slot=0)
    assert contradicted(script, Effect.CUTS_A_SIDE, target="n1") is None
    asks(script, 2700, slot=3)
    said = contradicted(script, Effect.CUTS_A_SIDE, target="n1")
    assert said is not None
    assert said.startswith("n1 answered 1 operation of clients other than clients-a ")


def test_another_node_may_answer_those_who_are_cut_off() -> None:
    script = trial()
    asks(script, 2000, ok=False)
    asks(script, 2600, node="n2")
    assert contradicted(script, Effect.CUTS_A_SIDE) is None


def test_a_request_that_never_ended_went_unanswered() -> None:
    script = trial()
    script.lines.append((2000, {"process": 0, "type": "invoke", "f": "is_held", "key": "t1-a", "value": {"owner": "x"}}))
    assert contradicted(script, Effect.CUTS_A_SIDE) is None


@pytest.mark.parametrize(("effect", "target"), SILENT)
def test_a_node_that_nobody_talked_to_is_asked_for_nothing(effect: Effect, target: str) -> None:
    assert asked_nothing(trial(met="n2"), effect, target=target)


def test_whom_clients_talk_to_is_told_by_their_last_answer_before_the_fault() -> None:
    script = trial()
    for slot in SLOTS:
        asks(script, 500, slot=slot, node="n2")
    assert asked_nothing(script, Effect.SILENCES_A_NODE, target="n1")


def test_answers_that_name_no_node_are_of_the_one_that_there_is() -> None:
    script = trial(met=None)  # type: ignore[arg-type]
    asks(script, 2600, node=None)
    said = contradicted(script, Effect.CUTS_A_SIDE)
    assert said is not None
    assert "n1 answered 1 operation of clients-a" in said


def test_an_answer_that_names_no_node_beside_others_that_do_is_nobodys() -> None:
    script = trial()
    asks(script, 2000, ok=False)
    asks(script, 2600, node=None)
    assert contradicted(script, Effect.CUTS_A_SIDE) is None


def test_a_history_without_sides_says_not_who_was_cut_off_from_a_node() -> None:
    assert asked_nothing(trial(), Effect.CUTS_A_SIDE, target="n1", sides={})


def test_a_fault_that_was_not_proved_is_asked_for_nothing() -> None:
    found = history(trial(), Effect.CUTS_A_SIDE)
    without = tuple(event for event in found.events if not isinstance(event.value, dict) or event.value.get("phase") != "active")
    assert felt(replace(found, events=without)) == []


# Late answers


def test_answers_that_took_the_delay_agree_with_it() -> None:
    script = trial()
    asks(script, 2000, took=90)
    assert contradicted(script, Effect.DELAYS_ANSWERS, delay_ms=84) is None


def test_an_answer_sooner_than_the_delay_contradicts_it() -> None:
    script = trial()
    asks(script, 2000, took=90)
    asks(script, 2200, took=3.5)
    assert (
        contradicted(script, Effect.DELAYS_ANSWERS, delay_ms=84)
        == "n1 answered clients-a after 3.5 ms while it was on, expected 84 ms or more"
    )


def test_where_all_give_up_before_an_answer_the_delay_was_felt() -> None:
    script = trial()
    asks(script, 2000, took=50, ok=False)
    assert contradicted(script, Effect.DELAYS_ANSWERS, delay_ms=84) is None


def test_a_delay_that_nobody_met_was_not_felt() -> None:
    assert contradicted(trial(), Effect.DELAYS_ANSWERS, delay_ms=84) == "clients-a asked nothing of n1 while it was on"


def test_a_delay_of_unknown_length_is_not_taken_for_felt() -> None:
    script = trial()
    asks(script, 2000, took=90)
    assert contradicted(script, Effect.DELAYS_ANSWERS) == "by how much it delays answers is not recorded"


# Lost answers


def dedup(key: str, value: str) -> tuple[str, str, dict[str, Any]]:
    return "check_and_set", key, {"value": value, "ttl_ms": None}


def test_without_a_lost_answer_nothing_was_felt() -> None:
    assert contradicted(trial(), Effect.LOSES_ANSWERS) == "no answer of n1 to clients-a was lost"


def test_a_lost_answer_whose_request_shows_nowhere_agrees() -> None:
    script = trial()
    loses(script, 2000, *dedup("t1-k", "v"), process=0)
    assert contradicted(script, Effect.LOSES_ANSWERS) is None


def refuted(count: int) -> Script:
    """Lose the answers of so many requests; each key is set by another client afterwards, as if the request had never arrived."""
    script = trial()
    for n in range(count):
        loses(script, 1300 + n, *dedup(f"t1-k{n}", "mine"), process=4 * n)
        script.operation(2000 + n, 2001 + n, "check_and_set", {"value": "theirs", "ttl_ms": None}, {"set": True}, key=f"t1-k{n}", process=2)
    return script


def test_requests_that_were_all_certainly_not_applied_contradict_a_lost_answer() -> None:
    said = "none of 3 requests of clients-a whose answers were lost was applied"
    assert contradicted(refuted(3), Effect.LOSES_ANSWERS, concurrency=4) == said


def test_one_request_that_was_applied_agrees_with_the_others_that_were_not() -> None:
    script = refuted(3)
    loses(script, 1400, *dedup("t1-shown", "mine"), process=13)
    script.operation(2500, 2501, "get", {}, {"value": "mine"}, key="t1-shown", process=2)
    assert contradicted(script, Effect.LOSES_ANSWERS, concurrency=4) is None


def test_two_requests_that_were_late_prove_nothing() -> None:
    assert contradicted(refuted(2), Effect.LOSES_ANSWERS, concurrency=4) is None


@pytest.mark.parametrize("seen_at", [None, 500])
def test_a_swap_that_another_made_later_was_not_applied_where_its_version_was_there(seen_at: float | None) -> None:
    script = trial()
    for n in range(3):
        key, expected = f"t1-k{n}", 0 if seen_at is None else 4
        if seen_at is not None:
            script.operation(seen_at + n, seen_at + n + 1, "get_versioned", {}, {"value": "old", "version": 4}, key=key, process=2)
        loses(script, 1300 + n, "compare_and_swap", key, {"expected": expected, "value": "mine", "ttl_ms": None}, process=4 * n)
        argument = {"expected": expected, "value": "theirs", "ttl_ms": None}
        answer = {"swapped": True, "version": expected + 1, "value": "theirs"}
        script.operation(2000 + n, 2001 + n, "compare_and_swap", argument, answer, key=key, process=2)
    said = contradicted(script, Effect.LOSES_ANSWERS, concurrency=4)
    assert said == "none of 3 requests of clients-a whose answers were lost was applied"


def test_a_swap_from_a_version_that_nobody_had_seen_tells_nothing() -> None:
    script = trial()
    for n in range(3):
        key = f"t1-k{n}"
        loses(script, 1300 + n, "compare_and_swap", key, {"expected": 4, "value": "mine", "ttl_ms": None}, process=4 * n)
        argument = {"expected": 4, "value": "theirs", "ttl_ms": None}
        answer = {"swapped": True, "version": 5, "value": "theirs"}
        script.operation(2000 + n, 2001 + n, "compare_and_swap", argument, answer, key=key, process=2)
    assert contradicted(script, Effect.LOSES_ANSWERS, concurrency=4) is None


@pytest.mark.parametrize(
    ("f", "argument", "result"),
    [("delete", {}, {"deleted": True}), ("set", {"value": "x", "ttl_ms": 100}, {}), ("set", {"value": "mine", "ttl_ms": None}, {})],
)
def test_keys_that_end_and_values_written_twice_tell_nothing(f: str, argument: Any, result: Any) -> None:
    script = refuted(3)
    for n in range(3):
        script.operation(1800 + n, 1801 + n, f, argument, result, key=f"t1-k{n}", process=3)
    assert contradicted(script, Effect.LOSES_ANSWERS, concurrency=4) is None


# Connections, primaries, holders


def test_the_end_of_connections_is_felt_from_its_begin_on() -> None:
    script = trial()
    assert contradicted(script, Effect.ENDS_CONNECTIONS, target="n1") == "nothing that clients asked of n1 went unanswered"
    asks(script, 1150, ok=False, slot=3)
    assert contradicted(script, Effect.ENDS_CONNECTIONS, target="n1") is None


def test_a_new_primary_is_felt_where_another_node_answers() -> None:
    script = trial()
    asks(script, 2000)
    assert contradicted(script, Effect.MOVES_PRIMARY, target="n1") == "no other node than n1 answered clients after it"
    asks(script, 3300, node="n2")
    assert contradicted(script, Effect.MOVES_PRIMARY, target="n1") is None


def holder(*, next_at: float) -> Script:
    script = trial()
    answer = {"granted": True, "fencing_token": 1}
    script.operation(1300, 1301, "try_acquire", {"owner": "0-1", "ttl_ms": 500}, answer, key="t1-lock", process=0)
    asks(script, next_at)
    return script


def test_a_holder_that_rested_past_its_lease_was_stopped() -> None:
    assert contradicted(holder(next_at=1900), Effect.STOPS_HOLDERS, target=CLIENTS) is None


def test_a_holder_that_went_on_within_its_lease_was_not() -> None:
    said = "no client rested for longer than the lease that it held"
    assert contradicted(holder(next_at=1600), Effect.STOPS_HOLDERS, target=CLIENTS) == said


def test_without_a_grant_nobody_can_tell_who_was_stopped() -> None:
    assert asked_nothing(trial(), Effect.STOPS_HOLDERS, target=CLIENTS)


@pytest.mark.parametrize("effects", [(), (Effect.CUTS_REPLICATION,)])
def test_what_shows_in_no_answer_is_asked_for_nothing(effects: tuple[Effect, ...]) -> None:
    assert asked_nothing(trial(), *effects)


# The gate


def gate(found: History) -> list[tuple[int, int, bool, str]]:
    return [(each.needed, each.measured, each.met, each.detail) for each in exposure(found, []) if each.name == "faults_felt"]


def test_the_gate_wants_every_fault_to_be_felt_and_names_the_first_that_was_not() -> None:
    said = "some-fault: nothing that clients-a asked of n1 went unanswered"
    assert gate(history(trial(), Effect.CUTS_A_SIDE)) == [(1, 0, False, said)]


def test_there_is_no_gate_where_nothing_shows() -> None:
    assert gate(history(trial())) == []


def test_a_run_whose_fault_was_not_felt_is_unknown() -> None:
    found = TrialEvidence(1, history(trial(), Effect.CUTS_A_SIDE), {"lease": valid("")})
    doubt = with_doubt(found)["gates"]
    assert doubt.status is Status.UNKNOWN
    assert "faults felt: 0, needed 1 (some-fault: nothing that clients-a asked of n1 went unanswered)" in doubt.summary


# Histories of earlier versions


def old(f: str, *, effects: Iterable[Effect], script: Script | None = None) -> History:
    found = history(script or trial())
    events = tuple(renamed(event, f) for event in found.events)
    return replace(found, events=events, header=Header(sides=SIDES, faults=(f,), effects={f: tuple(effects)}))


def renamed(event: Event, f: str) -> Event:
    return Event(**{name: getattr(event, name) for name in event.__struct_fields__} | {"f": f if event.f == "some-fault" else event.f})


def test_a_header_that_tells_no_effect_that_clients_feel_is_older_than_they_are() -> None:
    ((_, said),) = felt(old("latency", effects=()))
    assert said == "clients-a asked nothing of n1 while it was on"


def test_what_an_old_header_does_not_tell_of_a_split_brain_is_not_added() -> None:
    assert old("cut", effects=()).effects_of("cut") == frozenset()


def test_a_header_that_tells_effects_is_taken_at_its_word() -> None:
    assert old("latency", effects=(Effect.ENDS_CONNECTIONS,)).effects_of("latency") == {Effect.ENDS_CONNECTIONS}
