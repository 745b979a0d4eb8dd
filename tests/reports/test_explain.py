"""The explanation of one anomaly, and the finding of a run in one line."""

from __future__ import annotations

import re
from importlib.metadata import entry_points

import pytest
from msgspec.structs import replace
from split_brain import MS, Recorder, S, split_brain

from harness.judging.check import Terms, every_check
from harness.judging.checkers.index import index
from harness.judging.checkers.lease import lease
from harness.judging.checkers.scan import scan
from harness.judging.kind import every_kind
from harness.judging.verdict import Anomaly, Verdict, combine, invalid, unknown, valid
from harness.record.history import History
from reports import phrases
from reports.explain import explain, finding
from reports.groups import holds
from reports.scene import nodes
from workloads.resource.updates import resource


@pytest.fixture(scope="module")
def cut() -> tuple[History, Verdict]:
    history = split_brain()
    return history, lease(history)


@pytest.fixture(scope="module")
def two_holders(cut: tuple[History, Verdict]) -> str:
    history, verdict = cut
    return explain(history, next(each for each in verdict.all_anomalies() if each.key == "t1-fresh-0"))


def leases() -> History:
    """One lock: granted to client 0, refused to client 1, seen lost by client 0, granted to client 1."""
    record = Recorder()
    held = {"owner": "0-1"}
    record.call(S, S + MS, 0, "try_acquire", "lock", held | {"ttl_ms": 2000}, {"granted": True, "fencing_token": 7}, node="redis-1")
    record.call(S + 5 * MS, S + 6 * MS, 1, "try_acquire", "lock", {"owner": "1-1", "ttl_ms": 2000}, {"granted": False})
    record.call(2 * S, 2 * S + MS, 0, "is_held", "lock", held, {"held": False}, node="redis-2")
    record.call(
        2 * S + 5 * MS, 2 * S + 6 * MS, 1, "try_acquire", "lock", {"owner": "1-2", "ttl_ms": 2000}, {"granted": True, "fencing_token": 7}
    )
    return record.history()


def keys() -> History:
    record = Recorder()
    for n in range(2):
        value = {"value": f"{n}-1", "ttl_ms": None}
        record.call((n + 1) * S, (n + 1) * S + MS, n, "check_and_set", "t1-dedup-4", value, {"set": True}, node=f"redis-{n + 1}")
    record.call(9 * S, 9 * S + MS, 2, "get", "t1-dedup-4", {}, {"value": None}, node="redis-2")
    return record.history()


def register() -> History:
    record = Recorder()
    record.call(S, S + MS, 0, "set", "x", {"value": "a", "ttl_ms": None}, {})
    record.call(2 * S, 2 * S + MS, 1, "compare_and_swap", "x", {"expected": 1, "value": "b"}, {"swapped": True, "version": 2, "value": "b"})
    record.call(3 * S, 3 * S + MS, 2, "get_versioned", "x", {}, {"value": "a", "version": 1})
    record.call(4 * S, 4 * S + 500 * MS, 3, "set", "x", {"value": "c", "ttl_ms": None}, None, type="info", error="timed out")
    return record.history()


def anomaly(history: History, kind: str) -> Anomaly:
    key = history.events[0].key
    indices = tuple(each.index for each in history.operations())
    return Anomaly(kind, key, indices, history.events[-1].time, "this contradicts that")


HEADED = [kind for kind in every_kind() if kind != "two-holders"]  # whose heading says for how long
OF = {kind: keys() if kind.startswith("dedup") else register() if kind == "not-linearizable" else leases() for kind in HEADED}


def test_every_kind_has_a_place_of_its_own_among_the_worst() -> None:
    places = [kind.rank for kind in every_kind().values()]
    assert len(places) == len(set(places))


def test_what_is_told_first_is_two_holders_and_what_is_told_last_a_token() -> None:
    asked = {kind.name for check in every_check().values() if not check.on_request for kind in check.kinds}
    first, *_, last = (kind for kind in every_kind() if kind in asked)
    assert (first, last) == ("two-holders", "fencing")


@pytest.mark.parametrize("kind", HEADED)
def test_every_kind_has_a_heading_and_ends_with_what_contradicts_what(kind: str) -> None:
    text = explain(OF[kind], anomaly(OF[kind], kind))
    lines = text.splitlines()
    assert lines[0].startswith(str(OF[kind].events[0].key))
    assert " ".join(text.split()).endswith(f"{every_kind()[kind].rule} But this contradicts that.")
    assert max(map(len, lines)) <= 79


@pytest.mark.parametrize("kind", HEADED)
def test_leases_have_a_strip_and_other_objects_have_none(kind: str) -> None:
    assert ("seconds" in explain(OF[kind], anomaly(OF[kind], kind))) == every_kind()[kind].strip


def test_two_holders_show_both_clients_the_cut_and_the_promotion(two_holders: str) -> None:
    for name in (
        "seconds",
        "fault",
        "redis-1",
        "redis-2",
        "client 1",
        "client 4",
        "░",
        "▒",
        "━",
        "─",
        "▲",
        "█",
        "▓",
        "└",
        "┘",
        "both entitled",
    ):
        assert name in two_holders


def test_two_holders_begin_with_how_long_and_end_with_who(two_holders: str) -> None:
    assert two_holders.startswith("t1-fresh-0 had two owners for 11.178 s\n")
    assert two_holders.endswith("clients 1 and 4 were both entitled to t1-fresh-0 (▓).\n")


def test_both_rows_are_marked_over_the_same_columns(two_holders: str) -> None:
    lines = two_holders.splitlines()
    rows = [line for line in lines if line.startswith("  client")]
    bracket = next(line for line in lines if "└" in line)
    assert {(row.index("▓"), row.rindex("▓")) for row in rows} == {(bracket.index("└"), bracket.index("┘"))}


def test_no_line_is_wider_than_a_terminal(cut: tuple[History, Verdict]) -> None:
    history, verdict = cut
    for each in verdict.all_anomalies()[::7]:
        assert max(map(len, explain(history, each).splitlines())) <= 79


def test_sentences_come_in_the_order_of_time(two_holders: str) -> None:
    times = [float(stamp) for stamp in re.findall(r"^ *([0-9.]+) s  ", two_holders, re.MULTILINE)]
    assert times == sorted(times)
    assert len(times) >= 5


def test_what_the_fault_did_and_how_it_was_proved_is_told(two_holders: str) -> None:
    assert "redis-1 and clients 0–3 cut off (░)" in two_holders
    assert "proved: marker reached 0 of 2 peers, through 0 of 1 client link (▒)" in two_holders
    assert "redis-2 is promoted (▲)" in two_holders


def test_an_observer_that_saw_two_owners_is_quoted(cut: tuple[History, Verdict]) -> None:
    record = Recorder()
    for process, node in ((0, "redis-1"), (4, "redis-2")):
        argument = {"owner": f"{process}-1", "ttl_ms": 5000}
        record.call((process + 1) * S // 2, (process + 2) * S // 2, process, "try_acquire", "lock", argument, {"granted": True}, node=node)
    record.nemesis(4 * S, "observer", key="lock", owners={"redis-1": "0-1", "redis-2": "4-1", "redis-3": None})
    history = record.history()
    (found,) = lease(history).all_anomalies()
    assert "an observer reads the owner: redis-1 0-1; redis-2 4-1" in explain(history, found)


def test_operations_of_an_object_are_listed_in_order_with_their_answers() -> None:
    text = " ".join(explain(register(), anomaly(register(), "not-linearizable")).split())
    told = ["client 0 sets x to 'a'; done", "client 1 swaps x from version 1 to 'b'; swapped", "client 2 reads x; value 'a', version 1"]
    told += ["client 3 sets x to 'c'; no answer, it may have happened (timed out)"]
    places = [text.index(each) for each in told]
    assert places == sorted(places)


def test_a_lost_key_is_told_from_its_winners_to_the_read_that_missed_it() -> None:
    text = explain(keys(), anomaly(keys(), "dedup-lost"))
    assert "client 0 tries to be the first to set t1-dedup-4 to '0-1'" in text
    assert "client 2 reads t1-dedup-4; redis-2: nothing" in text


def test_many_operations_are_cut_and_said_to_be() -> None:
    record = Recorder()
    for n in range(60):
        record.call(n * S, n * S + MS, n % 8, "write", "x", n, n)
    text = explain(record.history(), anomaly(record.history(), "not-linearizable"))
    assert "(36 more are left out here)" in text
    assert "client 3 sets x to 59" in text


def test_an_anomaly_of_an_unknown_kind_or_key_is_told_by_its_message() -> None:
    text = explain(leases(), Anomaly("new-kind", "elsewhere", (), 0, "something is wrong"))
    assert text == "elsewhere: new-kind\n\n  something is wrong.\n"


def test_an_empty_history_can_be_explained() -> None:
    assert explain(History(()), Anomaly("two-holders", None, (), 0, "a message")).startswith("the object had two owners")


def test_finding_says_how_often_when_and_how_long_after_the_begin_of_the_fault(cut: tuple[History, Verdict]) -> None:
    history, verdict = cut
    n = sum(each.kind == "two-holders" for each in verdict.all_anomalies())
    (other,) = [each for each in verdict.all_anomalies() if each.kind != "two-holders"]
    assert finding(history, verdict) == (
        f"Two clients held the same lock {n} times, first at 2.999 s, 1.50 s after the primary was cut off; "
        f"1 other violation, at {other.at / S:.3f} s"
    )


def test_finding_of_one_violation_without_a_fault() -> None:
    verdict = invalid("odd", [anomaly(keys(), "dedup-lost")])
    assert finding(keys(), verdict) == "One acknowledged key was lost, at 9.001 s"


def test_finding_takes_the_worst_kind_first() -> None:
    found = [anomaly(leases(), kind) for kind in ("fencing", "lost-early", "dedup-two-winners")]
    assert finding(leases(), combine({"all": invalid("odd", found)})) == (
        "One key had more than one winner, at 2.006 s; 2 other violations, first at 2.006 s"
    )


def test_finding_of_a_quiet_run_counts_what_was_observed() -> None:
    history = split_brain(cut=False, end_s=3)
    granted = sum(1 for each in history.operations() if each.f == "try_acquire" and each.result["granted"])
    assert finding(history, lease(history)) == f"No violation by the lease rules: {granted} grants on 7 locks"


def test_finding_speaks_of_other_keys_only_where_they_were_judged() -> None:
    events = (*leases().events, *(replace(each, index=each.index + 100, time=each.time + 9 * S) for each in keys().events))
    both, fine = History(events), valid("fine")
    assert finding(both, fine) == "No violation by the lease rules: 2 grants on 1 lock"
    judged = combine({"lease": fine, "dedup": fine})
    assert finding(both, judged) == "No violation by the lease rules: 2 grants on 1 lock; none in 3 operations on 1 key"


def test_finding_without_locks_says_how_much_was_done() -> None:
    assert finding(keys(), valid("fine")) == "No violation: 3 operations on 1 key"


def test_finding_of_an_unknown_verdict_says_why() -> None:
    assert finding(keys(), unknown("the clock was not sane")) == "No verdict: the clock was not sane"


@pytest.mark.parametrize("kind", [*HEADED, "two-holders", "a-new-kind"])
def test_every_kind_has_a_finding_for_one_and_for_many(kind: str) -> None:
    for n in (1, 3):
        told = finding(leases(), invalid("odd", [anomaly(leases(), kind)] * n))
        assert "{" not in told
        assert "\n" not in told


# What caused it, and what its numbers count


def released_by_another() -> History:
    """Client 0 holds a lock, client 2 releases it with a token that is not its own, client 1 is granted it."""
    record = Recorder()
    record.call(S, S + MS, 0, "try_acquire", "lock", {"owner": "0-1", "ttl_ms": 5000}, {"granted": True}, node="memory")
    record.call(S + 5 * MS, S + 6 * MS, 2, "try_acquire", "lock", {"owner": "2-1", "ttl_ms": 5000}, {"granted": False}, node="memory")
    record.call(2 * S, 2 * S + MS, 2, "release", "lock", {"owner": "2-1"}, {"released": True}, node="memory")
    record.call(3 * S, 3 * S + MS, 1, "try_acquire", "lock", {"owner": "1-1", "ttl_ms": 5000}, {"granted": True}, node="memory")
    record.call(4 * S, 4 * S + MS, 0, "release", "lock", {"owner": "0-1"}, {"released": True}, node="memory")
    record.call(5 * S, 5 * S + MS, 1, "is_held", "lock", {"owner": "1-1"}, {"held": False}, node="memory")
    return record.history()


def of_kind(history: History, kind: str) -> str:
    return " ".join(explain(history, next(each for each in lease(history).all_anomalies() if each.kind == kind)).split())


def test_another_s_release_that_let_the_second_owner_in_is_told_with_whose_lease_it_was() -> None:
    text = of_kind(released_by_another(), "two-holders")
    assert "2.000 s client 2 as 2-1 releases lock, the lease of 0-1; memory: released at 2.001 s" in text


def test_two_owners_end_with_the_release_that_is_told() -> None:
    text = of_kind(released_by_another(), "two-holders")
    assert text.startswith("lock had two owners for 999 ms")
    assert "4.000 s client 0 as 0-1 releases lock, the lease of 1-1" not in text
    assert "4.000 s client 0 as 0-1 releases lock; memory: released at 4.001 s" in text
    assert text.endswith("3.001 – 4.000 s: clients 0 and 1 were both entitled to lock (▓).")


def test_the_release_that_took_a_lease_from_its_owner_is_told() -> None:
    assert "client 0 as 0-1 releases lock" in of_kind(released_by_another(), "lost-early")


def test_a_stranger_is_told_with_the_grant_that_it_met() -> None:
    text = of_kind(released_by_another(), "stranger")
    assert "1.000 s client 0 as 0-1 asks for lock, TTL 5 s; memory: granted at 1.001 s" in text


def test_an_unanswered_release_that_may_have_ended_a_lease_is_told() -> None:
    record = Recorder()
    record.call(S, S + MS, 0, "try_acquire", "lock", {"owner": "0-1", "ttl_ms": 5000}, {"granted": True})
    record.call(2 * S, 2 * S + MS, 1, "try_acquire", "lock", {"owner": "1-1", "ttl_ms": 5000}, {"granted": True})
    record.call(3 * S, 3 * S + MS, 0, "release", "lock", {"owner": "0-1"}, None, type="info", error="timed out")
    text = of_kind(record.history(), "two-holders")
    assert "3.000 s client 0 as 0-1 releases lock; no answer, it may have happened (timed out)" in text
    assert text.endswith("2.001 – 3.000 s: clients 0 and 1 were both entitled to lock (▓).")


def test_what_two_writers_had_read_is_told_of_a_lost_update() -> None:
    record = Recorder()
    for process in (0, 1):
        token = {"lock": "lock", "fencing_token": process + 1}
        record.call((process + 1) * S, (process + 1) * S + MS, process, "resource_read", "record", token, {"value": 4, "token": 1})
        record.call((process + 3) * S, (process + 3) * S + MS, process, "resource_write", "record", token | {"value": 5}, {"written": True})
    history = record.history()
    found = next(each for each in resource(history).all_anomalies() if each.kind == "lost-update")
    text = " ".join(explain(history, found).split())
    assert "client 0 reads record with token 1; value 4" in text
    assert "client 1 sets record to 5 with token 2; taken" in text


def test_the_bounds_told_are_those_of_the_clock_that_ends_the_leases() -> None:
    record = Recorder()
    record.call(S, S + MS, 0, "try_acquire", "lock", {"owner": "0-1", "ttl_ms": 5000}, {"granted": True})
    record.call(2 * S, 2 * S + MS, 1, "try_acquire", "lock", {"owner": "1-1", "ttl_ms": 5000}, {"granted": True})
    history = record.history(clock_bound_ms=1000)
    (found,) = lease(history).all_anomalies()
    (first, _) = holds(history, history.operations())
    assert found.until == first.must_end == 5 * S - 4_500_000


def test_records_that_lost_updates_are_counted_and_not_the_updates() -> None:
    found = [Anomaly("lost-update", key, (n,), n * S, "twice") for n, key in enumerate(("a", "a", "b", "a", "b"), 1)]
    told = finding(leases(), invalid("odd", found))
    assert told == "2 records lost updates under their locks, first at 1.000 s"


def test_one_client_that_was_granted_a_lock_twice_is_not_two_clients() -> None:
    record = Recorder()
    for n in (1, 2):
        record.call(n * S, n * S + MS, 0, "try_acquire", "lock", {"owner": f"0-{n}", "ttl_ms": 5000}, {"granted": True})
    history = record.history()
    assert finding(history, lease(history)) == "Two owners held the same lock once, at 2.001 s"


def faulted(*phases: tuple[str, int]) -> History:
    record = Recorder()
    for phase, at in phases:
        record.nemesis(at, "kill", id=1, phase=phase, targets=["redis"], probe={}, reason="no proof")
    record.call(8 * S, 8 * S + MS, 0, "get", "key", {}, {"value": None})
    return record.history()


def test_a_violation_between_the_begin_of_a_fault_and_its_proof_is_counted_from_its_begin() -> None:
    told = finding(faulted(("begin", 7 * S), ("active", 9 * S)), invalid("odd", [Anomaly("dedup-lost", "key", (0,), 8 * S, "gone")]))
    assert told == "One acknowledged key was lost, at 8.000 s, 1.00 s after redis was killed"


def test_nothing_is_said_to_come_after_a_fault_that_was_not_proved() -> None:
    told = finding(faulted(("begin", 7 * S), ("failed", 7 * S)), invalid("odd", [Anomaly("dedup-lost", "key", (0,), 8 * S, "gone")]))
    assert told == "One acknowledged key was lost, at 8.000 s"


def test_a_history_that_counts_events_has_no_seconds() -> None:
    told = finding(leases(), invalid("odd", [Anomaly("not-linearizable", None, (2,), 7, "odd")]))
    assert told == "One object is not linearizable, at event 7"


@pytest.mark.parametrize("name", sorted(each.name for each in entry_points(group="holdwater.faults")))
def test_every_fault_has_words_of_its_own(name: str) -> None:
    record = Recorder()
    record.nemesis(S, name, id=1, phase="begin", targets=["clients-b -> redis-1"], probe={})
    history = record.history()
    (seen,) = history.faults
    assert phrases.fault(history, seen) != f"{name} clients-b -> redis-1"
    assert phrases.since(history, seen, ()) != f"{name} began"


def test_a_fault_that_is_not_installed_is_told_by_its_name() -> None:
    record = Recorder()
    record.nemesis(S, "blackout", id=1, phase="begin", targets=["redis-1"], probe={})
    history = record.history()
    (seen,) = history.faults
    assert phrases.fault(history, seen) == "blackout redis-1"
    assert phrases.since(history, seen, ()) == "blackout began"
    assert phrases.healed(history, seen) == "blackout is over"


def test_a_fault_without_targets_is_told_by_its_name() -> None:
    record = Recorder()
    record.nemesis(S, "kill", id=1, phase="begin")
    history = record.history()
    assert phrases.fault(history, history.faults[0]) == "kill"


@pytest.mark.parametrize(("known", "told"), [(2, "the primary was killed"), (1, "redis-1 was killed")])
def test_what_was_hit_is_the_primary_where_others_could_have_been(known: int, told: str) -> None:
    record = Recorder()
    for node, role in [("redis-1", "primary"), ("redis-2", "replica")][:known]:
        record.nemesis(MS, "role", node=node, role=role)
    record.nemesis(S, "kill", id=1, phase="begin", targets=["redis-1"])
    history = record.history()
    assert phrases.since(history, history.faults[0], nodes(history, 2 * S)) == told


# Indexes and scans


def test_an_entry_that_was_lost_is_told_with_who_entered_it_and_who_listed() -> None:
    record = Recorder()
    record.call(S, S + MS, 0, "index_timeout", "timeouts", {"key": "a", "time_ms": 5}, {})
    record.call(2 * S, 2 * S + MS, 1, "get_expired_timeouts", "timeouts", {"now_ms": 9}, {"keys": []})
    history = record.history()
    told = " ".join(explain(history, index(history, Terms()).all_anomalies()[0]).split())
    assert told.startswith("timeouts: an entry whose time has come is not listed")
    assert "client 0 enters a at 5 into timeouts; done at 1.001 s" in told
    assert "client 1 lists timeouts up to 9; gives 0 entries at 2.001 s" in told


def test_a_key_that_a_scan_did_not_find_is_told_with_the_scan() -> None:
    record = Recorder()
    record.call(S, S + MS, 0, "set", "n:t:k:a", {"value": "1", "ttl_ms": None}, {})
    asked = {"namespace": "n", "tenant": "t", "kind": "k", "prefix": ""}
    record.call(2 * S, 2 * S + MS, 1, "scan_keys", "scans", asked, {"items": []})
    history = record.history()
    told = " ".join(explain(history, scan(history, Terms()).all_anomalies()[0]).split())
    assert told.startswith("n:t:k:a is there, and a scan does not find it")
    assert "client 1 scans n:t:k:; gives 0 keys at 2.001 s" in told
