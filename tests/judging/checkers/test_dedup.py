"""The dedup checker: single winners that stay, against every order there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Simulation, brute_force

from harness.judging.checkers.dedup import PAIRS_LISTED, dedup
from harness.judging.models import MODELS
from harness.judging.verdict import Anomaly, Status
from harness.record.format import load
from harness.record.history import NEMESIS, Event, History, MalformedHistory

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/histories").glob("dedup*/*/*.jsonl"))
MS = 1_000_000
DEDUP = MODELS["dedup"]
randoms = st.integers(0, 2**48).map(Random)

Row = tuple[str, Any, Any, int, int]
"""f, what is tried, the answer (None: unanswered), invocation and completion in ms; each by a process of its own."""


def history(*rows: Row, key: str | None = "k") -> History:
    lines = []
    for process, (f, value, answer, start, end) in enumerate(rows):
        argument = {"value": value, "ttl_ms": None} if f == "check_and_set" else {}
        common = {"process": process, "f": f, "key": key}
        lines.append((start, {**common, "type": "invoke", "value": argument}))
        lines.append((end, {**common, "type": "ok" if answer is not None else "info", "value": answer}))
    ordered = sorted(lines, key=lambda line: line[0])
    return History(tuple(Event(index=index, time=time * MS, **fields) for index, (time, fields) in enumerate(ordered)))


def won(value: str, start: int, end: int) -> Row:
    return "check_and_set", value, {"set": True}, start, end


def refused(value: str, start: int, end: int) -> Row:
    return "check_and_set", value, {"set": False}, start, end


def unanswered(value: str, start: int, end: int) -> Row:
    return "check_and_set", value, None, start, end


def read(value: str | None, start: int, end: int) -> Row:
    return "get", None, {"value": value}, start, end


def versioned(value: str | None, version: int, start: int, end: int) -> Row:
    return "get_versioned", None, {"value": value, "version": version}, start, end


def anomalies(*rows: Row) -> list[Anomaly]:
    return dedup(history(*rows)).all_anomalies()


def kinds(*rows: Row) -> list[str]:
    return sorted(anomaly.kind for anomaly in anomalies(*rows))


def status(*rows: Row) -> Status:
    return dedup(history(*rows)).status


# What is valid


def test_one_winner_whom_all_see_is_valid() -> None:
    verdict = dedup(history(won("a", 1, 3), refused("b", 2, 4), read("a", 5, 6), versioned("a", 1, 7, 8)))
    assert verdict.status is Status.VALID
    assert verdict.numbers == {"keys": 1, "won": 1, "read_back": 1}


def test_what_overlaps_the_winner_may_see_either() -> None:
    assert status(won("a", 1, 10), read(None, 2, 3), refused("b", 4, 5), read("a", 6, 7)) is Status.VALID


def test_an_unanswered_try_explains_a_refusal_and_a_value() -> None:
    assert status(unanswered("a", 1, 2), refused("b", 3, 4), read("a", 5, 6)) is Status.VALID


def test_an_unanswered_try_may_take_effect_long_after() -> None:
    assert status(unanswered("a", 1, 2), read(None, 3, 4), read(None, 5, 6), read("a", 7, 8)) is Status.VALID


def test_nobody_needs_to_win() -> None:
    assert status(unanswered("a", 1, 2), read(None, 3, 4)) is Status.VALID


# Two winners


def test_two_winners_are_condemned_from_the_acknowledgement_of_the_first() -> None:
    (found,) = anomalies(won("a", 1, 3), won("b", 2, 4))
    assert (found.kind, found.key, found.operations, found.live, found.at) == ("dedup-two-winners", "k", (0, 1), 3 * MS, 4 * MS)
    assert found.message == "process 0 won k at 0.003 s, and process 1 won it again at 0.004 s"


def test_winners_are_told_by_the_order_of_acknowledgement() -> None:
    (found,) = anomalies(won("a", 1, 9), won("b", 2, 4))
    assert (found.live, found.at) == (4 * MS, 9 * MS)


def test_each_pair_of_winners_is_told_once() -> None:
    found = [each.operations for each in anomalies(won("a", 1, 5), won("b", 2, 6), won("c", 3, 7))]
    assert sorted(found) == [(0, 1), (0, 2), (1, 2)]


def test_no_winner_is_left_out_where_pairs_are_too_many() -> None:
    rows = [won(f"v{n}", n, 1000 + n) for n in range(120)]
    found = anomalies(*rows)
    assert len(found) < PAIRS_LISTED + 2 * len(rows)
    assert {index for each in found for index in each.operations} == set(range(120))


# Lost


def test_a_winner_read_as_missing_is_lost() -> None:
    (found,) = anomalies(won("a", 1, 2), read("a", 3, 4), read(None, 5, 6))
    assert (found.kind, found.operations, found.live, found.at) == ("dedup-lost", (0, 4), 2 * MS, 6 * MS)
    assert found.message == "process 0 won k at 0.002 s, and process 2 found it missing at 0.006 s, asked at 0.005 s"


def test_a_key_won_again_is_lost_and_has_two_winners() -> None:
    assert kinds(won("a", 1, 2), won("b", 3, 4)) == ["dedup-lost", "dedup-two-winners"]


def test_a_key_is_told_lost_once() -> None:
    assert kinds(won("a", 1, 2), read(None, 3, 4), read(None, 5, 6)) == ["dedup-lost"]


def test_the_first_winner_and_the_first_absence_after_it_are_told() -> None:
    found = anomalies(read(None, 12, 13), won("b", 2, 5), won("a", 1, 4), read(None, 10, 11), read(None, 3, 14))
    (lost,) = [each for each in found if each.kind == "dedup-lost"]
    assert (lost.live, lost.at) == (4 * MS, 11 * MS)


def test_what_a_refusal_saw_is_lost_too() -> None:
    (found,) = anomalies(unanswered("a", 1, 2), refused("b", 3, 4), read(None, 5, 6))
    assert (found.kind, found.live) == ("dedup-lost", 4 * MS)


def test_the_winner_is_the_proof_where_it_was_acknowledged_before() -> None:
    (found,) = anomalies(won("a", 1, 9), refused("b", 2, 3), read(None, 10, 11))
    assert (found.operations, found.live) == ((0, 4), 9 * MS)


def test_a_presence_seen_before_its_winner_was_answered_is_a_proof() -> None:
    (found,) = anomalies(won("a", 1, 9), refused("b", 2, 3), read(None, 4, 5))
    assert (found.kind, found.operations, found.live) == ("dedup-lost", (1, 3), 3 * MS)


# Wrong values and phantoms


def test_a_loser_s_value_is_condemned() -> None:
    (found,) = anomalies(won("a", 1, 2), refused("b", 3, 4), read("b", 5, 6))
    assert (found.kind, found.operations, found.live, found.at) == ("dedup-wrong-value", (0, 4), 2 * MS, 6 * MS)
    assert found.message == "process 2 read 'b' from k at 0.006 s, and process 0 won k with 'a' at 0.002 s"


def test_the_wrong_value_that_was_answered_first_is_told_against_the_first_winner() -> None:
    found = anomalies(won("b", 2, 5), won("a", 1, 4), read("c", 6, 9), read("d", 7, 8))
    (wrong,) = [each for each in found if each.kind == "dedup-wrong-value"]
    assert (wrong.live, wrong.at) == (4 * MS, 8 * MS)


def test_two_values_are_condemned_though_each_may_have_won() -> None:
    assert kinds(unanswered("a", 1, 2), unanswered("b", 3, 4), read("a", 5, 6), read("b", 7, 8)) == ["dedup-wrong-value"]


def test_a_value_of_neither_of_two_winners_is_told_beside_them() -> None:
    assert kinds(won("a", 1, 4), won("b", 2, 5), read("c", 6, 7)) == ["dedup-two-winners", "dedup-wrong-value"]


def test_either_of_two_winners_may_be_read() -> None:
    assert kinds(won("a", 1, 4), won("b", 2, 5), read("a", 6, 7), read("b", 8, 9)) == ["dedup-two-winners"]


def test_another_value_after_a_loss_is_told_beside_it() -> None:
    assert kinds(won("a", 1, 2), read(None, 3, 4), unanswered("b", 5, 6), read("b", 7, 8)) == ["dedup-lost", "dedup-wrong-value"]


def test_a_version_that_one_set_cannot_give_is_condemned() -> None:
    assert kinds(won("a", 1, 2), versioned("a", 2, 3, 4)) == ["dedup-wrong-value"]
    assert kinds(won("a", 3, 4), versioned(None, 1, 1, 2)) == ["dedup-wrong-value"]


@pytest.mark.parametrize(
    "rows",
    [
        [refused("a", 1, 2)],
        [refused("a", 1, 2), unanswered("b", 3, 4)],
        [refused("a", 1, 2), won("b", 3, 4)],
        [refused("a", 1, 4), read("a", 5, 6), unanswered("b", 2, 3)],
        [unanswered("a", 1, 2), read("b", 3, 4)],
        [read("a", 1, 2), won("a", 3, 4)],
        [unanswered("a", 1, 2), refused("c", 3, 4), unanswered("b", 5, 6), read("b", 7, 8)],
    ],
)
def test_what_nobody_can_have_set_by_then_is_condemned_as_such(rows: list[Row]) -> None:
    (found,) = anomalies(*rows)
    assert found.kind == "dedup-wrong-value"
    assert "can have set it by then" in found.message


def test_a_phantom_is_not_taken_for_a_loss() -> None:
    assert kinds(refused("a", 1, 2), read(None, 3, 4)) == ["dedup-wrong-value"]


# What is not judged


def test_a_key_that_is_only_read_has_no_value() -> None:
    assert kinds(read("a", 1, 2)) == ["dedup-wrong-value"]


def test_no_check_and_set_is_unknown() -> None:
    assert status(read(None, 1, 2)) is Status.UNKNOWN
    assert dedup(History(())).status is Status.UNKNOWN


def test_nothing_answered_is_unknown() -> None:
    assert status(unanswered("a", 1, 2)) is Status.UNKNOWN


def test_a_key_of_which_nothing_was_answered_does_not_spoil_the_others() -> None:
    assert dedup(join(history(unanswered("a", 1, 2)), history(won("a", 1, 2), key="other"))).status is Status.VALID


def spoilt(f: str, argument: Any, answer: Any, type_: str = "ok") -> History:
    """Give a key with two winners, and one operation more."""
    events = list(history(won("a", 1, 2), won("b", 3, 4)).events)
    common = {"process": 9, "f": f, "key": "k"}
    events.append(Event(index=4, time=5 * MS, type="invoke", value=argument, **common))
    events.append(Event(index=5, time=6 * MS, type=type_, value=answer, **common))  # type: ignore[arg-type]
    return History(tuple(events))


@pytest.mark.parametrize(
    ("f", "argument", "answer"),
    [
        ("delete", {}, {"deleted": True}),
        ("set", {"value": "x", "ttl_ms": None}, {}),
        ("check_and_set", {"value": "x", "ttl_ms": 5}, {"set": False}),
    ],
)
def test_a_key_deleted_set_or_given_a_ttl_is_refused(f: str, argument: Any, answer: Any) -> None:
    with pytest.raises(MalformedHistory, match=f"{f} \\(event 4, process 9\\): .*(the model dedup knows|this check knows no time)"):
        dedup(spoilt(f, argument, answer))


def test_a_delete_that_certainly_had_no_effect_leaves_its_key_judged() -> None:
    assert dedup(spoilt("delete", {}, None, "fail")).status is Status.INVALID


@pytest.mark.parametrize("row", [("check_and_set", 5, None, 1, 2), ("check_and_set", "a", {"set": None}, 1, 2), ("get", None, {}, 3, 4)])
def test_a_value_of_the_wrong_shape_is_malformed(row: Row) -> None:
    with pytest.raises(MalformedHistory):
        dedup(history(row, won("b", 5, 6)))


def test_a_history_of_one_object_without_a_key_is_judged() -> None:
    (found,) = dedup(history(won("a", 1, 2), read(None, 3, 4), key=None)).all_anomalies()
    assert (found.key, found.message.startswith("process 0 won the object at ")) == (None, True)


def test_order_is_by_index_where_times_are_equal() -> None:
    events = [replace_time(event, 7 * MS) for event in history(won("a", 1, 3), read(None, 2, 4)).events]
    assert dedup(History(tuple(events))).status is Status.VALID


def replace_time(event: Event, time: int) -> Event:
    return Event(index=event.index, time=time, process=event.process, type=event.type, f=event.f, key=event.key, value=event.value)


def join(*parts: History) -> History:
    """Put histories one after the other, each with processes of its own."""
    events: list[Event] = []
    for number, part in enumerate(parts):
        for event in part.events:
            process = event.process if event.process == NEMESIS else int(event.process) + 1000 * number
            common = {"type": event.type, "f": event.f, "key": event.key, "value": event.value}
            events.append(Event(index=len(events), time=len(events) * MS, process=process, **common))
    return History(tuple(events))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.parts[-3:]))
def test_examples(path: Path) -> None:
    assert dedup(load(path)).status is (Status.VALID if path.parts[-2] == "good" else Status.INVALID)


# Against brute force


def drawn(random: Random, count: int) -> list[Row]:
    """Draw answers without any server behind them: half of the small ones happen to be possible."""
    places = list(range(2 * count))
    random.shuffle(places)
    rows: list[Row] = []
    for n in range(count):
        start, end = sorted(places[2 * n : 2 * n + 2])
        value = random.choice("aab")
        seen = random.choice(("a", "a", "b", None))
        tries = [won(value, start, end), refused(value, start, end), refused(value, start, end), unanswered(value, start, end)]
        version = random.choice((0, 1)) if random.random() < 0.1 else int(seen is not None)
        reads = [read(seen, start, end), versioned(seen, version, start, end)]
        rows.append(random.choice(tries + reads))
    return rows


def told(rows: Sequence[Row]) -> bool:
    """Say whether the checker has something to judge."""
    return any(row[0] == "check_and_set" for row in rows) and any(row[2] is not None for row in rows)


def possible(found: History) -> bool:
    return brute_force(DEDUP, found.operations())


@settings(max_examples=200, deadline=None)
@given(random=randoms)
def test_the_verdict_is_that_of_brute_force(random: Random) -> None:
    for _ in range(10):
        rows = drawn(random, random.randrange(1, 7))
        if told(rows):
            found = history(*rows)
            assert dedup(found).status is (Status.VALID if possible(found) else Status.INVALID)


@settings(max_examples=100, deadline=None)
@given(random=randoms)
def test_simulated_histories_get_the_verdict_of_brute_force(random: Random) -> None:
    operations = Simulation(random, DEDUP, clients=3, unanswered=0.2, lies=random.choice((0, 0.3))).run(7)
    rows: list[Row] = [
        (one.f, one.argument.get("value"), one.result, one.index, one.end_index if one.end_index is not None else one.gave_up or 0)
        for one in operations
        if one.status != "fail"
    ]
    if told(rows):
        found = history(*rows)
        assert dedup(found).status is (Status.VALID if possible(found) else Status.INVALID)


@settings(max_examples=200, deadline=None)
@given(random=randoms)
def test_the_operations_of_an_anomaly_are_impossible_with_all_that_can_have_set_the_key(random: Random) -> None:
    rows = drawn(random, 6)
    found = history(*rows)
    setters = [each for each in found.operations() if each.f == "check_and_set" and (each.status == "info" or each.result["set"])]
    for anomaly in dedup(found).all_anomalies() if told(rows) else []:
        proof = [each for each in found.operations() if each.index in anomaly.operations and each not in setters]
        assert not brute_force(DEDUP, sorted([*setters, *proof], key=lambda each: each.index))


# Laws


def widened(random: Random, rows: Sequence[Row]) -> list[Row]:
    """Let one operation begin earlier or end later; places are doubled to make room."""
    place = random.randrange(len(rows))
    moved = [(f, value, answer, 2 * start, 2 * end) for f, value, answer, start, end in rows]
    f, value, answer, start, end = moved[place]
    taken = {at for row in moved for at in row[3:]}
    start = random.choice([at for at in range(-1, start) if at not in taken] or [start])
    end = random.choice([at for at in range(end + 1, 4 * len(rows) + 2) if at not in taken])
    moved[place] = (f, value, answer, start, end)
    return moved


def withheld(random: Random, rows: Sequence[Row]) -> list[Row]:
    place = random.randrange(len(rows))
    return [(*row[:2], None, *row[3:]) if n == place else row for n, row in enumerate(rows)]


@settings(max_examples=200, deadline=None)
@given(random=randoms, weaken=st.sampled_from([widened, withheld]))
def test_weakening_a_valid_history_never_condemns_it(random: Random, weaken: Any) -> None:
    for _ in range(5):
        rows = drawn(random, random.randrange(1, 7))
        if status(*rows) is Status.VALID:
            assert status(*weaken(random, rows)) is not Status.INVALID


@settings(max_examples=100, deadline=None)
@given(random=randoms)
def test_splitting_by_key_commutes_with_checking(random: Random) -> None:
    parts = {key: history(*drawn(random, 4), key=key) for key in ("x", "y", "z")}
    whole = dedup(join(*parts.values()))
    alone = {(key, each.kind) for key, part in parts.items() for each in dedup(part).all_anomalies()}
    assert {(each.key, each.kind) for each in whole.all_anomalies()} == alone


@settings(max_examples=100, deadline=None)
@given(random=randoms)
def test_renaming_values_changes_nothing(random: Random) -> None:
    rows = drawn(random, 6)
    names = {"a": "b", "b": "a", None: None}
    swapped = [
        (f, names[value], {**answer, "value": names[answer["value"]]} if answer and "value" in answer else answer, start, end)
        for f, value, answer, start, end in rows
    ]
    assert status(*rows) is status(*swapped)


def test_a_verdict_of_ten_thousand_keys_is_the_sum_of_its_keys() -> None:
    one = history(won("a", 1, 2), refused("b", 3, 4), read("a", 5, 6))
    events = tuple(
        Event(
            index=6 * n + event.index,
            time=(6 * n + event.index) * MS,
            process=3 * n + int(event.process),
            type=event.type,
            f=event.f,
            key=f"k{n}",
            value=event.value,
        )
        for n in range(2_000)
        for event in one.events
    )
    verdict = dedup(replace(one, events=events))
    assert (verdict.status, verdict.numbers["won"]) == (Status.VALID, 2_000)
