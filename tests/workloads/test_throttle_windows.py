"""The checks of a throttle: a window gives each of its places once, and whether it closes while calls go on."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from harness.judging.check import Terms
from harness.judging.checks import untaken, verdicts
from harness.judging.verdict import Status
from harness.record.history import Event, Header, History
from workloads.throttle.windows import ADMISSIONS, ENDLESS, admissions, endless, steady_windows, windows_begun

MS = 1_000_000
WINDOW = 300
Call = tuple[int | None, float, float]
"""The answer (None: unanswered), invocation and completion in ms."""


def history(*calls: Call, ttl_ms: int | None = WINDOW, more: tuple[tuple[str, Any, Any, float, float], ...] = (), **header: Any) -> History:
    rows = [
        ("increment", {"delta": 1, "ttl_ms": ttl_ms}, None if value is None else {"value": value}, start, end)
        for value, start, end in calls
    ]
    lines = []
    for process, (f, argument, answer, start, end) in enumerate((*rows, *more)):
        common = {"process": process, "f": f, "key": "t1-throttle-0"}
        lines.append((start, {**common, "type": "invoke", "value": argument}))
        lines.append((end, {**common, "type": "ok" if answer is not None else "info", "value": answer}))
    ordered = sorted(lines, key=lambda line: line[0])
    events = tuple(Event(index=index, time=round(time * MS), **fields) for index, (time, fields) in enumerate(ordered))
    return History(events, header=Header(**header) if header else None, complete=True)


def steady(until_ms: int, every_ms: int = 20, *, resets_ms: int | None = None) -> list[Call]:
    """Calls one after another; a fixed window begins anew every `resets_ms`."""
    found: list[Call] = []
    value = 0
    for at in range(0, until_ms, every_ms):
        value = 1 if resets_ms and at % resets_ms == 0 else value + 1
        found.append((value, at, at + 1))
    return found


# At most N admissions a window


def test_one_place_given_twice_within_a_window_is_found_with_its_times() -> None:
    verdict = admissions(history((1, 0, 1), (2, 10, 11), (2, 200, 201)))
    assert [(anomaly.kind, anomaly.operations) for anomaly in verdict.anomalies] == [("over-admitted", (2, 4))]
    assert "was call 2 of t1-throttle-0 between 0.200 s and 0.201 s" in verdict.anomalies[0].message
    assert "they never paused for 300 ms" in verdict.anomalies[0].message


def test_a_count_that_begins_anew_though_calls_never_stopped_is_found_however_long_after_its_first() -> None:
    verdict = admissions(history((1, 0, 1), (2, 100, 101), (3, 200, 201), (4, 300, 301), (1, 500, 501)))
    assert [anomaly.operations for anomaly in verdict.anomalies] == [(6, 8)]


def test_a_call_without_an_answer_hides_no_silence() -> None:
    assert admissions(history((1, 0, 1), (None, 150, 152), (1, 320, 321))).status is Status.VALID


def test_a_window_that_begins_anew_after_its_time_is_valid() -> None:
    assert admissions(history((1, 0, 1), (2, 10, 11), (1, 320, 321), (2, 330, 331))).status is Status.VALID


@pytest.mark.parametrize(("second", "status"), [((1, 296, 297.5), Status.INVALID), ((1, 296, 298), Status.VALID)], ids=["before", "at"])
def test_a_place_may_come_again_as_soon_as_the_clock_may_have_ended_the_window(second: Call, status: Status) -> None:
    """300 ms less 2 ms and 500 ppm are 297.85 ms."""
    assert admissions(history((1, 0, 1), second)).status is status


def test_two_calls_at_once_with_one_answer_are_found() -> None:
    assert admissions(history((1, 0, 50), (1, 10, 40))).status is Status.INVALID


def test_client_clocks_end_no_window_earlier_since_each_client_waits_their_bound() -> None:
    assert admissions(history((1, 0, 1), (1, 299, 300), clock_bound_ms=100)).status is Status.VALID
    assert admissions(history((1, 0, 1), (1, 210, 211), clock_bound_ms=100)).status is Status.INVALID


def test_without_a_sane_clock_nothing_is_known() -> None:
    clock = [
        Event(index=n, time=n * MS, process="nemesis", type="info", f="clock", value={"monotonic": n * MS, "wall": n * 50 * MS})
        for n in (0, 1)
    ]
    events = [
        Event(index=e.index + 2, time=e.time + 2 * MS, process=e.process, type=e.type, f=e.f, key=e.key, value=e.value)
        for e in history((1, 0, 1), (1, 5, 6)).events
    ]
    assert admissions(History((*clock, *events), complete=True)).status is Status.UNKNOWN


def test_windows_that_were_begun_are_counted() -> None:
    assert windows_begun(history((1, 0, 1), (2, 10, 11), (1, 320, 321))) == 2


# Which keys


@pytest.mark.parametrize(
    "other",
    [
        history((1, 0, 1), (2, 5, 6), more=(("set", {"value": "7", "ttl_ms": None}, {}, 8, 9),)),
        history((1, 0, 1), (2, 5, 6), more=(("increment", {"delta": 2, "ttl_ms": WINDOW}, {"value": 4}, 8, 9),)),
        history((1, 0, 1), (2, 5, 6), more=(("increment", {"delta": 1, "ttl_ms": 500}, {"value": 3}, 8, 9),)),
    ],
    ids=["set", "another delta", "another window"],
)
def test_a_key_that_is_called_in_another_way_is_no_throttle(other: History) -> None:
    assert "throttle" not in verdicts(other)
    assert untaken(other) is None


def test_a_key_that_is_called_as_a_throttle_is_judged_by_it_and_by_the_exact_search() -> None:
    read = ("get", {}, {"value": "1"}, 5, 6)
    assert set(verdicts(history((1, 0, 1), more=(read,)))) == {"throttle", "expiry"}


def test_a_throttle_of_which_no_call_was_answered_is_not_judged_as_one() -> None:
    found = history((1, 0, 1), more=(("get", {}, {"value": "1"}, 5, 6),))
    unanswered = [replace(e, type="info", value=None) if e.f == "increment" and e.type == "ok" else e for e in found.events]
    assert set(verdicts(History(tuple(unanswered), complete=True))) == {"expiry"}


def test_a_counter_without_a_ttl_is_no_throttle() -> None:
    assert set(verdicts(history((1, 0, 1), ttl_ms=None))) == {"linearizable"}


# The window that never closes


def test_a_window_that_is_open_for_longer_than_it_lasts_is_found_and_says_since_when() -> None:
    verdict = endless(history(*steady(1000)))
    assert [anomaly.kind for anomaly in verdict.anomalies] == ["endless-window"]
    assert "it has been open since 0.001 s at least, 979 ms" in verdict.anomalies[0].message


def test_windows_that_close_after_their_time_are_valid() -> None:
    assert endless(history(*steady(1000, resets_ms=300))).status is Status.VALID


def test_a_window_that_ends_in_a_silence_is_valid() -> None:
    assert endless(history((1, 0, 1), (2, 200, 201), (1, 600, 601), (2, 700, 701))).status is Status.VALID


def test_a_sum_that_calls_without_an_answer_may_have_made_is_no_old_window() -> None:
    """They may all have been made in the last window."""
    lost: list[Call] = [(None, 1 + n, 2 + n) for n in range(30)]
    assert endless(history(*lost, (31, 900, 901))).status is Status.VALID
    assert endless(history(*lost[1:], (1, 0, 0.5), (31, 900, 901))).status is Status.INVALID


def test_it_judges_only_on_request() -> None:
    found = history(*steady(1000))
    assert "endless-window" not in verdicts(found)
    assert verdicts(found, Terms(requested=frozenset({ENDLESS.name})))["endless-window"].status is Status.INVALID


def test_steady_traffic_is_counted_in_windows() -> None:
    assert steady_windows(history(*steady(1000))) == 3
    assert steady_windows(history((1, 0, 1), (1, 400, 401), (1, 800, 801))) == 0


# Against a server


def served(random: Random, *, renews: bool = True, fixed: bool = False) -> History:
    """Give calls of a perfect throttle, or of one that sets its TTL once; `fixed`: it ends what it began, however many call."""
    calls: list[Call] = []
    at = value = 0.0
    ends = -1.0
    for _ in range(40):
        at += random.choice((1, 3, 10, 50, 200, 310, 350))
        start, took = at, random.choice((0.5, 2.0, 20.0))
        x = random.uniform(start, start + took)
        value, ends = (1, x + WINDOW) if x >= ends else (value + 1, x + WINDOW if renews and not fixed else ends)
        calls.append((None if random.random() < 0.1 else int(value), start, start + took))
        at += took
    return history(*calls)


def test_a_throttle_that_sets_its_window_anew_raises_no_alarm_and_one_that_does_not_is_condemned() -> None:
    """By hand over 6,000 histories of each: no alarm, and 90 % of those of the wrong one are condemned."""
    condemned = sum(admissions(served(Random(seed), renews=False)).status is Status.INVALID for seed in range(150))
    assert not any(admissions(served(Random(seed))).status is Status.INVALID for seed in range(500))
    assert condemned > 100


def test_a_window_that_ends_what_it_began_is_never_called_endless() -> None:
    assert not any(endless(served(Random(seed), fixed=True)).status is Status.INVALID for seed in range(500))


def test_both_checks_are_of_keys_with_a_ttl() -> None:
    assert ADMISSIONS.families == ENDLESS.families == ("key",)
