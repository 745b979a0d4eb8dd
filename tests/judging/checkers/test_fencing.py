"""The fencing checker: tokens are unique and follow the order of the grants, on each name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from harness.judging.checkers.fencing import fencing
from harness.judging.checkers.grants import grants
from harness.judging.checkers.skew import Skew
from harness.judging.verdict import Status
from harness.record.format import load
from harness.record.history import Event, History

EXAMPLES = Path(__file__).parents[3] / "examples" / "histories" / "lease"
MS = 1_000_000
EXACT = Skew(0, 0, 0)

Row = tuple[str, int, int, int, int | None]  # key, start, end, ttl (ms), token


def history(*rows: Row) -> History:
    lines = []
    for process, (key, start, end, ttl, token) in enumerate(rows):
        lines.append((start, 0, process, "invoke", key, {"owner": f"o{process}", "ttl_ms": ttl}))
        lines.append((end, 1, process, "ok", key, {"granted": True, "fencing_token": token}))
    lines.sort(key=lambda line: line[:3])
    return History(
        tuple(
            Event(index=index, time=time * MS, process=process, type=type_, f="try_acquire", key=key, value=value)  # type: ignore[arg-type]
            for index, (time, _, process, type_, key, value) in enumerate(lines)
        )
    )


def status(*rows: Row) -> Status:
    return fencing(history(*rows), EXACT).status


def test_tokens_that_rise_are_valid() -> None:
    assert status(("a", 0, 1, 10, 3), ("a", 20, 21, 10, 4), ("a", 40, 41, 10, 9)) == Status.VALID


def test_a_token_below_one_acknowledged_before_is_condemned() -> None:
    (found,) = fencing(history(("a", 0, 1, 10, 4), ("a", 20, 21, 10, 3)), EXACT).all_anomalies()
    assert (found.kind, found.key, found.operations, found.at, found.live) == ("fencing", "a", (0, 2), 21 * MS, 1 * MS)
    assert found.message == (
        "o1 (process 1) was granted a at 0.021 s with token 3, although token 4, of o0 (process 0) at 0.001 s, "
        "had been acknowledged before it was asked for"
    )


def test_a_token_given_twice_is_condemned_once() -> None:
    (found,) = fencing(history(("a", 0, 1, 10, 4), ("a", 20, 21, 10, 4)), EXACT).all_anomalies()
    assert "had been given already" in found.message


def test_a_token_given_twice_by_overlapping_calls_is_condemned() -> None:
    assert status(("a", 0, 50, 10, 4), ("a", 20, 60, 10, 4)) == Status.INVALID


def test_the_highest_token_before_counts_not_the_last() -> None:
    assert status(("a", 0, 1, 10, 7), ("a", 20, 21, 10, 2), ("a", 40, 41, 10, 5)) == Status.INVALID
    assert len(fencing(history(("a", 0, 1, 10, 7), ("a", 20, 21, 10, 2), ("a", 40, 41, 10, 5)), EXACT).all_anomalies()) == 2


def test_overlapping_calls_may_have_tokens_in_any_order_where_any_order_is_possible() -> None:
    assert status(("a", 0, 50, 10, 5), ("a", 1, 51, 10, 4)) == Status.VALID
    assert status(("a", 0, 50, 10, 4), ("a", 1, 51, 10, 5)) == Status.VALID


def test_overlapping_calls_whose_leases_allow_one_order_only_must_follow_it() -> None:
    first, second = ("a", 0, 15, 10), ("a", 10, 16, 10)  # second cannot have ended by 15
    assert status((*first, 4), (*second, 5)) == Status.VALID
    assert status((*first, 5), (*second, 4)) == Status.INVALID


def test_without_a_sane_clock_only_the_order_of_events_counts() -> None:
    overlapping = history(("a", 0, 15, 10, 5), ("a", 10, 16, 10, 4))
    clocks = tuple(
        Event(index=10 + n, time=1000 * MS, process="nemesis", type="info", f="clock", value={"monotonic": n * MS, "wall": 5 * n * MS})
        for n in range(2)
    )
    assert fencing(History((*overlapping.events, *clocks)), EXACT).status == Status.VALID
    ordered = history(("a", 0, 1, 10, 5), ("a", 10, 16, 10, 4))
    assert fencing(History((*ordered.events, *clocks)), EXACT).status == Status.INVALID


def test_grants_that_held_at_once_are_another_class() -> None:
    assert status(("a", 0, 15, 100, 5), ("a", 10, 16, 100, 4)) == Status.VALID


def test_tokens_of_different_names_are_not_compared() -> None:
    assert status(("a", 0, 1, 10, 5), ("b", 20, 21, 10, 5), ("b", 40, 41, 10, 6)) == Status.VALID


def test_grants_without_a_token_are_passed_over() -> None:
    assert status(("a", 0, 1, 10, 5), ("a", 20, 21, 10, None), ("a", 40, 41, 10, 6)) == Status.VALID


def test_no_token_at_all_is_unknown() -> None:
    verdict = fencing(history(("a", 0, 1, 10, None)))
    assert (verdict.status, verdict.summary) == (Status.UNKNOWN, "no fencing token was seen")
    assert fencing(History(())).status == Status.UNKNOWN


@pytest.mark.parametrize("path", sorted((EXAMPLES / "good").glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_good_examples_of_the_lease_checker_have_tokens_that_rise(path: Path) -> None:
    assert fencing(load(path)).status == Status.VALID


def condemned_by_definition(one: History) -> set[str]:
    """Compare every pair of grants, as the definition puts it."""
    given = grants(one.operations(), EXACT)
    ends = {operation.index: operation.end_index for operation in one.operations()}
    found = set()
    for a in given:
        for b in given:
            if a is b or a.token is None or b.token is None or a.token < b.token:
                continue
            if None in (a.acknowledged_at, a.least, b.acknowledged_at, b.least):
                continue
            before = (ends[a.index] or 0) < b.index
            only = b.least > a.acknowledged_at and a.least <= b.acknowledged_at  # type: ignore[operator]
            twice = a.token == b.token and a.index < b.index
            if before or only or twice:
                found.add(b.owner)
    return found


def test_the_sweeps_condemn_the_same_grants_as_the_definition() -> None:
    rng = random.Random(5)
    condemned = 0
    for _ in range(1500):
        rows = []
        for n in range(rng.randint(2, 7)):
            start = rng.randint(0, 40)
            rows.append(("a", start, start + rng.choice((1, 5, 20)), rng.choice((5, 15)), n + rng.choice((0, 0, 1, 3))))
        rng.shuffle(rows)
        rows = [(*row[:4], token) for row, token in zip(sorted(rows, key=lambda row: row[1]), sorted(row[4] for row in rows), strict=True)]
        if rng.random() < 0.5:
            place = rng.randrange(len(rows))
            rows[place] = (*rows[place][:4], rng.randint(0, 8))
        one = history(*rows)
        found = {anomaly.message.split(" ")[0] for anomaly in fencing(one, EXACT).all_anomalies()}
        assert found == condemned_by_definition(one), rows
        condemned += bool(found)
    assert 300 < condemned < 1400
