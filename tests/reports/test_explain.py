"""The explanation of one anomaly, and the finding of a run in one line."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from split_brain import MS, Recorder, S, split_brain

from harness.checkers.lease import lease
from harness.history import History
from harness.verdict import Anomaly, Verdict, combine, invalid, unknown, valid
from reports.explain import HEADINGS, RULES, explain, finding


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


OF = {kind: keys() if kind.startswith("dedup") else register() if kind == "not-linearizable" else leases() for kind in HEADINGS}


@pytest.mark.parametrize("kind", HEADINGS)
def test_every_kind_has_a_heading_and_ends_with_what_contradicts_what(kind: str) -> None:
    text = explain(OF[kind], anomaly(OF[kind], kind))
    lines = text.splitlines()
    assert lines[0].startswith(str(OF[kind].events[0].key))
    assert " ".join(text.split()).endswith(f"{RULES[kind]} But this contradicts that.")
    assert max(map(len, lines)) <= 79


OF_NO_LEASE = ("not-linearizable", "lost-update", "stale-write", "acquire-late")


@pytest.mark.parametrize("kind", HEADINGS)
def test_leases_have_a_strip_and_other_objects_have_none(kind: str) -> None:
    assert ("seconds" in explain(OF[kind], anomaly(OF[kind], kind))) == (not kind.startswith("dedup") and kind not in OF_NO_LEASE)


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
    assert explain(History(()), Anomaly("two-holders", None, (), 0, "a message")).startswith("the object was granted twice at once")


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


@pytest.mark.parametrize("kind", [*HEADINGS, "two-holders", "a-new-kind"])
def test_every_kind_has_a_finding_for_one_and_for_many(kind: str) -> None:
    for n in (1, 3):
        told = finding(leases(), invalid("odd", [anomaly(leases(), kind)] * n))
        assert "{" not in told
        assert "\n" not in told
