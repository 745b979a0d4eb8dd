"""Keys that expire: verdicts, classes and sentences of examples, agreement with brute force, laws, what is counted.

Run by hand, `python tests/judging/checkers/expiry_oracle.py 2600 31` compared 104,000 histories of two to five operations, by a server's
clock, exact or not, and by clients' clocks, of a server that keeps to the contract and of nine that do not: the search and the search
without any rule agreed with brute force on each. No correct server was condemned; all 10,625 impossible histories were found, 10,589 of
them by the coarse half alone. A lie that shows in few of so small histories (0.2 % where an increment drops the TTL, 6 % where keys end
late, 80 % where an answer is another one) is found wherever it shows.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from expiry_oracle import LIES, clocks, history, possible, searched

from harness.errors import UsageError
from harness.judging.check import Budget, Terms
from harness.judging.checkers.expiries import GATES
from harness.judging.checkers.expiry import expiry
from harness.judging.checkers.instants import Clock, Coarse
from harness.judging.checkers.timed import Move, TimedSearch
from harness.judging.checkers.timed_steps import Rules
from harness.judging.checkers.witness import wrong_with
from harness.judging.checks import families, judge, verdicts
from harness.judging.verdict import Status, Verdict
from harness.record.event import Header
from harness.record.format import load
from harness.record.history import NEMESIS, Event, History, MalformedHistory

EXAMPLES = sorted((Path(__file__).parents[3] / "examples/histories/key").glob("*/*.jsonl"))
KIND_OF = {
    "won-twice-inside-its-ttl": "ttl-two-winners",
    "won-again-just-before-its-end": "ttl-two-winners",
    "won-by-two-after-its-end": "ttl-two-winners",
    "gone-before-its-ttl": "expired-early",
    "set-keeps-the-ttl-that-was-there": "expired-early",
    "there-after-its-ttl": "expired-late",
    "a-counter-whose-ttl-is-lost": "expired-late",
    "an-increment-without-a-ttl-sets-it-anew": "expired-late",
    "a-refused-try-renews-the-ttl": "expired-late",
    "versions-go-on-after-the-end": "expired-late",
    "clients-whose-clocks-differ-see-it-far-too-long": "expired-late",
    "back-after-it-was-gone": "key-inconsistent",
    "two-equal-sums": "key-inconsistent",
    "a-lost-update": "key-inconsistent",
    "a-value-of-an-earlier-incarnation": "key-inconsistent",
}
MS = 1_000_000
Row = tuple[str, dict[str, Any], dict[str, Any] | None, float, float | None]
"""f, its argument, the answer (None: unanswered), start and end in ms; each by a process of its own."""


def told(*rows: Row, key: str = "k", header: Header | None = None) -> History:
    lines: list[tuple[float, int, int, str, str, Any]] = []
    for process, (f, argument, answer, start, end) in enumerate(rows):
        lines.append((start, 0, process, "invoke", f, argument))
        if end is not None:
            lines.append((end, 1, process, "info" if answer is None else "ok", f, answer))
    events = [
        Event(index=index, time=int(time * MS), process=process, type=kind, f=f, key=key, value=value)  # type: ignore[arg-type]
        for index, (time, _, process, kind, f, value) in enumerate(sorted(lines, key=lambda line: line[:3]))
    ]
    return History(tuple(events), header=header, complete=True)


def joined(*parts: History) -> History:
    """Put histories of several keys one after the other, each with processes of its own."""
    index = count()
    events = [
        Event(
            index=next(index),
            time=event.time,
            process=int(event.process) + 100 * number,
            type=event.type,
            f=event.f,
            key=event.key,
            value=event.value,
        )
        for number, part in enumerate(parts)
        for event in part.events
    ]
    return History(tuple(sorted(events, key=lambda event: event.index)), complete=True)


def won(value: str, ttl_ms: int | None, start: float, end: float, *, yes: bool = True) -> Row:
    return "check_and_set", {"value": value, "ttl_ms": ttl_ms}, {"set": yes}, start, end


def put(value: str, ttl_ms: int | None, start: float, end: float) -> Row:
    return "set", {"value": value, "ttl_ms": ttl_ms}, {}, start, end


def got(value: str | None, start: float, end: float) -> Row:
    return "get", {}, {"value": value}, start, end


def added(ttl_ms: int | None, value: int, start: float, end: float) -> Row:
    return "increment", {"delta": 1, "ttl_ms": ttl_ms}, {"value": value}, start, end


def deleted(answer: bool, start: float, end: float) -> Row:
    return "delete", {}, {"deleted": answer}, start, end


def kinds(verdict: Verdict) -> list[str]:
    return [anomaly.kind for anomaly in verdict.all_anomalies()]


# Examples


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "/".join(path.parts[-2:]))
def test_examples(path: Path) -> None:
    found = expiry(load(path))
    assert judge(load(path), None, 60).status is found.status is (Status.VALID if path.parts[-2] == "good" else Status.INVALID)
    assert kinds(found) == ([] if path.parts[-2] == "good" else [KIND_OF[path.stem]])


def test_a_sentence_names_until_when_a_key_must_be_there_and_who_missed_it() -> None:
    (anomaly,) = expiry(told(put("a", 500, 10, 12), got("a", 100, 101), got(None, 300, 302))).all_anomalies()
    until = 'set "a" for 500 ms by process 0 [0.010 s, 0.012 s] must be there until 0.508 s'
    assert anomaly.message == f"{until}; get -> null by process 2 [0.300 s, 0.302 s] found it missing"
    assert (anomaly.at, anomaly.live) == (302 * MS, 12 * MS)


def test_what_is_shown_of_a_violation_is_what_contradicts_it() -> None:
    noise = [got("a", 20 + n, 20.5 + n) for n in range(20)]
    (anomaly,) = expiry(told(won("a", 500, 10, 12), *noise, won("b", 500, 100, 101))).all_anomalies()
    assert len(anomaly.operations) == 2


def test_a_violation_long_after_another_incarnation_is_shown_from_there() -> None:
    rows = [row for n in range(5) for row in (put(f"v{n}", 100, 200 * n, 200 * n + 1), got(None, 200 * n + 150, 200 * n + 151))]
    (anomaly,) = expiry(told(*rows, put("a", 100, 1000, 1001), got("a", 1150, 1151))).all_anomalies()
    assert (anomaly.kind, anomaly.live) == ("expired-late", 1001 * MS)


def test_who_wrote_the_value_that_was_found_is_shown_too() -> None:
    rows = [put("a", 100, 10, 12), put("b", 500, 200, 201), ("get_versioned", {}, {"value": "b", "version": 2}, 202, 203)]
    (anomaly,) = expiry(told(*rows)).all_anomalies()
    assert anomaly.kind == "expired-late"
    assert len(anomaly.operations) == 3
    assert anomaly.message.endswith('found it there; its value was written by set "b" for 500 ms by process 1 [0.200 s, 0.201 s]')


# Against brute force


@pytest.mark.parametrize("lie", [None, *LIES])
@pytest.mark.parametrize("clock", clocks(), ids=["server", "inexact server", "clients", "clients apart", "counted from before"])
def test_the_search_agrees_with_brute_force(clock: Clock, lie: str | None) -> None:
    random = Random(f"{clock} {lie}")
    for _ in range(15):
        drawn = history(random, clock, lie)
        right = possible(drawn.operations(), clock)
        rules = Rules(**{each.name: random.random() < 0.5 for each in fields(Rules)})
        assert (searched(drawn, clock) is Status.VALID) == right
        assert (searched(drawn, clock, rules=rules) is Status.VALID) == right
        if TimedSearch(Coarse(clock), drawn.operations()).run(60, Budget()) is Status.INVALID:
            assert not right
        if lie is None:
            assert right


def test_a_write_that_changes_nothing_here_may_be_needed_later() -> None:
    rows: list[Row] = [put("7", 5, 1, 7), put("a", 5, 1, 7), got(None, 2, 3), deleted(True, 4, 6), deleted(True, 5, 9)]
    assert expiry(told(*rows)).status is Status.VALID


def test_an_empty_text_is_no_integer() -> None:
    assert kinds(expiry(told(put("", None, 10, 12), added(None, 1, 20, 22)))) == ["key-inconsistent"]


# Laws


def drawn(number: int) -> tuple[Random, History]:
    random = Random(f"law {number}")
    return random, history(random, clocks()[number % 5], random.choice((None, *LIES)), size=6)


def never_made_invalid(before: History, after: History, clock: Clock, other: Clock | None = None) -> None:
    if searched(before, clock) is Status.VALID:
        assert searched(after, other or clock) is Status.VALID


@pytest.mark.parametrize("number", range(60))
def test_widening_an_interval_never_makes_invalid(number: int) -> None:
    _, found = drawn(number)
    wider = [
        replace_fields(event, time=event.time * 2 - (event.type == "invoke")) for event in found.events
    ]  # every start earlier against every end
    stretched = [replace_fields(event, time=event.time * 2) for event in found.events]
    doubled = replace(clocks()[number % 5], ms=2)
    never_made_invalid(replace(found, events=tuple(stretched)), replace(found, events=tuple(wider)), doubled)


@pytest.mark.parametrize("number", range(60))
def test_an_answer_withheld_never_makes_invalid(number: int) -> None:
    random, found = drawn(number)
    answered = [event.index for event in found.events if event.type == "ok"]
    chosen = random.choice(answered) if answered else -1
    less = tuple(replace_fields(event, type="info", value=None) if event.index == chosen else event for event in found.events)
    never_made_invalid(found, replace(found, events=less), clocks()[number % 5])


@pytest.mark.parametrize("number", range(60))
def test_more_skew_never_makes_invalid(number: int) -> None:
    _, found = drawn(number)
    clock = clocks()[number % 5]
    never_made_invalid(found, found, clock, replace(clock, skew=replace(clock.skew, fixed_ns=clock.skew.fixed_ns + 1)))


def replace_fields(event: Event, **changed: Any) -> Event:
    told = {name: getattr(event, name) for name in ("index", "time", "process", "type", "f", "key", "value")}
    return Event(**{**told, **changed})


# Which keys


@pytest.mark.parametrize(
    ("rows", "family"),
    [
        ([put("a", 5, 1, 2)], "key"),
        ([added(5, 1, 1, 2)], "key"),
        ([added(None, 1, 1, 2), put("3", None, 3, 4)], "key"),
        ([added(None, 1, 1, 2), got("1", 3, 4)], "counter"),
        ([won("a", None, 1, 2)], "dedup"),
        ([won("a", None, 1, 2), deleted(True, 3, 4)], "versioned-register"),
        ([("set", {"value": "a", "ttl_ms": 5}, None, 1, 2)], "key"),
    ],
)
def test_keys_with_a_ttl_or_with_functions_of_several_families_are_judged_over_time(rows: list[Row], family: str) -> None:
    assert list(families(told(*rows))) == [family]


def test_a_ttl_that_certainly_had_no_effect_leaves_a_key_where_it_was() -> None:
    found = told(added(None, 1, 1, 2), added(9, 2, 3, 4))
    failed = tuple(replace_fields(event, type="fail", value=None) if event.index == 3 else event for event in found.events)
    assert list(families(replace(found, events=failed))) == ["counter"]


@pytest.mark.parametrize(
    ("model", "rows", "status"),
    [
        ("counter", [added(100, 1, 1, 2), added(100, 1, 120, 121)], Status.VALID),
        ("counter", [added(100, 1, 1, 2), added(100, 2, 120, 121)], Status.INVALID),
        ("dedup", [won("a", 100, 1, 2), won("b", 100, 120, 121)], Status.VALID),
        ("dedup", [won("a", 100, 1, 2), won("b", 100, 50, 51)], Status.INVALID),
        ("dedup", [won("a", None, 1, 2), deleted(True, 3, 4), won("b", None, 5, 6)], Status.VALID),
        ("dedup", [won("a", None, 1, 2), deleted(False, 3, 4)], Status.INVALID),
        ("versioned-register", [put("a", 100, 1, 2), got(None, 120, 121)], Status.VALID),
        ("versioned-register", [put("a", 100, 1, 2), got("a", 120, 121)], Status.INVALID),
        ("key", [added(None, 1, 1, 2), put("5", None, 3, 4), added(None, 6, 5, 6)], Status.VALID),
    ],
)
def test_a_model_that_is_named_judges_keys_with_a_ttl_or_deletes(model: str, rows: list[Row], status: Status) -> None:
    assert judge(told(*rows), model, 60).status is status


def test_a_model_that_is_named_judges_its_keys_without_a_ttl_beside_those_with_one() -> None:
    plain, timed = told(added(None, 1, 1, 2), added(None, 1, 3, 4), key="plain"), told(added(9, 1, 1, 2), key="timed")
    found = judge(joined(plain, timed), "counter", 60)
    assert {name: part.status for name, part in found.parts} == {"linearizable": Status.INVALID, "expiry": Status.VALID}


@pytest.mark.parametrize(("model", "row"), [("counter", put("1", 9, 3, 4)), ("dedup", put("b", None, 3, 4))])
def test_a_model_that_is_named_refuses_the_functions_of_others(model: str, row: Row) -> None:
    first = added(9, 1, 1, 2) if model == "counter" else won("a", 9, 1, 2)
    with pytest.raises(MalformedHistory, match=f"f 'set' .* is not of the model {model}"):
        judge(told(first, row), model, 60)


@pytest.mark.parametrize("ttl", [0, -5, 1.5, "9", True, 2**53 + 1])
def test_a_ttl_that_is_none_is_malformed(ttl: Any) -> None:
    with pytest.raises(MalformedHistory, match=r"ttl_ms is .*, expected null or milliseconds from 1 to 2\*\*53"):
        judge(told(put("a", ttl, 1, 2)), None, 60)


def test_the_classes_of_the_check_are_those_that_it_finds() -> None:
    assert set(KIND_OF.values()) == {"ttl-two-winners", "expired-early", "expired-late", "key-inconsistent"}
    with pytest.raises(UsageError):
        judge(told(put("a", 9, 1, 2)), "keys", 60)


# Unknown


def test_without_time_left_a_key_is_unknown_and_says_how_far_it_got() -> None:
    ticks = count()
    found = expiry(told(put("a", 100, 1, 2), got("a", 3, 4)), Budget(time_s=1), lambda: next(ticks))
    assert found.status is Status.UNKNOWN
    assert found.summary.startswith("k: undecided: the 1 s are over")


def test_without_steps_left_a_key_is_unknown_and_says_how_far_it_got() -> None:
    rows = [put(f"v{n}", 100, 1, 20 + n) for n in range(9)]
    found = expiry(told(*rows, got("nobody", 40, 41)), Budget(steps=3))
    assert found.status is Status.UNKNOWN
    assert "the 3 steps are spent; 3 steps, " in found.summary


def test_nothing_answered_is_unknown() -> None:
    assert expiry(told(("set", {"value": "a", "ttl_ms": 5}, None, 1, 2))).status is Status.UNKNOWN


def test_a_clock_that_was_set_is_unknown() -> None:
    sound = told(put("a", 100, 1, 2), got("a", 150, 151))
    samples = [
        Event(
            index=90 + n, time=n, process=NEMESIS, type="info", f="clock", value={"monotonic": n * 1_000_000_000, "wall": n * 1_500_000_000}
        )
        for n in range(2)
    ]
    found = expiry(replace(sound, events=(*sound.events, *samples)))
    assert found.status is Status.UNKNOWN
    assert "the clock was not sane" in found.summary


# Certificates


@pytest.mark.parametrize(
    ("moves", "wrong"),
    [
        ([Move(0, True), Move(2, True), Move(None), Move(4, True)], None),
        ([Move(0, True), Move(2, True), Move(4, True)], "operation 4 is impossible at its place"),
        ([Move(0, True), Move(None), Move(4, True)], "operation 2 was answered and is not in the witness"),
        ([Move(0, True), Move(4, True), Move(2, True)], "operation 2 returned before event 4"),
        ([Move(0, True), Move(0, True)], "an operation stands twice"),
        ([Move(0, True), Move(2, True), Move(None), Move(None), Move(4, True)], "something ends that never does"),
    ],
)
def test_a_witness_is_carried_out_again(moves: list[Move], wrong: str | None) -> None:
    rows = told(put("a", 100, 0, 1), got("a", 50, 51), got(None, 110, 111))
    said = wrong_with(moves, rows.operations(), Clock(clocks()[0].skew))
    assert said is None if wrong is None else said is not None and wrong in said


def test_a_witness_whose_end_comes_too_early_is_refused() -> None:
    rows = told(put("a", 100, 0, 1), got(None, 50, 51))
    said = wrong_with([Move(0, True), Move(None), Move(2, True)], rows.operations(), Clock(clocks()[0].skew))
    assert said == f"no instant fits the order: one comes {49 * MS} ns too late"


# What is counted

GONE = told(put("a", 100, 0, 1), got("a", 80, 81), got(None, 150, 151), key="gone")
ANEW = told(won("a", 100, 0, 1), won("b", 100, 150, 151), key="anew")
OPEN = told(put("a", 100, 0, 1), ("set", {"value": "b", "ttl_ms": 9}, None, 2, 3), got(None, 150, 151), key="open")
RENEWED = told(put("a", 100, 0, 1), put("b", 100, 90, 91), got("b", 150, 151), key="renewed")


@pytest.mark.parametrize(
    ("found", "counted"),
    [(GONE, (1, 1, 0)), (ANEW, (1, 0, 1)), (OPEN, (0, 0, 0)), (RENEWED, (0, 0, 0)), (joined(GONE, ANEW, OPEN), (2, 1, 1))],
    ids=["gone", "anew", "open", "renewed", "all"],
)
def test_what_shows_expiry_is_counted_where_it_is_certain(found: History, counted: tuple[int, int, int]) -> None:
    names = ("expired_seen_gone", "answered_before_expiry", "reborn")
    assert tuple(GATES[name](found, Terms()) for name in names) == counted


def test_every_key_is_decided_though_another_is_invalid() -> None:
    found = verdicts(joined(told(put("a", 9, 0, 1), got("a", 50, 51), key="one"), told(won("a", 99, 0, 1), won("b", 99, 2, 3), key="two")))
    assert sorted(kinds(found["expiry"])) == ["expired-late", "ttl-two-winners"]


# Classes, and what is said


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([put("a", 1000, 1, 2), put("b", None, 3, 4), got(None, 300, 301)], "key-inconsistent"),
        ([put("a", 1000, 1, 2), put("b", 1000, 3, 4), got(None, 300, 301)], "expired-early"),
        ([put("a", 100, 1, 2), put("b", None, 3, 4), got("a", 300, 301)], "key-inconsistent"),
        ([put("a", 100, 1, 2), got("a", 300, 301)], "expired-late"),
    ],
)
def test_a_class_is_one_that_would_explain_all_that_was_answered(rows: list[Row], kind: str) -> None:
    assert kinds(expiry(told(*rows))) == [kind]


def test_where_all_was_answered_nothing_is_said_of_operations_without_an_answer() -> None:
    (anomaly,) = expiry(told(put("", None, 10, 12), added(None, 1, 20, 22))).all_anomalies()
    assert "unanswered" not in anomaly.message


@pytest.mark.parametrize("ttl_ms", [9 * 10**12, 2**53])
def test_a_ttl_may_be_as_long_as_the_interface_allows(ttl_ms: int) -> None:
    assert expiry(told(put("a", ttl_ms, 10, 12), got("a", 20, 22))).status is Status.VALID
    assert kinds(expiry(told(put("a", ttl_ms, 10, 12), got(None, 20, 22)))) == ["expired-early"]
