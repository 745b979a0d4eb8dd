"""Which checks a history calls for: nothing is judged by the wrong one, nothing is left unjudged in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_fields

from harness.errors import UsageError
from harness.judging import checks
from harness.judging.check import Check, Kind, Terms, every_check, families_of
from harness.judging.checks import families, guarded, judge, untaken, verdicts
from harness.judging.family import every_family
from harness.judging.models.register import Register
from harness.judging.verdict import Anomaly, Status, Verdict, invalid, unknown, valid
from harness.record.fields import canonical
from harness.record.history import NEMESIS, Event, Header, History, MalformedHistory

Call = tuple[str, str, Any, Any]  # key, f, argument, result

ACQUIRE: Call = ("lock", "try_acquire", {"owner": "a", "ttl_ms": 1000}, {"granted": True, "fencing_token": 1})
WIN: Call = ("dedup", "check_and_set", {"value": "1", "ttl_ms": None}, {"set": True})
WIN_AGAIN: Call = ("dedup", "check_and_set", {"value": "2", "ttl_ms": None}, {"set": True})
COUNT: Call = ("counter", "increment", {"delta": 1, "ttl_ms": None}, {"value": 1})
SWAP: Call = ("cas", "compare_and_swap", {"expected": 0, "value": "x", "ttl_ms": None}, {"swapped": True, "version": 1, "value": "x"})
READ: Call = ("register", "read", None, None)
LOCK: Call = ("mutex", "acquire", None, None)
COUNT_ON: Call = ("counter", "increment", {"delta": 1, "ttl_ms": None}, {"value": 2})
LOOK: Call = ("looked-at", "get", {}, {"value": "anything"})
MISSED: Call = ("looked-at", "get", {}, {"value": None})
SCAN: Call = ("scanned", "scan_keys", {"namespace": "n", "tenant": "t", "kind": "k", "prefix": ""}, {"items": []})
EVERY = {"lease": ACQUIRE, "dedup": WIN, "counter": COUNT, "versioned-register": SWAP, "register": READ, "mutex": LOCK}


def history(*calls: Call, process: int = 0) -> History:
    events: list[Event] = [Event(index=0, time=0, process=NEMESIS, type="info", f="clock", value={"monotonic": 0, "wall": 0})]
    for key, f, argument, result in calls:
        for kind, value in (("invoke", argument), ("ok", result)):
            at = len(events)
            events.append(Event(index=at, time=at * 1000, process=process, type=kind, f=f, key=key, value=value))  # type: ignore[arg-type]
    return History(tuple(events), complete=True)


KIND = Kind(name="kind", rule="A rule.", heading="{key}", one="One", many="{n}")


def anomaly(operation: int = 0) -> Anomaly:
    return Anomaly("kind", "key", (operation,), 0, "wrong")


def check(name: str, judged: Callable[[History, Terms], Verdict], families: tuple[str, ...] = (), **more: Any) -> Check:
    return Check(name=name, sentence="a check of a test", kinds=(KIND,), judge=judged, families=families, **more)


def install(monkeypatch: pytest.MonkeyPatch, *installed: Check) -> None:
    """Let these checks be all that are installed."""
    monkeypatch.setattr(checks, "every_check", lambda: {each.name: each for each in installed})


# Families


@pytest.mark.parametrize(("family", "call"), EVERY.items(), ids=list(EVERY))
def test_a_key_belongs_to_the_family_of_its_functions(family: str, call: Call) -> None:
    assert list(families(history(call))) == [family]


def test_keys_of_one_history_are_told_apart() -> None:
    parts = families(history(*EVERY.values()))
    assert {name: {event.key for event in part.events if event.process != NEMESIS} for name, part in parts.items()} == {
        family: {call[0]} for family, call in EVERY.items()
    }


def test_each_part_keeps_what_the_nemesis_did() -> None:
    assert all(part.nemesis() for part in families(history(*EVERY.values())).values())


def test_each_part_knows_whether_the_history_is_complete() -> None:
    assert all(part.complete for part in families(history(*EVERY.values())).values())


def test_a_key_that_is_only_read_is_judged_as_one_that_nobody_wrote() -> None:
    assert list(families(history(LOOK))) == ["versioned-register"]


@pytest.mark.parametrize("beside", EVERY.values(), ids=list(EVERY))
def test_a_read_of_what_nobody_wrote_is_invalid_beside_any_other_kind_of_key(beside: Call) -> None:
    found = judge(history(beside, LOOK), None, 5)
    assert {(each.kind, each.key) for each in found.all_anomalies()} == {("not-linearizable", "looked-at")}


@pytest.mark.parametrize("beside", EVERY.values(), ids=list(EVERY))
def test_a_read_that_finds_a_key_missing_which_nobody_wrote_is_valid_beside_any_other_kind_of_key(beside: Call) -> None:
    assert judge(history(beside, MISSED), None, 5).status is Status.VALID


def test_a_key_that_was_read_without_an_answer_only_asks_for_no_check() -> None:
    looked = history(LOOK)
    unanswered = replace(
        looked, events=tuple(replace_fields(event, type="info", value=None) if event.type == "ok" else event for event in looked.events)
    )
    assert families(unanswered) == {}
    assert untaken(unanswered) is None


def test_a_key_that_is_read_too_belongs_to_the_family_of_the_rest() -> None:
    assert list(families(history(COUNT, ("counter", "get", {}, {"value": "1"})))) == ["counter"]


def test_a_release_with_an_owner_is_a_leases_also_where_nothing_was_acquired() -> None:
    release: Call = ("lock", "release", {"owner": "a"}, {"released": False})
    assert list(families(history(release))) == ["lease"]


def test_a_release_of_a_lease_that_was_never_granted_is_not_condemned_as_a_mutexs() -> None:
    release: Call = ("lock", "release", {"owner": "a"}, {"released": False})
    assert judge(history(release), None, 5).status is not Status.INVALID


def test_an_unknown_f_of_a_stored_history_is_malformed_and_named_with_the_nearest() -> None:
    with pytest.raises(MalformedHistory, match=r"unknown f 'incremnt' \(event 1, key 'counter'\), did you mean 'increment'\?"):
        judge(history(("counter", "incremnt", {}, {})), None, 5)


@pytest.mark.parametrize(("family", "call"), EVERY.items(), ids=list(EVERY))
def test_a_function_that_the_keys_model_lacks_is_malformed_in_a_stored_history(family: str, call: Call) -> None:
    with pytest.raises(MalformedHistory, match=f"f 'frob' .* is not of the model {family}"):
        judge(history(call, (call[0], "frob", {}, {})), None, 5)


@pytest.mark.parametrize("call", EVERY.values(), ids=list(EVERY))
def test_what_no_check_of_a_run_takes_is_unknown_and_named(call: Call) -> None:
    found = verdicts(history(call, (call[0], "frob", {}, {})))
    assert list(found) == ["untaken"]
    assert (found["untaken"].status, found["untaken"].numbers) == (Status.UNKNOWN, {"left": 2, "keys": 1})


def without_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no check of scans be installed."""
    install(monkeypatch, *(each for each in every_check().values() if "scan" not in each.families))


def test_a_function_of_the_interface_without_a_check_is_unknown_in_a_stored_history(monkeypatch: pytest.MonkeyPatch) -> None:
    without_scans(monkeypatch)
    found = judge(history(WIN, SCAN), None, 5)
    assert (found.status, "no check takes scan_keys" in found.summary) == (Status.UNKNOWN, True)


def test_a_counterexample_stands_beside_what_no_check_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    without_scans(monkeypatch)
    assert judge(history(WIN, WIN_AGAIN, SCAN), None, 5).status is Status.INVALID


def failed(call: Call, history_: History) -> History:
    """Add an operation that failed."""
    key, f, argument, _ = call
    at = len(history_.events)
    common = {"time": at * 1000, "process": 9, "f": f, "key": key}
    more = (Event(index=at, type="invoke", value=argument, **common), Event(index=at + 1, type="fail", value=None, **common))
    return replace(history_, events=(*history_.events, *more))


@pytest.mark.parametrize("call", EVERY.values(), ids=list(EVERY))
def test_what_failed_takes_no_key_away_from_its_check(call: Call) -> None:
    scanned = failed((call[0], "scan_keys", {}, None), history(call))
    assert (set(families(scanned)), untaken(scanned)) == (set(families(history(call))), None)
    assert judge(scanned, None, 5).status is Status.VALID


def test_a_counterexample_stands_beside_what_failed_on_its_key() -> None:
    assert judge(failed(("dedup", "scan_keys", {}, None), history(WIN, WIN_AGAIN)), None, 5).status is Status.INVALID


FULL = {"register": Register(canonical("full"))}


@pytest.mark.parametrize(("seen", "status"), [("full", Status.VALID), (None, Status.INVALID), ("other", Status.INVALID)])
def test_what_a_register_began_with_holds_for_a_key_that_is_only_read_too(seen: str | None, status: Status) -> None:
    looked = history(("a", "write", "x", "x"), ("b", "get", {}, {"value": seen}))
    assert judge(looked, None, 5, FULL).status is status


@given(st.lists(st.sampled_from([*EVERY.values(), LOOK, MISSED, SCAN, ("dedup", "frob", {}, {})])))
def test_every_answered_operation_is_taken_by_a_check_or_named(calls: list[Call]) -> None:
    whole = history(*calls)
    taken = [event.index for part in families(whole).values() for event in part.events if event.type == "ok" and event.process != NEMESIS]
    left = untaken(whole)
    missing = {event.index for event in whole.events if event.type == "ok"} - set(taken)
    assert len(taken) == len(set(taken))
    assert (0 if left is None else left.numbers["left"]) == len(missing)


def test_each_check_says_how_many_answered_operations_it_took() -> None:
    found = verdicts(history(COUNT, COUNT_ON, SWAP, WIN, ACQUIRE))
    assert {name: verdict.numbers["answered"] for name, verdict in found.items()} == {
        "linearizable": 3,
        "dedup": 1,
        "lease": 1,
        "fencing": 1,
    }


def test_a_function_that_the_chosen_model_lacks_is_malformed() -> None:
    for model in every_family():
        with pytest.raises(MalformedHistory, match=f"f 'frob' .* is not of the model {model}"):
            judge(history(("k", "frob", {}, {})), model, 5)


def test_every_family_knows_the_functions_by_which_it_is_found() -> None:
    assert all(family.marks <= family.functions for family in every_family().values())


def test_every_family_has_a_check() -> None:
    taken = {family.name for check in every_check().values() for family in families_of(check)}
    assert taken == set(every_family())


def test_a_model_that_no_check_decides_is_judged_for_linearizability() -> None:
    mine = {family.name for family in families_of(every_check()["linearizable"])}
    assert mine == {"counter", "versioned-register", "register", "mutex"}


def test_an_unknown_model_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="unknown model 'leese', did you mean 'lease'"):
        judge(history(ACQUIRE), "leese", 5)


# Verdicts


def test_each_family_has_its_checks() -> None:
    assert set(verdicts(history(*EVERY.values()))) == {"lease", "fencing", "dedup", "linearizable"}


def test_one_check_of_several_families_is_one_verdict_with_a_part_for_each() -> None:
    found = verdicts(history(COUNT, SWAP))
    assert [name for name, _ in found["linearizable"].parts] == ["counter", "versioned-register"]


def test_nothing_to_judge_is_unknown() -> None:
    assert verdicts(history()) == {}
    assert judge(history(), None, 5).status is Status.UNKNOWN


@pytest.mark.parametrize("model", [None, "counter"])
def test_a_history_without_its_end_is_never_valid(model: str | None) -> None:
    whole = history(COUNT)
    assert judge(whole, model, 5).status is Status.VALID
    found = judge(replace(whole, complete=False), model, 5)
    assert (found.status, "no end mark" in found.summary) == (Status.UNKNOWN, True)


def test_a_counterexample_needs_no_end() -> None:
    assert judge(replace(history(WIN, WIN_AGAIN), complete=False), None, 5).status is Status.INVALID


def test_the_worst_of_several_checks_is_the_verdict() -> None:
    found = judge(history(READ, WIN, WIN_AGAIN), None, 5)
    assert found.status is Status.INVALID
    assert "dedup-two-winners" in {each.kind for each in found.all_anomalies()}


ORDERS = {
    (Status.VALID, Status.VALID): Status.VALID,
    (Status.VALID, Status.UNKNOWN): Status.UNKNOWN,
    (Status.UNKNOWN, Status.INVALID): Status.INVALID,
    (Status.INVALID, Status.VALID): Status.INVALID,
}


@pytest.mark.parametrize(("statuses", "worst"), ORDERS.items())
def test_worst_wins_over_families(monkeypatch: pytest.MonkeyPatch, statuses: tuple[Status, Status], worst: Status) -> None:
    said = dict(zip(("counter", "dedup"), statuses, strict=True))

    def judged(history: History, terms: Terms) -> Verdict:
        first = next(event.index for event in history.events if event.type == "invoke")
        made = {Status.VALID: valid("v"), Status.UNKNOWN: unknown("u"), Status.INVALID: invalid("i", [anomaly(first)])}
        return made[said[terms.family.name if terms.family else ""]]

    install(monkeypatch, check("one", judged, families=("counter", "dedup")))
    assert verdicts(history(COUNT, WIN))["one"].status is worst


# A check that fails


def raises(history: History) -> Verdict:
    raise ZeroDivisionError("division by zero")


def test_a_check_that_raises_is_unknown_and_says_so() -> None:
    found = guarded("lease", raises)(history())
    assert (found.status, found.summary) == (Status.UNKNOWN, "the lease check raised ZeroDivisionError: division by zero")


def test_a_check_that_nests_too_deep_is_unknown() -> None:
    def deep(history: History) -> Verdict:
        return deep(history)

    assert guarded("lease", deep)(history()).status is Status.UNKNOWN


def test_a_check_that_raises_hides_no_other_checks_anomaly(monkeypatch: pytest.MonkeyPatch) -> None:
    other = check("other", lambda history, terms: invalid("i", [anomaly(history.operations()[0].index)]), families=("dedup",))
    install(monkeypatch, check("dedup", lambda history, terms: raises(history), families=("dedup",)), other)
    assert {name: each.status for name, each in verdicts(history(WIN)).items()} == {"dedup": Status.UNKNOWN, "other": Status.INVALID}


def test_what_is_malformed_is_no_verdict() -> None:
    def malformed(history: History) -> Verdict:
        raise MalformedHistory("no")

    with pytest.raises(MalformedHistory):
        guarded("lease", malformed)(history())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_verdict(error: type[BaseException]) -> None:
    def interrupted(history: History) -> Verdict:
        raise error

    with pytest.raises(error):
        guarded("lease", interrupted)(history())


def test_values_of_a_wrong_shape_are_malformed_and_never_a_verdict() -> None:
    for call in (ACQUIRE, COUNT, SWAP):
        with pytest.raises(MalformedHistory):
            judge(history((call[0], call[1], 7, 7)), None, 5)


def test_what_failed_decides_no_keys_family_where_a_strange_function_is_refused() -> None:
    won_twice = history(WIN, WIN, ("dedup", "increment", {"delta": 1, "ttl_ms": None}, None))
    failed = replace_fields(won_twice.events[-1], type="fail")
    assert judge(replace(won_twice, events=(*won_twice.events[:-1], failed)), None, 5).status is Status.INVALID


# Checks on request, checks that pick their keys


def finding(history: History, terms: Terms) -> Verdict:
    return invalid("found", [anomaly(next(event.index for event in history.events if event.type == "invoke"))])


def test_a_check_on_request_judges_only_where_it_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, check("asked", finding, ("dedup",), on_request=True), check("always", lambda h, t: valid("fine"), ("dedup",)))
    assert set(verdicts(history(WIN))) == {"always"}
    assert verdicts(history(WIN), Terms(requested=frozenset({"asked"})))["asked"].status is Status.INVALID


def test_a_check_on_request_takes_no_key_off_the_hands_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, check("asked", finding, ("dedup",), on_request=True))
    assert untaken(history(WIN)) is not None
    assert checks.unjudged(frozenset({"check_and_set"}), ["asked"]) == {"check_and_set"}


def test_a_check_of_whole_trials_on_request_judges_only_where_it_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, check("asked", lambda h, t: valid("fine"), on_request=True))
    assert "asked" not in checks.trial_verdicts(history(WIN))
    assert "asked" in checks.trial_verdicts(history(WIN), Terms(requested=frozenset({"asked"})))


def test_a_check_that_picks_its_keys_is_given_those_and_leaves_the_others_untaken(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Call = ("other", "check_and_set", {"value": "1", "ttl_ms": None}, {"set": True})
    given: list[set[str | None]] = []

    def judged(part: History, terms: Terms) -> Verdict:
        given.append({event.key for event in part.events if event.process != NEMESIS})
        return valid("fine")

    install(monkeypatch, check("picky", judged, ("dedup",), picks=lambda events: events[0].key == "dedup"))
    left = verdicts(history(WIN, other))["untaken"]
    assert given == [{"dedup"}]
    assert left.numbers["keys"] == 1


def trial_of(workload: str, *calls: Call) -> History:
    return replace(history(*calls), header=Header(workloads=(workload,)))


def test_a_check_of_a_workload_has_nothing_to_do_where_another_of_its_checks_takes_every_key() -> None:
    """The keys of `mixed` with a TTL are the exact search's: nothing is left to its linearizable one."""
    timed: Call = ("t1-mixed-0", "set", {"value": "1", "ttl_ms": 100}, {})
    found = checks.trial_verdicts(trial_of("mixed", timed))
    assert (set(found), found["expiry"].status) == ({"expiry"}, Status.VALID)


def test_a_check_of_a_workload_that_has_not_judged_what_nobody_took_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    every = dict(every_check())
    every["expiry"] = replace(every["expiry"], picks=lambda events: events[0].key != "t1-mixed-0")
    install(monkeypatch, *every.values())
    timed: Call = ("t1-mixed-0", "set", {"value": "1", "ttl_ms": 100}, {})
    found = checks.trial_verdicts(trial_of("mixed", timed))
    assert {name: verdict.status for name, verdict in found.items()} == dict.fromkeys(("untaken", "linearizable"), Status.UNKNOWN)


# What no verdict may rest on


def test_a_look_at_a_version_without_an_answer_asks_for_no_check() -> None:
    found = history(WIN, ("alone", "get_versioned", {}, {"value": None, "version": 0}))
    events = [replace_fields(each, type="info", value=None) if each.key == "alone" and each.type == "ok" else each for each in found.events]
    assert set(verdicts(History(tuple(events), complete=True))) == {"dedup"}


@pytest.mark.parametrize("error", ["unclassified: OddError", "broken: TypeError"])
def test_an_error_of_no_known_kind_stands_in_the_way_of_valid_in_a_stored_history_too(error: str) -> None:
    found = history(WIN, COUNT, COUNT_ON)
    events = [replace_fields(each, type="info", value=None, error=error) if each.index == 4 else each for each in found.events]
    events = [replace_fields(each, process=1) if each.index > 4 else each for each in events]
    said = judge(History(tuple(events), complete=True), None, 5)
    assert (said.status, error in said.summary) == (Status.UNKNOWN, True)


def test_one_key_under_two_names_is_never_valid() -> None:
    found = judge(history(WIN, ("holdwater:run:state:dedup", *WIN[1:])), None, 5)
    assert (found.status, "two names" in found.summary) == (Status.UNKNOWN, True)


def test_a_key_of_another_place_and_a_lock_have_the_names_that_they_have() -> None:
    found = history(WIN, ("n:t:k:dedup", *WIN[1:]), ("holdwater:run:state:lock", *ACQUIRE[1:]), ACQUIRE)
    assert "keys" not in verdicts(found)
