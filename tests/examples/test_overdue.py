"""The check of the example package overdue-check: what it condemns, and what it must not."""

from __future__ import annotations

from typing import Any

from overdue import OVERDUE, overdue

from harness.judging.check import Terms
from harness.judging.verdict import Status
from harness.record.event import Event, Header
from harness.record.history import History

NS_PER_MS = 1_000_000
Step = tuple[str, int, int | None, Any, Any]


def wrote(start: int, end: int | None, ttl_ms: int | None) -> Step:
    return "set", start, end, {"value": "a", "ttl_ms": ttl_ms}, {}


def looked(start: int, value: str | None) -> Step:
    return "get", start, start + 1, {}, {"value": value}


def history(*steps: Step, bound_ms: int | None = None) -> History:
    """Give a history of operations on one key, each by a process of its own; times in ms, and no end is no answer."""
    told = [(start, process, "invoke", f, asked) for process, (f, start, _, asked, _) in enumerate(steps)]
    told += [(end, process, "ok", f, answer) for process, (f, _, end, _, answer) in enumerate(steps) if end is not None]
    events = [
        Event(index=index, time=at * NS_PER_MS, process=process, type="ok" if what == "ok" else "invoke", f=f, key="k", value=value)
        for index, (at, process, what, f, value) in enumerate(sorted(told, key=lambda each: each[0]))
    ]
    return History(tuple(events), header=Header(clock_bound_ms=bound_ms), complete=True)


def late_looks(*steps: Step, bound_ms: int | None = None) -> int:
    """Give how many looks, each of which found the key, the check took for late."""
    verdict = overdue(history(*steps, bound_ms=bound_ms))
    assert (verdict.status is Status.INVALID) == bool(verdict.numbers["looks"])
    return int(verdict.numbers["looks"])


def test_a_key_that_is_found_after_its_ttl_must_have_ended_is_overdue() -> None:
    verdict = overdue(history(wrote(0, 10, 100), looked(113, "a")))
    (anomaly,) = verdict.all_anomalies()
    assert (verdict.status, anomaly.kind, anomaly.key, anomaly.operations) == (Status.INVALID, "overdue", "k", (2,))


def test_a_key_that_is_missing_by_then_is_not() -> None:
    verdict = overdue(history(wrote(0, 10, 100), looked(113, None)))
    assert (verdict.status, verdict.numbers) == (Status.VALID, {"looks": 1})


def test_until_the_skew_is_over_it_may_be_found() -> None:
    assert not late_looks(wrote(0, 10, 100), looked(112, "a"))


def test_clients_clocks_may_show_it_twice_their_bound_longer() -> None:
    assert not late_looks(wrote(0, 10, 100), looked(200, "a"), bound_ms=50)
    assert late_looks(wrote(0, 10, 100), looked(213, "a"), bound_ms=50) == 1


def test_a_write_that_was_begun_before_the_look_ended_may_be_what_it_found() -> None:
    assert not late_looks(wrote(0, 10, 100), wrote(200, 300, 100), looked(250, "a"))


def test_nothing_is_said_after_a_write_without_an_answer() -> None:
    assert not late_looks(wrote(0, 10, 100), wrote(20, None, 100), looked(500, "a"))


def test_it_picks_keys_of_which_every_write_brings_a_ttl() -> None:
    assert OVERDUE.takes(history(wrote(0, 10, 100), looked(113, "a")).events, {"set", "get"})
    assert not OVERDUE.takes(history(wrote(0, 10, 100), wrote(20, 30, None), looked(113, "a")).events, {"set", "get"})


def test_its_gate_counts_the_looks_that_came_late() -> None:
    assert OVERDUE.gates["looked_late"](history(wrote(0, 10, 100), looked(50, "a"), looked(113, None)), Terms()) == 1
