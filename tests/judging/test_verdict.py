"""Which anomaly is the first that is told, and what summaries say of it."""

from __future__ import annotations

from harness.judging.verdict import Anomaly, combine, first_of, invalid, kinds_of, of_each_kind_first, unknown


def anomaly(kind: str, at: int) -> Anomaly:
    return Anomaly(kind, "key", (at,), at, f"{kind} at {at}")


FOUND = [anomaly("stranger", 1), anomaly("two-holders", 2), anomaly("stranger", 3), anomaly("two-holders", 4)]


def test_the_first_of_the_worst_kind_leads_then_the_first_of_each_other() -> None:
    assert [each.at for each in of_each_kind_first(FOUND)] == [2, 1, 3, 4]


def test_the_first_is_the_earliest_in_whatever_order_anomalies_come() -> None:
    assert of_each_kind_first(FOUND[::-1])[0].at == 2


def test_an_unknown_kind_comes_last() -> None:
    assert [each.kind for each in of_each_kind_first([anomaly("new", 1), anomaly("fencing", 2)])] == ["fencing", "new"]


def test_kinds_are_counted_worst_first() -> None:
    assert kinds_of(FOUND) == "2 two-holders, 2 stranger"


def test_the_first_is_told_with_its_kind_where_there_are_several() -> None:
    assert first_of(FOUND) == "first two-holders: two-holders at 2"
    assert first_of(FOUND[:1]) == "first: stranger at 1"


def test_of_several_worst_parts_the_one_with_the_first_anomaly_speaks() -> None:
    late, early = invalid("late", [anomaly("not-linearizable", 9)]), invalid("early", [anomaly("not-linearizable", 2)])
    assert combine({"a": late, "b": early, "c": unknown("nothing")}).summary == "b: early (and 1 more)"
