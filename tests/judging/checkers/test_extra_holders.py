"""Extra holders of a failover: which grants count, and what is said of a name that had too many."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from trials import Script

from harness.judging.checkers.extra_holders import extra_holders
from harness.judging.checkers.grants import grants
from harness.judging.verdict import Status, Verdict
from harness.record.history import Header, History

NS_PER_MS = 1_000_000
SIDES = {"0": "clients-a", "1": "clients-b"}

Lease = tuple[str, str, int, int]
"""Side (a or b), name, acknowledgement in ms, TTL in ms."""


def history(*leases: Lease, sides: dict[str, str] = SIDES, slow: bool = False) -> History:
    """Make a history of grants; with `slow` the calls last so differently that answers come in another order."""
    script = Script()
    for number, (side, name, at, ttl_ms) in enumerate(leases):
        argument, answer = {"owner": f"{side}{number}", "ttl_ms": ttl_ms}, {"granted": True, "fencing_token": None}
        took = 1 + 37 * number % 90 if slow else 1
        script.operation(at - took, at, "try_acquire", argument, answer, key=name, process=2 * number + (side == "b"))
    return replace(script.history(), header=Header(concurrency=2, sides=sides))


def judge(*leases: Lease) -> Verdict:
    return extra_holders(history(*leases))


def test_a_grant_of_the_new_side_beside_one_of_the_old_is_one_extra_holder() -> None:
    verdict = judge(("a", "x", 1000, 5000), ("b", "x", 2000, 5000))
    assert verdict.status is Status.VALID
    assert verdict.numbers == {"median": 1, "maximum": 1, "names": 1, "per_name": {"x": 1}}


def test_two_of_the_new_side_beside_one_of_the_old_are_too_many() -> None:
    verdict = judge(("a", "x", 1000, 9000), ("b", "x", 2000, 500), ("b", "x", 4000, 500))
    (found,) = verdict.all_anomalies()
    assert (found.kind, found.key, found.operations) == ("extra-holders", "x", (0, 2, 4))
    assert (found.at, found.live) == (4000 * NS_PER_MS, 1000 * NS_PER_MS)
    assert (
        found.message
        == "x had 2 extra holders in one failover (b1, b2), each beside a holder on the other side, more than 1 from 4.000 s on"
    )
    assert verdict.numbers["maximum"] == 2


def test_one_grant_beside_two_of_the_old_side_is_one_extra_holder() -> None:
    verdict = judge(("a", "x", 1000, 1000), ("a", "x", 3000, 1000), ("b", "x", 1500, 9000))
    assert verdict.numbers["per_name"] == {"x": 1}


def test_a_grant_of_the_old_side_inside_one_of_the_new_makes_it_an_extra_holder() -> None:
    assert judge(("b", "x", 1000, 9000), ("a", "x", 3000, 1000)).numbers["maximum"] == 1


def test_grants_of_one_side_are_no_extra_holders_of_each_other() -> None:
    verdict = judge(("b", "x", 1000, 9000), ("b", "x", 2000, 9000), ("a", "y", 1000, 1000))
    assert verdict.numbers["per_name"] == {"x": 0, "y": 0}


def test_grants_one_after_the_other_are_no_extra_holders() -> None:
    assert judge(("a", "x", 1000, 1000), ("b", "x", 2500, 1000), ("b", "x", 4000, 1000)).numbers["maximum"] == 0


def test_it_stands_from_the_second_extra_holder_on() -> None:
    (found,) = judge(("b", "x", 1000, 8000), ("b", "x", 2000, 500), ("a", "x", 1900, 300), ("a", "x", 4000, 500)).all_anomalies()
    assert (found.at, found.live) == (2000 * NS_PER_MS, 1900 * NS_PER_MS)
    assert "2 extra holders" in found.message


def test_names_are_told_apart_and_all_of_them_counted() -> None:
    leases = [("a", "x", 1000, 9000), ("b", "y", 2000, 500), ("b", "x", 2000, 500), ("b", "x", 4000, 500), ("a", "z", 1000, 500)]
    numbers = judge(*leases).numbers
    assert numbers["per_name"] == {"x": 2, "z": 0, "y": 0}
    assert (numbers["median"], numbers["maximum"], numbers["names"]) == (0, 2, 3)


def test_a_released_lease_is_beside_nobody() -> None:
    script = Script()
    for process, start, owner in ((0, 1000, "a0"), (1, 3000, "b1"), (3, 4000, "b2")):
        answer = {"granted": True, "fencing_token": None}
        script.operation(start, start + 1, "try_acquire", {"owner": owner, "ttl_ms": 9000}, answer, key="x", process=process)
    script.operation(2000, 2001, "release", {"owner": "a0"}, {"released": True}, key="x", process=0)
    script.operation(3500, 3501, "release", {"owner": "b1"}, {"released": True}, key="x", process=1)
    assert extra_holders(replace(script.history(), header=Header(concurrency=2, sides=SIDES))).numbers["maximum"] == 0


def test_an_unanswered_acquisition_is_no_holder() -> None:
    script = Script()
    granted = {"granted": True, "fencing_token": None}
    script.operation(1000, 1001, "try_acquire", {"owner": "a0", "ttl_ms": 9000}, granted, key="x", process=0)
    script.operation(2000, 2500, "try_acquire", {"owner": "b1", "ttl_ms": 9000}, None, key="x", process=1, type_="info")
    script.operation(3000, 3001, "try_acquire", {"owner": "b2", "ttl_ms": 500}, granted, key="x", process=3)
    assert extra_holders(replace(script.history(), header=Header(concurrency=2, sides=SIDES))).numbers["maximum"] == 1


def test_without_two_sides_or_grants_on_both_it_is_unknown() -> None:
    assert extra_holders(history(("a", "x", 1000, 500), ("b", "x", 3000, 500), sides={})).status is Status.UNKNOWN
    one = {"0": "clients", "1": "clients"}
    assert extra_holders(history(("a", "x", 1000, 500), ("b", "x", 3000, 500), sides=one)).status is Status.UNKNOWN
    assert judge(("a", "x", 1000, 500)).status is Status.UNKNOWN
    assert judge(("b", "x", 1000, 500)).status is Status.UNKNOWN
    assert extra_holders(History(())).status is Status.UNKNOWN


leases = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 400).map(lambda n: 10 * n), st.sampled_from([5, 100, 700, 3000])
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(leases)
def test_the_count_is_that_of_all_pairs(found: list[Lease]) -> None:
    seen = history(*found, slow=True)
    held = [each for each in grants(seen.operations()) if each.acknowledged_at is not None and each.must_end is not None]
    spans = [(each.key, seen.side(each.process), each.acknowledged_at or 0, each.must_end or 0) for each in held]
    spans = [span for span in spans if span[2] < span[3]]
    expected = {
        name: sum(
            side == "clients-b" and any(s == "clients-a" and k == name and a < end and start < b for k, s, a, b in spans)
            for key, side, start, end in spans
            if key == name
        )
        for name in {span[0] for span in spans}
    }
    verdict = extra_holders(seen)
    if {span[1] for span in spans} == {"clients-a", "clients-b"}:
        assert verdict.numbers["per_name"] == expected
        assert verdict.status is (Status.INVALID if max(expected.values()) > 1 else Status.VALID)
    else:
        assert verdict.status is Status.UNKNOWN


@settings(max_examples=100, deadline=None)
@given(leases, st.data())
def test_a_shorter_lease_never_makes_more_extra_holders(found: list[Lease], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(found) - 1))
    shorter = [(side, name, at, ttl_ms // 2 + 1 if n == place else ttl_ms) for n, (side, name, at, ttl_ms) in enumerate(found)]
    before, after = judge(*found).numbers, judge(*shorter).numbers
    assert all(count <= before["per_name"][name] for name, count in after.get("per_name", {}).items())


@settings(max_examples=100, deadline=None)
@given(leases)
def test_an_anomaly_names_grants_that_are_extra_alone(found: list[Lease]) -> None:
    seen = history(*found, slow=True)
    verdict = extra_holders(seen)
    for anomaly in verdict.all_anomalies():
        named = {seen.events[index].process for index in anomaly.operations}
        alone = replace(seen, events=tuple(event for event in seen.events if event.process in named))
        assert extra_holders(alone).numbers["per_name"] == {anomaly.key: verdict.numbers["per_name"][anomaly.key]}
